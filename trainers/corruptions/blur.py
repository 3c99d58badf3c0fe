"""Lenses, glass, motion and zoom. Images are (N, C, H, W) float64 in [0, 1]."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Generator, Tensor

from trainers.corruptions.resampling import (
    at_the_edge,
    both_ways,
    gaussian_matrix,
    grid_of,
    mirrored_at_the_edge,
    moved,
    zoom_matrix,
)

_SHORTEST_ZOOM_STEP = 0.01


def defocus_blur(images: Tensor, lens: tuple[float, float], generator: Generator) -> Tensor:  # noqa: ARG001
    """A disk of a radius, itself blurred by a deviation over 3 x 3 pixels against steps at its rim.

    Args:
        images: The images.
        lens: Radius and deviation in pixels.
        generator: Not drawn from.
    """
    kernel = disk_kernel(*lens)
    reach = len(kernel) // 2
    down, across = grid_of(images)
    shape = (len(images), *images.shape[2:])
    total = torch.zeros_like(images)
    for line, column in kernel.nonzero().tolist():
        source = (down + line - reach).expand(shape), (across + column - reach).expand(shape)
        total += kernel[line, column] * moved(images, *source, mirrored_at_the_edge)
    return total


def disk_kernel(radius: float, deviation: float) -> Tensor:
    """The weights of `defocus_blur`, an odd number of lines and columns."""
    reach = math.floor(radius) + 1
    steps = torch.arange(-reach, reach + 1)
    disk = ((steps[:, None] ** 2 + steps**2) <= radius**2).double()
    soft = torch.exp(-0.5 * (torch.arange(-1, 2).double() / deviation) ** 2)
    soft /= soft.sum()
    ones = torch.ones(len(steps), dtype=torch.float64)
    line = soft[1] * torch.diag(ones) + soft[0] * (torch.diag(ones[1:], -1) + torch.diag(ones[1:], 1))
    return line @ (disk / disk.sum()) @ line.mT


def glass_blur(images: Tensor, glass: tuple[float, int], generator: Generator) -> Tensor:
    """A blur of a deviation, then each pixel takes itself or the neighbour above, left, or both, and a blur again.

    The authors mean to exchange pixels, but their assignment copies views of one array: the neighbour is overwritten
    by nothing, and every later pixel still sees it as it was. Their images are of that, and so are ours.

    Args:
        images: The images.
        glass: Deviation in pixels, and how often pixels are moved.
        generator: Of the neighbours.
    """
    deviation, times = glass
    blur = gaussian_matrix(images.shape[2], deviation, truncate=4, fold=at_the_edge)
    images = (both_ways(images, blur) * 255 + _ROUNDING).floor() / 255
    down, across = grid_of(images)
    inner = (down > 1) & (across > 1)
    for _ in range(times):
        steps = (
            torch.randint(0, 2, (2, len(images), *images.shape[2:]), generator=generator).to(images.device) * inner
        )
        images = moved(images, down - steps[0], across - steps[1], at_the_edge)
    return both_ways(images, blur)


_ROUNDING = 1e-6
"""Of a level: sums that are whole numbers may come out just below."""


def motion_blur(images: Tensor, motion: tuple[int, float], generator: Generator) -> Tensor:
    """A camera that moves, within 45 degrees of the horizontal.

    Args:
        images: The images.
        motion: Radius and deviation in pixels.
        generator: Of the angles.
    """
    angles = _between(-45.0, 45.0, len(images), generator)
    return moving(images, angles, radius=motion[0], deviation=motion[1])


def moving(images: Tensor, degrees: Tensor, *, radius: int, deviation: float) -> Tensor:
    """ImageMagick's motion blur: half a Gaussian of 2 * radius + 1 pixels on a line at an angle, rounded to bytes.

    Args:
        images: The images.
        degrees: An angle for each, (N,) float64 on the CPU.
        radius: In pixels.
        deviation: In pixels.
    """
    weights = torch.exp(-0.5 * (torch.arange(2 * radius + 1).double() / deviation) ** 2)
    weights /= weights.sum()
    angles = torch.deg2rad(degrees)
    down, across = grid_of(images)
    shape = (len(images), *images.shape[2:])
    total = torch.zeros_like(images)
    for step, weight in enumerate(weights.tolist()):
        x, y = (
            (step * share - 0.5).ceil().long().to(images.device)[:, None, None]
            for share in (angles.cos(), angles.sin())
        )
        total += weight * moved(images, (down + y).expand(shape), (across + x).expand(shape), at_the_edge)
    return (total * 255).round() / 255


def zoom_blur(images: Tensor, largest: float, generator: Generator) -> Tensor:  # noqa: ARG001
    """The mean of an image and of its middle at sizes from 1 up to the largest in steps of 0.01.

    Args:
        images: The images.
        largest: Factor of size.
        generator: Not drawn from.
    """
    total = images.clone()
    # The authors' own numbers: rounding decides whether the last one is the largest.
    factors = np.arange(1, largest, _SHORTEST_ZOOM_STEP)
    for factor in factors.tolist():
        total += both_ways(images, _zoom(images.shape[2], factor))
    return total / (len(factors) + 1)


@cache
def _zoom(size: int, factor: float) -> Tensor:
    return zoom_matrix(size, factor)


def _between(low: float, high: float, count: int, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
