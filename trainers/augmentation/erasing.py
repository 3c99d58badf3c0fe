"""Random Erasing (Zhong et al. 2020): noise in one random rectangle of some images, in two published forms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_AREA = 0.02
_MOST_AREA = 1 / 3
_LEAST_ASPECT = 0.3
_TRIES = 10

_RELEASED_MEAN = (114.0, 123.0, 125.0)
_RELEASED_STD = (52.0, 51.0, 51.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rectangles:
    """Which images lose which rectangle: (K,) whole numbers on the CPU."""

    images: Tensor
    tops: Tensor
    lefts: Tensor
    heights: Tensor
    widths: Tensor

    def pixels(self) -> tuple[Tensor, Tensor]:
        """Image of every erased pixel and its place (row, column) there: (P,) and (2, P)."""
        sizes = self.heights * self.widths
        ends = sizes.cumsum(0)
        owners = torch.arange(len(sizes)).repeat_interleave(sizes)
        numbers = torch.arange(len(owners)) - (ends - sizes)[owners]
        widths = self.widths[owners]
        rows = self.tops[owners] + numbers // widths
        columns = self.lefts[owners] + numbers % widths
        return self.images[owners], torch.stack((rows, columns))


def random_erasing(images: Tensor, generator: torch.Generator, *, probability: float) -> Tensor:
    """Each image with a rectangle of noise, with a probability; before normalisation, as in the released configs.

    Noise is normal with mean 114 123 125 and standard deviation 52 51 51 in the three channels (grey images: their
    means), cut off to whole numbers and clipped to bytes. A rectangle that would pass the image is cut to it.

    Args:
        images: (N, C, H, W) uint8, any device.
        generator: On the CPU, so that the draws are the same on every device.
        probability: Of erasing, for every image.

    Returns:
        (N, C, H, W) uint8.
    """
    count, channels, height, width = images.shape
    rectangles = draw_released_rectangles(count, height, width, generator, probability)
    owners, places = rectangles.pixels()
    noise = torch.randn((len(owners), channels), generator=generator)
    levels = _per_channel(_RELEASED_MEAN, channels) + _per_channel(_RELEASED_STD, channels) * noise
    return _replaced(images, owners, places, levels.clamp(0, 255).to(torch.uint8))


def random_erasing_normalised(images: Tensor, generator: torch.Generator, *, probability: float) -> Tensor:
    """Each image with a rectangle of standard normal noise, with a probability; timm's mode "pixel", count 1.

    Rectangles that would pass the image are drawn again, up to ten times; then the image stays whole.

    Args:
        images: (N, C, H, W) float, normalised, any device.
        generator: On the CPU, so that the draws are the same on every device.
        probability: Of erasing, for every image.

    Returns:
        (N, C, H, W) of the same dtype.
    """
    count, channels, height, width = images.shape
    rectangles = draw_timm_rectangles(count, height, width, generator, probability)
    owners, places = rectangles.pixels()
    noise = torch.randn((len(owners), channels), generator=generator)
    return _replaced(images, owners, places, noise.to(images.dtype))


def draw_released_rectangles(
    count: int, height: int, width: int, generator: torch.Generator, probability: float
) -> Rectangles:
    """The law of the released `RandomErasing_numpy`: one try, cut to the image.

    Its places come from `numpy.random.randint`, whose upper end is left out: a rectangle never touches the lower
    or right edge unless it is as large as the image.
    """
    erased = _drawn(count, generator, probability)
    heights, widths = _sizes((len(erased),), height * width, generator)
    heights, widths = heights.clamp(max=height), widths.clamp(max=width)
    shares = torch.rand((2, len(erased)), generator=generator, dtype=torch.float64)
    return Rectangles(
        images=erased,
        tops=(shares[0] * (height - heights)).long(),
        lefts=(shares[1] * (width - widths)).long(),
        heights=heights.long(),
        widths=widths.long(),
    )


def draw_timm_rectangles(
    count: int, height: int, width: int, generator: torch.Generator, probability: float
) -> Rectangles:
    """The law of timm's `RandomErasing`: up to ten tries for a rectangle smaller than the image on both sides."""
    erased = _drawn(count, generator, probability)
    heights, widths = _sizes((len(erased), _TRIES), height * width, generator)
    shares = torch.rand((2, len(erased)), generator=generator, dtype=torch.float64)
    fits = (heights < height) & (widths < width)
    found = fits.any(1)
    # The first try that fits: argmax returns the first of equal values.
    first = fits.int().argmax(1, keepdim=True)
    heights, widths = heights.gather(1, first).squeeze(1)[found], widths.gather(1, first).squeeze(1)[found]
    return Rectangles(
        images=erased[found],
        tops=(shares[0, found] * (height - heights + 1)).long(),
        lefts=(shares[1, found] * (width - widths + 1)).long(),
        heights=heights.long(),
        widths=widths.long(),
    )


def _drawn(count: int, generator: torch.Generator, probability: float) -> Tensor:
    """Places of the images to erase."""
    return (torch.rand(count, generator=generator) < probability).nonzero().squeeze(1)


def _sizes(shape: tuple[int, ...], area: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Heights and widths in pixels: uniform in area, log-uniform in height / width."""
    shares, aspects = torch.rand((2, *shape), generator=generator, dtype=torch.float64)
    areas = area * (_LEAST_AREA + (_MOST_AREA - _LEAST_AREA) * shares)
    aspects = torch.exp(math.log(_LEAST_ASPECT) * (1 - 2 * aspects))
    return torch.sqrt(areas * aspects).round(), torch.sqrt(areas / aspects).round()


def _per_channel(levels: tuple[float, ...], channels: int) -> Tensor:
    if channels == len(levels):
        return torch.tensor(levels)
    return torch.full((channels,), sum(levels) / len(levels))


def _replaced(images: Tensor, owners: Tensor, places: Tensor, pixels: Tensor) -> Tensor:
    """A copy of images with (P, C) pixels at their places."""
    images = images.clone()
    device = images.device
    rows, columns = places.to(device)
    images[owners.to(device), :, rows, columns] = pixels.to(device)
    return images
