"""What it costs to choose one column for all rows, and what knowing the row is worth once luck is taken away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import hypergeom

from orchestrator.analysis.statistics.intervals import student_half_width
from orchestrator.analysis.statistics.replicates import as_scores, cell_means, tied

TOP = 3
"""Columns in the sets whose overlap over replicates is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regrets:
    """What each column lacks to the best of each row, in the table's unit."""

    regret: NDArray[np.float64]
    """Shape (n, k): the row's maximum minus the value, at least 0."""
    mean: NDArray[np.float64]
    """Shape (k,)."""
    maximum: NDArray[np.float64]
    """Shape (k,)."""
    win_share: NDArray[np.float64]
    """Shape (k,): share of rows in which the column is best, a tie counting as a part of a win; sums to 1."""
    superiority: NDArray[np.float64]
    """Shape (k,): sum of squared regrets / (2 n), of Lin and Binns (1988); small is good everywhere."""
    generalist: int
    """The column of smallest mean regret, which is that of the highest mean; of equal ones the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouplingGain:
    """Mean over rows of (the row's own best column) minus (the generalist), in the table's unit."""

    n_rows: int
    plug_in: float
    """From all replicates at once: the generalist's mean regret. Too high, also where columns do not differ at all,
    because the best of k noisy means is chosen for its luck."""
    cross_fitted: float | None
    """Both choices made on all replicates but one and valued on that one, averaged: what choosing by the row is worth
    to someone with r - 1 replicates, so a little below the gain of one who knows. Without coupling it is about 0
    where columns are equal, and below 0 where they differ little: the generalist is then the better choice. None
    without a second replicate."""
    low: float | None
    """Student's t interval over the rows of what `cross_fitted` estimates, as if they were drawn from many such rows:
    on the safe side where they are all of interest and differ; where columns are equal it covers in 92 % of tables.
    The gain of one who knows may lie above it where gains are no larger than the noise: with 20 x 20 cells, 3
    replicates and a gain of half their standard deviation it did in one table of eight."""
    high: float | None
    n_rows_cross_fitted: int
    """Rows behind `cross_fitted`: those complete in a replicate, and in the others together."""
    best_of_k_bias: float | None
    """By how much the highest of k equal columns would seem to lie above their common value: E[max of k standard
    normals] times the pooled standard deviation over sqrt(r). The most that luck adds to a row's best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopOverlap:
    """How far two replicates name the same best columns of a row."""

    size: int
    mean: float
    """Mean over rows and pairs of replicates of the sets' common part over their union (Jaccard)."""
    by_chance: float
    """Its expectation for sets drawn at random."""


def regrets(table: NDArray[np.float64]) -> Regrets | None:
    """Regret, win share and superiority of columns.

    Args:
        table: Shape (n, k), complete, higher is better.

    Returns:
        None for a table without rows or with fewer than two columns.

    Raises:
        ValueError: It is no table, or a cell is missing.
    """
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError("regret needs a complete table of rows and columns; leave out rows with missing cells first")
    n, k = table.shape
    if n == 0 or k < 2:
        return None
    regret = table.max(axis=1, keepdims=True) - table
    wins = tied(regret, scale=table) == 0
    mean = regret.mean(axis=0)
    return Regrets(
        regret=regret,
        mean=mean,
        maximum=regret.max(axis=0),
        win_share=(wins / wins.sum(axis=1, keepdims=True)).mean(axis=0),
        superiority=(regret**2).sum(axis=0) / (2 * n),
        generalist=int(tied(mean, scale=table).argmin()),
    )


def coupling_gain(scores: ArrayLike) -> CouplingGain | None:
    """What a user gains by knowing the row, with and without the winner's curse.

    The replicates must be alike in all cells in nothing but their number. A row counts in a fold where every column
    has that replicate, whichever column is chosen: a specialist that is not the generalist needs two of them, so to
    ask for no more than is needed would keep the rows without a gain and lose those with one.

    Args:
        scores: Shape (n, k, r). Rows in which a cell has no replicate are left out.

    Returns:
        None without a complete row, or with fewer than two columns.
    """
    array = as_scores(scores)
    means = cell_means(array).means
    complete = np.isfinite(means).all(axis=1)
    found = regrets(means[complete])
    if found is None:
        return None
    kept = array[complete]
    gains = _held_out_gains(kept)
    there = np.isfinite(gains)
    by_row = (np.where(there, gains, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))[there.any(axis=1)]
    value = float(by_row.mean()) if len(by_row) else None
    half = None
    if len(by_row) > 1:
        half = student_half_width(by_row.std(ddof=1) / np.sqrt(len(by_row)), len(by_row) - 1)
    return CouplingGain(
        n_rows=int(complete.sum()),
        plug_in=float(found.mean[found.generalist]),
        cross_fitted=value,
        low=None if value is None or half is None else value - half,
        high=None if value is None or half is None else value + half,
        n_rows_cross_fitted=len(by_row),
        best_of_k_bias=_best_of_k_bias(kept),
    )


def _held_out_gains(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n, r): specialist minus generalist in each replicate, chosen on the others; NaN in incomplete rows."""
    n, _, replicates = scores.shape
    gains = np.full((n, replicates), np.nan)
    rows = np.arange(n)
    for fold in range(replicates if replicates > 1 else 0):
        known = cell_means(np.delete(scores, fold, axis=2)).means
        chosen_on = np.isfinite(known).all(axis=1)
        if chosen_on.any():
            generalist = int(known[chosen_on].mean(axis=0).argmax())
            specialists = np.where(chosen_on, np.where(np.isfinite(known), known, -np.inf).argmax(axis=1), generalist)
            gain = scores[rows, specialists, fold] - scores[:, generalist, fold]
            valued = chosen_on & np.logical_and.reduce(np.isfinite(scores[:, :, fold]), axis=1)
            gains[:, fold] = np.where(valued, gain, np.nan)
    return gains


def _best_of_k_bias(scores: NDArray[np.float64]) -> float | None:
    cells = cell_means(scores)
    number = cells.counts
    degrees = int((number - 1).sum())
    if degrees == 0:
        return None
    squares = np.where(np.isfinite(scores), (scores - cells.means[:, :, None]) ** 2, 0.0).sum()
    # Cells with fewer replicates have noisier means: the mean of 1/r, not 1 over the mean.
    return float(expected_maximum(scores.shape[1]) * np.sqrt(squares / degrees * (1 / number).mean()))


def expected_maximum(k: int) -> float:
    """Mean of the highest of k independent standard normal values: 1.867 for k = 20."""
    if k < 1:
        raise ValueError(f"the highest of k values needs k of at least 1; got {k}")

    # E max = integral of (1 - F) over the positive minus F over the negative half line, with F = ndtr^k.
    upper, _ = quad(lambda x: 1 - ndtr(x) ** k, 0, np.inf)
    lower, _ = quad(lambda x: ndtr(x) ** k, -np.inf, 0)
    return float(upper - lower)


def top_overlap(scores: ArrayLike, *, size: int = TOP) -> TopOverlap | None:
    """Whether replicates agree on the best columns of each row.

    A tie at the border of a set counts as a part of a member.

    Args:
        scores: Shape (n, k, r). A row counts for the pairs of replicates in which it is complete.
        size: Columns in a set.

    Returns:
        None for a single replicate, no complete row in two of them, or sets that hold every column.
    """
    array = as_scores(scores)
    _, k, replicates = array.shape
    if k <= size or size < 1:
        return None
    complete: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(array), axis=1)
    members = _membership(np.moveaxis(np.where(np.isfinite(array), tied(array), -np.inf), 2, 1), size)
    overlaps = []
    for first in range(replicates):
        for second in range(first + 1, replicates):
            both = complete[:, first] & complete[:, second]
            x, y = members[both, first], members[both, second]
            overlaps.append(np.minimum(x, y).sum(axis=1) / np.maximum(x, y).sum(axis=1))
    every = np.concatenate(overlaps) if overlaps else np.empty(0)
    if not len(every):
        return None
    common = np.arange(size + 1)
    chance = float((hypergeom.pmf(common, k, size, size) * common / (2 * size - common)).sum())
    return TopOverlap(size=size, mean=float(every.mean()), by_chance=chance)


def _membership(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """How much each value of the last axis is one of the `size` highest: 1, 0, or a part where ties cross."""
    border = np.sort(values, axis=-1)[..., -size, None]
    above, at_border = values > border, values == border
    share = (size - above.sum(axis=-1, keepdims=True)) / at_border.sum(axis=-1, keepdims=True)
    return np.where(above, 1.0, np.where(at_border, share, 0.0))
