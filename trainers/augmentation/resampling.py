"""Bicubic resizing of boxes of images as Pillow does it: one box for every image, two matrix products for all.

Pillow's kernel is Keys' cubic convolution with a = -0.5. It widens with the scale where an image shrinks, and its
weights are renormalised where it reaches over the edge of the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_STEPS = 2**22
"""Of which Pillow's weights are whole shares."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """Rectangles in pixels, one for each image: (N,) whole numbers on the CPU."""

    tops: Tensor
    lefts: Tensor
    heights: Tensor
    widths: Tensor


def resize_boxes(images: Tensor, boxes: Boxes, *, height: int, width: int) -> Tensor:
    """Each image's box, cut out and resized; equals Pillow's `crop` and `resize` with BICUBIC bit for bit.

    Pillow's weights are whole multiples of 2**-22, and it rounds to bytes between its horizontal and its vertical
    pass; so do we. From version 13 it takes the vertical pass first where the height shrinks much more than the
    width; we keep the order in which published results were made.

    Args:
        images: (N, C, H, W) uint8.
        boxes: N of them, or one for all, inside the images.
        height: Of the result, in pixels.
        width: Of the result, in pixels.

    Returns:
        (N, C, height, width) uint8.
    """
    across = _weights(boxes.lefts, boxes.widths, width, images.shape[3], images.device)
    down = _weights(boxes.tops, boxes.heights, height, images.shape[2], images.device)
    # In double precision the sums are exact. Autocast would make products of half precision out of them.
    with torch.autocast(images.device.type, enabled=False):
        rows = _levels(images.double() @ across.mT[:, None])
        return _levels(down[:, None] @ rows).to(torch.uint8)


def _levels(pixels: Tensor) -> Tensor:
    """Pixels rounded half up, as Pillow's fixed-point sums are, and clipped to bytes."""
    return pixels.add_(0.5).floor_().clamp_(0, 255)


def _weights(starts: Tensor, lengths: Tensor, size: int, extent: int, device: torch.device) -> Tensor:
    """(N, size, extent) share of each of `extent` places in each of `size` pixels made of [start, start + length)."""
    starts = starts.to(device, torch.float64)[:, None, None]
    lengths = lengths.to(device, torch.float64)[:, None, None]
    scales = lengths / size
    centers = (torch.arange(size, device=device, dtype=torch.float64)[:, None] + 0.5) * scales
    places = torch.arange(extent, device=device, dtype=torch.float64) - starts
    distances = (places + 0.5 - centers).abs() / scales.clamp(min=1)
    weights = _keys_kernel(distances) * ((places >= 0) & (places < lengths))
    steps = weights / weights.sum(-1, keepdim=True) * _STEPS
    # Half away from zero; torch rounds half to even.
    return (steps.abs() + 0.5).floor().copysign(steps) / _STEPS


def _keys_kernel(distances: Tensor) -> Tensor:
    """Cubic convolution kernel at distances >= 0 (Keys 1981, eq. 4 with a = -1/2)."""
    near = (1.5 * distances - 2.5) * distances**2 + 1
    far = ((2.5 - 0.5 * distances) * distances - 4) * distances + 2
    return torch.where(distances < 1, near, torch.where(distances < 2, far, 0.0))
