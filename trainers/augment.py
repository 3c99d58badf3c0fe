"""Augmentation of a whole batch on its device, with an independent draw for every image."""

from __future__ import annotations

import torch
from torch import Tensor


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
