"""Blurring, zooming and moving pixels: two matrix products for whatever treats lines and columns alike."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Fold = Callable[[Tensor, int], Tensor]
"""Where a place beyond the edge is read from: places (int64) and the side of the image give places within it."""


def at_the_edge(places: Tensor, size: int) -> Tensor:
    """Goes on with the pixel at the edge: a a a | a b c d | d d d."""
    return places.clamp(0, size - 1)


def mirrored(places: Tensor, size: int) -> Tensor:
    """Goes back from the pixel at the edge: c b a | a b c d | d c b; scipy calls it `reflect`."""
    within = places.remainder(2 * size)
    return torch.minimum(within, 2 * size - 1 - within)


def mirrored_at_the_edge(places: Tensor, size: int) -> Tensor:
    """Goes back from the one before it: d c b | a b c d | c b a; OpenCV's `reflect_101`, scipy's `mirror`."""
    if size == 1:
        return torch.zeros_like(places)
    within = places.remainder(2 * size - 2)
    return torch.minimum(within, 2 * size - 2 - within)


def both_ways(images: Tensor, matrix: Tensor) -> Tensor:
    """The same linear map of lines and of columns of (..., size, size) images: a matrix (result, size)."""
    matrix = matrix.to(images.device)
    return matrix @ images @ matrix.mT


def gaussian_matrix(size: int, sigma: float, *, truncate: float, fold: Fold) -> Tensor:
    """A Gaussian blur of a line as scipy's `gaussian_filter` weighs it: cut off after `truncate` deviations."""
    radius = int(truncate * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (steps.double() / sigma) ** 2)
    return _line_matrix(size, steps, weights / weights.sum(), fold)


def zoom_matrix(size: int, factor: float) -> Tensor:
    """The middle 1/factor of a line at full size again: cut, scipy's linear `zoom`, and cut to size."""
    cut = math.ceil(size / factor)
    start = (size - cut) // 2
    length = round(cut * factor)
    first = (length - size) // 2
    # scipy's first and last place of the result are those of what it zooms.
    places = np.arange(first, first + size) * ((cut - 1) / (length - 1) if length > 1 else 0)
    below = np.minimum(np.floor(places).astype(np.int64), max(cut - 2, 0))
    matrix = np.zeros((size, size))
    lines = np.arange(size)
    matrix[lines, start + below] = 1 - (places - below)
    matrix[lines, start + np.minimum(below + 1, cut - 1)] += places - below
    return torch.from_numpy(matrix)


def moved(images: Tensor, down: Tensor, across: Tensor, fold: Fold) -> Tensor:
    """Pixels read from whole places.

    Args:
        images: (N, C, H, W).
        down: Line of each pixel's source, (N, H, W) int64.
        across: Its column.
        fold: What is beyond the edges.
    """
    height, width = images.shape[2:]
    places = fold(down, height) * width + fold(across, width)
    return images.flatten(2).gather(2, places.flatten(1)[:, None].expand(-1, images.shape[1], -1)).view(images.shape)


def interpolated(images: Tensor, down: Tensor, across: Tensor, fold: Fold) -> Tensor:
    """As `moved`, from places between pixels (float64), bilinearly."""
    top, left = down.floor(), across.floor()
    rest_down, rest_across = (down - top)[:, None], (across - left)[:, None]
    top, left = top.long(), left.long()

    def line(step: int) -> Tensor:
        first, second = (moved(images, top + step, left + side, fold) for side in (0, 1))
        return first + rest_across * (second - first)

    upper, lower = line(0), line(1)
    return upper + rest_down * (lower - upper)


def grid_of(images: Tensor) -> tuple[Tensor, Tensor]:
    """Line and column of every pixel, (1, H, 1) and (1, 1, W) int64."""
    height, width = images.shape[-2:]
    down, across = (torch.arange(size, device=images.device) for size in (height, width))
    return down[None, :, None], across[None, None]


def _line_matrix(size: int, steps: Tensor, weights: Tensor, fold: Fold) -> Tensor:
    lines = torch.arange(size)[:, None]
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.index_put_((lines.expand(-1, len(steps)), fold(lines + steps, size)), weights, accumulate=True)
