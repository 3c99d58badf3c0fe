"""Crops, flips and resizing: what an image passes through before its pixels are changed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainers.augmentation.resampling import Boxes, resize_boxes

_TRIES = 10


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Each image, padded by reflection and cropped back to its size at a place of its own.

    Equals cropping `torchvision.transforms.functional.pad(image, padding, padding_mode="reflect")`.

    Args:
        images: (N, C, H, W), any dtype, any device.
        padding: Pixels on each side, less than H and W.
        generator: On the CPU, so that the draws are the same on every device.

    Returns:
        (N, C, H, W), of the same dtype.

    Raises:
        ValueError: The padding is not smaller than the images.
    """
    count, _, height, width = images.shape
    if padding >= min(height, width):
        raise ValueError(f"reflect padding of {padding} needs images larger than that; got {height}x{width}")
    offsets = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator) - padding
    rows = _reflected(offsets[0] + torch.arange(height), height).to(images.device)
    columns = _reflected(offsets[1] + torch.arange(width), width).to(images.device)
    samples = torch.arange(count, device=images.device)[:, None, None]
    # Indexing (N, H, W, C) in its first three dimensions gathers whole pixels.
    pixels = images.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]]
    return pixels.permute(0, 3, 1, 2)


def _reflected(places: Tensor, size: int) -> Tensor:
    """Places in [-size + 1, 2 * size - 2], mirrored at the first and last place into [0, size)."""
    places = places.abs()
    return size - 1 - (size - 1 - places).abs()


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image of (N, C, H, W), mirrored left to right with probability 1/2; `generator` is on the CPU."""
    flips = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flips.to(images.device)[:, None, None, None], images.flip(-1), images)


def random_resized_crop(
    images: Tensor,
    size: int,
    generator: torch.Generator,
    *,
    scale: tuple[float, float] = (0.8, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """A random part of each image, resized bicubic to a square; torchvision's RandomResizedCrop on Pillow images.

    The share of the area is uniform and the logarithm of width / height is uniform. Boxes that do not fit are drawn
    again, up to ten times; then the largest central box of an allowed ratio is taken.

    Args:
        images: (N, C, H, W) uint8, any device.
        size: Side of the result in pixels.
        generator: On the CPU, so that the draws are the same on every device.
        scale: Smallest and largest share of the image's area.
        ratio: Smallest and largest width / height.

    Returns:
        (N, C, size, size) uint8.
    """
    count, _, height, width = images.shape
    boxes = draw_boxes(count, height, width, generator, scale=scale, ratio=ratio)
    return resize_boxes(images, boxes, height=size, width=size)


def draw_boxes(
    count: int,
    height: int,
    width: int,
    generator: torch.Generator,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Boxes:
    """The boxes of `random_resized_crop`: one draw of torchvision's law for each of `count` images."""
    shares, ratios, tops, lefts = torch.rand((4, count, _TRIES), generator=generator, dtype=torch.float64)
    areas = height * width * (scale[0] + (scale[1] - scale[0]) * shares)
    ratios = torch.exp(math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * ratios)
    widths = torch.sqrt(areas * ratios).round()
    heights = torch.sqrt(areas / ratios).round()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    # The first try that fits: argmax returns the first of equal values.
    first = fits.int().argmax(1, keepdim=True)
    found = fits.any(1)
    central_height, central_width = _central_shape(height, width, ratio)

    def chosen(tries: Tensor, fallback: int) -> Tensor:
        return torch.where(found, tries.gather(1, first).squeeze(1), float(fallback)).long()

    return Boxes(
        tops=chosen((tops * (height - heights + 1)).floor(), (height - central_height) // 2),
        lefts=chosen((lefts * (width - widths + 1)).floor(), (width - central_width) // 2),
        heights=chosen(heights, central_height),
        widths=chosen(widths, central_width),
    )


def _central_shape(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width of the largest box whose ratio is allowed."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def resize_and_center_crop(images: Tensor, size: int, crop_ratio: float) -> Tensor:
    """The transform of evaluation: shorter side resized bicubic to size / crop_ratio, then a central square.

    Args:
        images: (N, C, H, W) uint8, any device; where nothing is to do they come back themselves.
        size: Side of the result in pixels.
        crop_ratio: Share of the resized side that is kept, in (0, 1].

    Returns:
        (N, C, size, size) uint8; the resizing equals Pillow's, see `resize_boxes`.

    Raises:
        ValueError: The ratio is outside (0, 1].
    """
    if not 0 < crop_ratio <= 1:
        raise ValueError(f"the crop ratio must be in (0, 1]; got {crop_ratio}")
    height, width = images.shape[2:]
    # The released configs round (224 / 0.95 is 236); timm would round down.
    shorter = round(size / crop_ratio)
    longer = shorter * max(height, width) // min(height, width)
    new_height, new_width = (shorter, longer) if height <= width else (longer, shorter)
    if (new_height, new_width) != (height, width):
        whole = Boxes(
            tops=torch.zeros(1), lefts=torch.zeros(1), heights=torch.tensor([height]), widths=torch.tensor([width])
        )
        images = resize_boxes(images, whole, height=new_height, width=new_width)
    top, left = round((new_height - size) / 2), round((new_width - size) / 2)
    return images[:, :, top : top + size, left : left + size]
