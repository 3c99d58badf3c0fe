"""Snow, frost, fog and light. Images are (N, 3, H, W) float64 in [0, 1]; results may be beyond."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainers.corruptions.blur import moving
from trainers.corruptions.resampling import both_ways, zoom_matrix

_ROUGHNESS = 100.0
_FROST_DECAY = 1.7
"""Less smooth than any fog: frost has fine lines."""
_FROST_TINT = (0.86, 0.94, 1.0)
_GREY = (0.299, 0.587, 0.114)
"""Of red, green and blue in brightness (ITU-R BT.601)."""


def snow(images: Tensor, fall: tuple[float, float, float, float, int, float, float], generator: Generator) -> Tensor:
    """Flakes that fall, twice across the image, before a scene that is whiter.

    Args:
        images: The images.
        fall: Mean and deviation of the normal values that flakes are made of, how much these are zoomed, from which
            value on they are flakes, radius and deviation of their fall in pixels, and the share of its own light
            that the scene keeps.
        generator: Of values and angles.
    """
    mean, deviation, zoom, threshold, radius, blur, own = fall
    shape = (len(images), 1, *images.shape[2:])
    values = mean + deviation * torch.randn(shape, generator=generator, dtype=images.dtype).to(images.device)
    flakes = both_ways(values, zoom_matrix(images.shape[2], zoom))
    flakes = torch.where(flakes < threshold, 0.0, flakes).clamp(0, 1)
    degrees = -135 + 90 * torch.rand(len(images), generator=generator, dtype=torch.float64)
    flakes = moving((flakes * 255).floor() / 255, degrees, radius=radius, deviation=blur)
    weights = torch.tensor(_GREY, dtype=images.dtype, device=images.device)[:, None, None]
    grey = (images * weights).sum(1, keepdim=True)
    whiter = own * images + (1 - own) * torch.maximum(images, 1.5 * grey + 0.5)
    return whiter + flakes + flakes.flip(2, 3)


def frost(images: Tensor, shares: tuple[float, float], generator: Generator) -> Tensor:
    """Ice on the window: a share of the image and one of a picture of frost.

    The authors lay crops of five photographs over the image. We have none to give away: the frost is a fractal with
    bright ridges, bluish, drawn anew for every image. Numbers of this corruption are not those of CIFAR-C.

    Args:
        images: The images.
        shares: Of the image, and of the frost.
        generator: Of the frost.
    """
    height, width = images.shape[2:]
    heights = plasma(len(images), max(height, width), _FROST_DECAY, generator)[:, None, :height, :width]
    ridges = (1 - (2 * heights - 1).abs()) ** 2
    tint = torch.tensor(_FROST_TINT, dtype=images.dtype)[:, None, None]
    ice = (0.35 + 0.65 * ridges) * tint
    return shares[0] * images + shares[1] * ice.to(images.device)


def fog(images: Tensor, haze: tuple[float, float], generator: Generator) -> Tensor:
    """A fractal laid over the image, which keeps its largest value.

    Args:
        images: The images.
        haze: How much of it, and by what factor its roughness falls with each halving of scale.
        generator: Of the fractal.
    """
    height, width = images.shape[2:]
    haze_map = plasma(len(images), max(height, width), haze[1], generator)[:, None, :height, :width]
    largest = images.amax((1, 2, 3), keepdim=True)
    return (images + haze[0] * haze_map.to(images.device)) * largest / (largest + haze[0])


def brightness(images: Tensor, more: float, generator: Generator) -> Tensor:  # noqa: ARG001
    """So much more light: of the value of hue, saturation and value, which scales all three colours.

    Args:
        images: The images.
        more: Of a range of 1.
        generator: Not drawn from.
    """
    value = images.amax(1, keepdim=True)
    brighter = (value + more).clamp(0, 1)
    return torch.where(value > 0, images * (brighter / value.clamp(min=1e-12)), brighter)


def plasma(count: int, size: int, decay: float, generator: Generator) -> Tensor:
    """Fractals by midpoint displacement on a torus (diamond-square, Fournier et al. 1982), each from 0 to 1.

    Args:
        count: How many.
        size: Side in pixels; the fractal's is the next power of two.
        decay: By what factor displacements fall with each halving of scale.
        generator: Of the displacements.

    Returns:
        (count, side, side) float64 on the CPU.
    """
    side = 1 << max(size - 1, 1).bit_length()
    heights = torch.zeros(count, side, side, dtype=torch.float64)
    step, roughness = side, _ROUGHNESS

    def displaced(total: Tensor) -> Tensor:
        draws = 2 * torch.rand(total.shape, generator=generator, dtype=torch.float64) - 1
        return total / 4 + roughness**2 * draws

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        heights[:, half::step, half::step] = displaced(pairs + pairs.roll(-1, 2))
        centres, corners = heights[:, half::step, half::step], heights[:, ::step, ::step]
        heights[:, ::step, half::step] = displaced(centres + centres.roll(1, 1) + corners + corners.roll(-1, 2))
        heights[:, half::step, ::step] = displaced(centres + centres.roll(1, 2) + corners + corners.roll(-1, 1))
        step, roughness = half, roughness / decay
    heights -= heights.amin((1, 2), keepdim=True)
    return heights / heights.amax((1, 2), keepdim=True)
