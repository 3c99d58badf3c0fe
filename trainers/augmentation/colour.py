"""Operations on the values of pixels, each bit for bit what Pillow computes for one image.

Every function takes (N, C, H, W) uint8 images of one (grey) or three (RGB) channels on any device, and gives new
images of that kind. Parameters are (N,) float64 on the CPU, one for each image. Pillow's function is named where a
formula is not its definition.
"""

from __future__ import annotations

import torch
from torch import Tensor


def invert(images: Tensor) -> Tensor:
    """The negative."""
    return 255 - images


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """The negative of the pixels at or above a threshold in [0, 256]."""
    return torch.where(images < _per_image(thresholds.ceil(), torch.int16, images), images, 255 - images)


def solarize_add(images: Tensor, additions: Tensor) -> Tensor:
    """Pixels below 128 brightened by a whole number in [0, 128]; timm's operation, Pillow has none."""
    brighter = images + _per_image(additions, torch.int16, images)
    return torch.where(images < 128, brighter.clamp(max=255).to(torch.uint8), images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Only the highest 0 to 8 bits of every pixel. Pillow 13 refuses 0 bits; before, they gave black, as here."""
    return images & _per_image(256 - 2 ** (8 - bits), torch.uint8, images)


def autocontrast(images: Tensor) -> Tensor:
    """Every channel stretched linearly so that its darkest pixel is 0 and its lightest 255."""
    flat = images.flatten(2)
    low = flat.amin(2, keepdim=True).double()
    high = flat.amax(2, keepdim=True).double()
    # In double precision and in this order, because the result is cut off, not rounded. A plain number divided by a
    # tensor would be multiplied by the tensor's reciprocal.
    scale = torch.tensor(255.0, dtype=torch.float64) / (high - low).clamp(min=1)
    values = torch.arange(256, device=images.device, dtype=torch.float64)
    table = (values * scale + -low * scale).clamp(0, 255)
    return _looked_up(images, torch.where(high > low, table, values))


def equalize(images: Tensor) -> Tensor:
    """Every channel with a histogram as flat as a map of levels can make it."""
    histogram = _histogram(images)
    total = histogram.sum(2, keepdim=True)
    last = images.flatten(2).amax(2, keepdim=True).long()
    step = (total - histogram.gather(2, last)) // 255
    below = histogram.cumsum(2) - histogram
    table = (step // 2 + below) // step.clamp(min=1)
    values = torch.arange(256, device=images.device)
    # In small images the last levels would pass 255; Pillow clips them.
    return _looked_up(images, torch.where(step > 0, table.clamp(max=255), values))


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Pixels times a factor >= 0."""
    return _blended(torch.zeros((), device=images.device), images, factors)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Distances from the image's mean grey level times a factor >= 0."""
    mean = _grey(images).flatten(1).double().mean(1)
    return _blended((mean + 0.5).floor()[:, None, None, None], images, factors)


def colour(images: Tensor, factors: Tensor) -> Tensor:
    """Distances from each pixel's grey level times a factor >= 0 (`ImageEnhance.Color`); grey images stay."""
    return images if images.shape[1] == 1 else _blended(_grey(images), images, factors)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Distances from the smoothed image times a factor >= 0."""
    return _blended(_smooth(images), images, factors)


def _blended(degenerate: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    """`Image.blend`: in single precision, cut off to bytes."""
    base = degenerate.float()
    differences = images.float() - base
    pixels = differences.mul_(_per_image(factors, torch.float32, images)).add_(base)
    return pixels.clamp_(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """(N, 1, H, W) luma of ITU-R 601-2 in Pillow's fixed-point arithmetic; grey images themselves."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(f"only grey and RGB images have a grey level; got {images.shape[1]} channels")
    levels = images.int()
    luma: Tensor = (levels[:, :1] * 19595 + levels[:, 1:2] * 38470 + levels[:, 2:] * 7471 + 0x8000) >> 16
    return luma


def _smooth(images: Tensor) -> Tensor:
    """`ImageFilter.SMOOTH`: 3x3 with weights 1, in the centre 5; the outermost pixels stay as they are."""
    smooth = images.float()
    if min(images.shape[2:]) < 3:
        return smooth
    # Sums of bytes are exact in float32, and no sum comes near the places where rounding to bytes jumps.
    lines = smooth[:, :, :-2] + smooth[:, :, 1:-1] + smooth[:, :, 2:]
    sums = lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]
    center = smooth[:, :, 1:-1, 1:-1]
    smooth[:, :, 1:-1, 1:-1] = (sums.add_(center, alpha=4) / 13 + 0.5).floor_()
    return smooth


def _histogram(images: Tensor) -> Tensor:
    """(N, C, 256) counts of every level."""
    count, channels = images.shape[:2]
    offsets = 256 * torch.arange(count * channels, device=images.device)
    bins = images.flatten(2).flatten(0, 1).long() + offsets[:, None]
    counts = torch.zeros(count * channels * 256, device=images.device, dtype=torch.int64)
    # In one dimension, where adding is deterministic on every device.
    counts.scatter_add_(
        0, bins.flatten(), torch.ones((), device=images.device, dtype=torch.int64).expand(bins.numel())
    )
    return counts.view(count, channels, 256)


def _looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Every pixel replaced by the entry of its channel's table, (N, C, 256)."""
    return tables.to(torch.uint8).gather(2, images.flatten(2).long()).view(images.shape)


def _per_image(parameters: Tensor, dtype: torch.dtype, images: Tensor) -> Tensor:
    """(N, 1, 1, 1) beside the images."""
    return parameters.to(dtype).to(images.device)[:, None, None, None]
