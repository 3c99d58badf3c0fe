"""Two tables with the same rows and columns, measured twice: how far apart they are, and how alike their orders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.analysis.statistics.correlation import kendall, spearman
from orchestrator.analysis.statistics.intervals import TAILS, Estimate, mean_interval
from orchestrator.analysis.statistics.replicates import tied

Floats = NDArray[np.float64]

_ROUNDING = 1e-12
"""Spread, as a share of the values, that arithmetic alone can cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WelchDifferences:
    """Differences of means, entry by entry, in the scores' unit; NaN marks an entry that has none."""

    difference: Floats
    """Shape (a, b): mean of the second minus mean of the first; NaN where either has no score."""
    low: Floats
    """Shape (a, b): Welch's t interval at `CONFIDENCE`; NaN where either has fewer than two scores or both have equal
    scores only: an interval of no width would claim certainty."""
    high: Floats
    """As `low`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAgreement:
    """How alike two tables order their columns."""

    rows: int
    """Rows behind it: those with every column in both tables."""
    spearman_of_mean_ranks: float | None
    """Correlation of the columns' ranks by mean rank; None below two rows or three columns, or where all are tied."""
    kendall: tuple[float | None, ...]
    """For each row (all of them) tau-b of the columns that both tables have; None below three, or where all tie."""
    mean_kendall: float | None
    """Of the rows that have one."""


def welch_differences(first: Floats, second: Floats) -> WelchDifferences:
    """Differences of two tables' means with Welch's interval, which assumes no equal variances.

    Source: Welch (1947), with the Welch-Satterthwaite degrees of freedom.

    Args:
        first: Shape (a, b, r), NaN where there is no result.
        second: Shape (a, b, s), likewise.

    Raises:
        ValueError: The shapes do not belong together.
    """
    if first.ndim != 3 or second.ndim != 3 or first.shape[:2] != second.shape[:2]:
        raise ValueError(f"two tables of one layout are needed, not shapes {first.shape} and {second.shape}")
    (n, mean, share), (m, other_mean, other_share) = _moments(first), _moments(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = share + other_share
        freedom = total**2 / (share**2 / (n - 1) + other_share**2 / (m - 1))
        half = stats.t.ppf(TAILS[1], freedom) * np.sqrt(total)
    half[~(total > 0)] = np.nan
    difference = other_mean - mean
    return WelchDifferences(difference=difference, low=difference - half, high=difference + half)


def _moments(scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Number, mean and squared standard error along the last axis; NaN where there are too few."""
    there = np.isfinite(scores)
    n = there.sum(axis=2).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(there, scores, 0.0).sum(axis=2) / n
        squares = np.where(there, (scores - mean[:, :, None]) ** 2, 0.0).sum(axis=2)
        share = np.where(np.sqrt(squares) > _ROUNDING * np.abs(mean), squares, 0.0) / (n - 1) / n
    share[n < 2] = np.nan
    return n, mean, share


def mean_difference(differences: Floats) -> Estimate | None:
    """The mean of differences with Student's t interval; None without any.

    Args:
        differences: Any shape, NaN where there is none. The interval takes them as independent of each other.
    """
    found = differences[np.isfinite(differences)]
    return mean_interval(found.tolist()) if found.size else None


def order_agreement(first: Floats, second: Floats) -> OrderAgreement:
    """How alike two tables of means order their columns: rank 1 is the highest, ties share their mean rank.

    Source: Spearman (1904); Kendall (1945) for tau-b.

    Args:
        first: Shape (a, b), NaN where there is no value.
        second: The same shape.

    Raises:
        ValueError: The shapes differ.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"two tables of one layout are needed, not shapes {first.shape} and {second.shape}")
    first, second = tied(first), tied(second)
    there = np.isfinite(first) & np.isfinite(second)
    whole = there.all(axis=1)
    of_mean_ranks = None
    if whole.sum() >= 2:
        mean_ranks = [stats.rankdata(-table[whole], axis=1).mean(axis=0) for table in (first, second)]
        of_mean_ranks = spearman(*mean_ranks)
    taus = tuple(kendall(first[row, there[row]], second[row, there[row]]) for row in range(len(first)))
    known = [tau for tau in taus if tau is not None]
    return OrderAgreement(
        rows=int(whole.sum()),
        spearman_of_mean_ranks=of_mean_ranks,
        kendall=taus,
        mean_kendall=float(np.mean(known)) if known else None,
    )
