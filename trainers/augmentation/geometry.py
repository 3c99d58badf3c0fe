"""Operations that move pixels, as Pillow's `transform` with AFFINE and BICUBIC does.

Every function takes (N, C, H, W) uint8 images on any device, parameters (N,) float64 on the CPU, one for each image,
and the level of each channel that shows where an image does not reach: where the centre of a pixel comes from outside
the image. For all others the image goes on beyond its edge with the value of the edge.

Pillow computes in double precision and cuts the result off. Here places are double and pixels single, so that a pixel
is one level off where Pillow's value is within some 1e-4 of a whole number.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shear_x(images: Tensor, factors: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Lines moved left by a factor times their distance from the upper edge."""
    distances = torch.arange(images.shape[2], dtype=torch.float64) + 0.5
    return _lines_moved(images, factors[:, None] * distances, fill)


def shear_y(images: Tensor, factors: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Columns moved up by a factor times their distance from the left edge."""
    return shear_x(images.mT, factors, fill).mT


def translate_x(images: Tensor, shares: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Images moved left by a share of their width."""
    shifts = (shares * images.shape[3])[:, None].expand(-1, images.shape[2])
    return _lines_moved(images, shifts, fill)


def translate_y(images: Tensor, shares: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Images moved up by a share of their height."""
    return translate_x(images.mT, shares, fill).mT


def rotate(images: Tensor, degrees: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Images turned counterclockwise about their centre; their corners are lost."""
    height, width = images.shape[2:]
    angles = torch.deg2rad(degrees).to(images.device)[:, None, None]
    # Rounded and added in Pillow's order: at 30 degrees whole lines of pixels come from the very edge.
    cosines, sines = angles.cos().round(decimals=15), angles.sin().round(decimals=15)
    x = torch.arange(width, device=images.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=images.device, dtype=torch.float64)[:, None] + 0.5
    from_x = cosines * x - sines * y + (sines * (height / 2) - cosines * (width / 2) + width / 2)
    from_y = sines * x + cosines * y + (-sines * (width / 2) - cosines * (height / 2) + height / 2)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    first_x, along = _split(from_x.clamp(0, width) - 0.5)
    first_y, across = _split(from_y.clamp(0, height) - 0.5)
    # Two pixels of margin make the sixteen pixels around any place the same steps away from its first.
    beyond, stride = _with_margin(images, 2).flatten(2), width + 4
    places = ((first_y + 1) * stride + first_x + 1).flatten(1)[:, None].expand(-1, images.shape[1], -1)

    def line(row: int) -> Tensor:
        starts = (beyond[:, :, row * stride + column :] for column in range(4))
        return _cubic([pixels.gather(2, places).view(images.shape) for pixels in starts], along)

    pixels = _cubic([line(row) for row in range(4)], across)
    return _filled(pixels, inside[:, None], fill)


def _with_margin(images: Tensor, margin: int) -> Tensor:
    """Images continued by the values at their edges."""
    for dimension in (2, 3):
        size = images.shape[dimension]
        places = torch.arange(-margin, size + margin, device=images.device).clamp_(0, size - 1)
        images = images.index_select(dimension, places)
    return images


def _lines_moved(images: Tensor, shifts: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Images whose every line is moved left: by (N, H) pixels, float64."""
    width = images.shape[3]
    shifts = shifts.to(images.device)[:, :, None]
    first, along = _split(shifts)
    places = (first + torch.arange(-1, width + 2, device=images.device)).clamp_(0, width - 1)
    lines = images.gather(3, places[:, None].expand(-1, images.shape[1], -1, -1))
    taps = [lines[..., tap : tap + width] for tap in range(4)]
    from_x = torch.arange(width, device=images.device, dtype=torch.float64) + 0.5 + shifts
    inside = (from_x >= 0) & (from_x < width)
    return _filled(_cubic(taps, along), inside[:, None], fill)


def _split(places: Tensor) -> tuple[Tensor, Tensor]:
    """Whole part and, for all channels, the rest in [0, 1)."""
    whole = places.floor()
    return whole.long(), (places - whole).float()[:, None]


def _cubic(taps: list[Tensor], share: Tensor) -> Tensor:
    """Cubic convolution of four pixels at a share of the way from the second to the third.

    Pillow's `transform` has the kernel of Keys (1981) with a = -1; its `resize` has a = -1/2. Weights apply to
    differences from the second pixel, so that the result is exact where all are equal and where the share is 0. A sum
    of weighted pixels could come out just below the whole number there and lose a level.
    """
    before, left, right, after = taps
    left = left.float()
    fall = share * (1 - share)
    result = torch.addcmul(left, fall * (share - 1), before - left)
    return result.addcmul_(share + share * fall, right - left).addcmul_(-share * fall, after - left)


def _filled(pixels: Tensor, inside: Tensor, fill: tuple[int, ...]) -> Tensor:
    """Pixels cut off to bytes, and the fill where they are not inside."""
    level = torch.tensor(fill, dtype=torch.uint8, device=pixels.device)[:, None, None]
    return torch.where(inside, pixels.clamp_(0, 255).to(torch.uint8), level)
