"""What cameras, screens and files do. Images are (N, 3, H, W) float64 in [0, 1]; results may be beyond."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from trainers.corruptions.resampling import (
    both_ways,
    gaussian_matrix,
    grid_of,
    interpolated,
    mirrored,
    mirrored_at_the_edge,
)


def contrast(images: Tensor, share: float, generator: Generator) -> Tensor:  # noqa: ARG001
    """That share of each value's distance from its channel's mean.

    Args:
        images: The images.
        share: Of the distance that is left.
        generator: Not drawn from.
    """
    means = images.mean((2, 3), keepdim=True)
    return (images - means) * share + means


def elastic_transform(images: Tensor, stretch: tuple[float, float, float], generator: Generator) -> Tensor:
    """An affine map that moves three points, then every pixel moved a little, neighbours alike.

    The affine map is bilinear in double precision; the authors' OpenCV rounds places to 1/32 of a pixel.

    Args:
        images: The images.
        stretch: Shares of the image's side: how far pixels move before neighbours are averaged, the deviation of that
            average, and how far the three points move.
        generator: Of the movements.
    """
    size = images.shape[2]
    far, deviation, points = (size * share for share in stretch)
    draws = 2 * torch.rand((len(images), 3, 2), generator=generator, dtype=torch.float64) - 1
    images = _affine(images, points * draws)
    steps = 2 * torch.rand((2, len(images), size, size), generator=generator, dtype=torch.float64) - 1
    if far == 0:
        return images
    steps = far * both_ways(steps, gaussian_matrix(size, deviation, truncate=3, fold=mirrored))
    down, across = grid_of(images)
    x, y = steps.to(images.device)
    return interpolated(images, down + y, across + x, mirrored)


def pixelate(images: Tensor, share: float, generator: Generator) -> Tensor:  # noqa: ARG001
    """A smaller image of that share of the side, and back, as Pillow's BOX does it.

    Args:
        images: The images.
        share: Of the side.
        generator: Not drawn from.
    """
    size = images.shape[2]
    small = max(int(size * share), 1)
    return _box_resized(_box_resized(images, small), size)


def jpeg_compression(images: Tensor, quality: int, generator: Generator) -> Tensor:  # noqa: ARG001
    """A JPEG file of that quality and back, by Pillow on the CPU.

    Args:
        images: The images.
        quality: 1 to 95.
        generator: Not drawn from.
    """
    levels = (images * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    decoded = np.stack([_through_a_file(image, quality) for image in levels])
    return (torch.from_numpy(decoded).permute(0, 3, 1, 2).double() / 255).to(images.device)


def _through_a_file(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    with Image.open(file) as decoded:
        return np.asarray(decoded)


def _affine(images: Tensor, moves: Tensor) -> Tensor:
    """The affine map that moves three points about the middle by (N, 3, 2) pixels (x, y)."""
    size = images.shape[2]
    middle, third = size // 2, size // 3
    high, low = float(middle + third), float(middle - third)
    points = torch.tensor([[high, high], [high, low], [low, low]], dtype=torch.float64)
    with_one = torch.cat([points, torch.ones(3, 1, dtype=torch.float64)], 1)
    # Of the map back: from a moved point to the pixel that it shows.
    moved_with_one = torch.cat([points + moves, torch.ones(len(moves), 3, 1, dtype=torch.float64)], 2)
    back = torch.linalg.solve(moved_with_one, with_one[:, :2].expand(len(moves), -1, -1)).to(images.device)
    down, across = grid_of(images)
    x, y = (
        back[:, 0, place, None, None] * across + back[:, 1, place, None, None] * down + back[:, 2, place, None, None]
        for place in (0, 1)
    )
    return interpolated(images, y, x, mirrored_at_the_edge)


def _box_resized(images: Tensor, size: int) -> Tensor:
    """As Pillow: columns first, bytes in between. Sums of levels are whole, so that a half is rounded up."""
    matrix = _box_matrix(images.shape[2], size).to(images.device)
    counts = matrix.sum(1)
    columns = ((images * 255).round() @ matrix.mT / counts + 0.5).floor()
    return (matrix @ columns / counts[:, None] + 0.5).floor() / 255


def _box_matrix(size: int, new: int) -> Tensor:
    """(new, size): 1 for the pixels whose centres a new pixel holds, or for the nearest where it is smaller."""
    scale = size / new
    reach = max(scale, 1.0)
    matrix = torch.zeros(new, size, dtype=torch.float64)
    for line in range(new):
        centre = (line + 0.5) * scale
        places = np.arange(max(int(centre - reach / 2 + 0.5), 0), min(int(centre + reach / 2 + 0.5), size))
        distances = (places - centre + 0.5) / reach
        matrix[line, places[(distances > -0.5) & (distances <= 0.5)]] = 1
    return matrix
