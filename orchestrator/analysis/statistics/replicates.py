"""Scores with replicates as arrays: the shape that every statistic on a table takes, and means over replicates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""Relative difference that arithmetic on a few dozen numbers can cause by itself: 1.4e-14."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellMeans:
    """Means over the replicates of each cell."""

    counts: NDArray[np.int64]
    """Shape (a, b): replicates with a score."""
    means: NDArray[np.float64]
    """Shape (a, b): in the unit of the scores; NaN in a cell without any."""

    @property
    def harmonic_count(self) -> float:
        """Harmonic mean of the counts of the cells that have a score, of which there is at least one."""
        counts = self.counts[self.counts > 0]
        if (counts == counts[0]).all():
            return float(counts[0])
        return float(counts.size / (1.0 / counts).sum())


def as_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores as a float array of shape (a, b, r).

    Args:
        scores: Shape (a, b, r), or (a, b) for one replicate; NaN where there is no result.

    Raises:
        ValueError: Another number of dimensions, an empty axis, or an infinite score.
    """
    # One memory layout, because sums in another order differ in their last digit.
    array = np.ascontiguousarray(scores, dtype=np.float64)
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"scores have the shape (rows, columns, replicates) with none empty, not {array.shape}")
    if np.isinf(array).any():
        raise ValueError("a score is infinite: a result is finite, and a missing one is NaN")
    return array


def cell_means(scores: ArrayLike) -> CellMeans:
    """Mean and number of the replicates of each cell; NaN replicates are left out."""
    array = as_scores(scores)
    there = np.isfinite(array)
    counts = there.sum(axis=2)
    sums = np.where(there, array, 0.0).sum(axis=2)
    return CellMeans(counts=counts, means=np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))


def without_empty(scores: ArrayLike) -> tuple[NDArray[np.float64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The scores without rows and columns that have none, and (rows, columns) that remain, as indices."""
    array = as_scores(scores)
    there = np.isfinite(array).any(axis=2)
    rows, columns = np.unique(np.nonzero(there)[0]), np.unique(np.nonzero(there)[1])
    return np.ascontiguousarray(array[rows][:, columns]), (rows, columns)


def rounding_floor(values: ArrayLike) -> float:
    """The largest sum of squared deviations that can be rounding alone, so that it stands for 0.

    Values near 70 that are equal on paper differ by about 1e-14 in floating point: their sum of squares is not 0,
    and a ratio to it would be a made-up number.
    """
    array = np.asarray(values, dtype=np.float64)
    return array.size * (_ROUNDING * float(np.nanmax(np.abs(array), initial=0.0))) ** 2


def is_constant(values: NDArray[np.float64]) -> bool:
    """Whether values, of any shape and none of them NaN, are equal but for rounding; an empty array is."""
    return bool(np.ptp(values) <= _ROUNDING * np.abs(values).max()) if values.size else True


def tied(values: NDArray[np.float64], *, scale: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Values to 9 significant digits of the largest, so that those that are equal on paper tie.

    Accuracies are shares of counted images, rounded to ten decimals of a point: means of equal counts differ in the
    tenth, and rounding to nine would still part one in twelve of them (three seeds, 360 images). Means of others
    differ by more than 1e-4 points. For ranks, wins and signs; not for numbers to be shown.

    Args:
        values: Any shape; NaN stays.
        scale: What the values were computed from, for differences, which may be far smaller than their rounding.
    """
    largest = float(np.nanmax(np.abs(values if scale is None else scale), initial=0.0))
    return values.round(8 - math.floor(math.log10(largest))) if largest > 0 else values
