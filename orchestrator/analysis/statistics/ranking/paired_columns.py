"""Columns against each other over rows: signed-rank tests, and equivalence so that "no difference" is a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr
from scipy.stats import rankdata

from orchestrator.analysis.statistics.multiplicity import holm
from orchestrator.analysis.statistics.replicates import tied

EQUIVALENCE_MARGIN = 0.2
"""Percentage points within which two optimizers are called equivalent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPair:
    """One column against another over the rows that have both."""

    first: int
    second: int
    n: int
    """Rows with both."""
    mean_difference: float | None
    """First minus second; None without rows."""
    median_difference: float | None
    p: float | None
    """Two-sided exact Wilcoxon signed-rank test; None where all differences are 0."""
    p_holm: float | None
    """`p` after Holm (1979), over the pairs of the same call that have one."""
    p_equivalence: float | None
    """Two one-sided t tests (Schuirmann 1987) against the margin; None for fewer than two rows or no spread."""
    p_equivalence_holm: float | None


def compare_columns(
    table: NDArray[np.float64], pairs: Sequence[tuple[int, int]], *, margin: float = EQUIVALENCE_MARGIN
) -> tuple[ColumnPair, ...]:
    """Signed-rank and equivalence tests of pairs of columns, Holm-corrected over these pairs.

    Rows are blocks, not a random sample of architectures: a p-value speaks of these rows with signs as if by chance.

    Args:
        table: Shape (n, k), one value per cell, NaN where missing; higher is better.
        pairs: Column numbers to compare.
        margin: Differences below it, in the table's unit, do not matter; the default is for percentage points.

    Raises:
        ValueError: It is no table, or the margin is not above 0.
    """
    if table.ndim != 2 or margin <= 0:
        raise ValueError("pairs of columns need a table of rows and columns, and a margin above 0")
    differences = [_differences(table, first, second) for first, second in pairs]
    # 0.3 - 0.1 and 0.2 must tie, as they do on paper.
    with_ties = [tied(values, scale=table) for values in differences]
    tests = [signed_rank_p(values) for values in with_ties]
    equivalences = [equivalence_p(values, margin) for values in with_ties]
    return tuple(
        ColumnPair(
            first=first,
            second=second,
            n=len(values),
            mean_difference=float(values.mean()) if len(values) else None,
            median_difference=float(np.median(values)) if len(values) else None,
            p=p,
            p_holm=p_holm,
            p_equivalence=equivalence,
            p_equivalence_holm=equivalence_holm,
        )
        for (first, second), values, p, p_holm, equivalence, equivalence_holm in zip(
            pairs, differences, tests, _holm(tests), equivalences, _holm(equivalences), strict=True
        )
    )


def _differences(table: NDArray[np.float64], first: int, second: int) -> NDArray[np.float64]:
    found: NDArray[np.float64] = table[:, first] - table[:, second]
    return found[np.isfinite(found)]


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    corrected = iter(holm(np.array([p for p in p_values if p is not None])))
    return [None if p is None else float(next(corrected)) for p in p_values]


def signed_rank_p(differences: NDArray[np.float64]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test, exact given the ties; zero differences are dropped.

    Tables of accuracies have ties, for which the usual exact tables do not hold: the distribution of the rank sum is
    built here over all 2^n signs of the ranks at hand (Hollander and Wolfe 1999, section 3.1).

    Args:
        differences: Shape (n,).

    Returns:
        None where no difference is left.
    """
    values = differences[differences != 0]
    if not len(values):
        return None
    # Twice the mid-ranks are whole numbers.
    doubled = np.rint(2 * rankdata(np.abs(values))).astype(np.int64)
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chances)
        moved[rank:] = chances[: len(chances) - rank]
        chances = (chances + moved) / 2
    positive = int(doubled[values > 0].sum())
    smaller = min(positive, len(chances) - 1 - positive)
    return min(1.0, 2 * float(chances[: smaller + 1].sum()))


def equivalence_p(differences: NDArray[np.float64], margin: float) -> float | None:
    """The larger p of two one-sided t tests: small if the mean difference lies within the margin on both sides.

    Args:
        differences: Shape (n,), paired.
        margin: Above 0, in the unit of the differences.

    Returns:
        None for fewer than two differences or equal ones, whose spread says nothing.
    """
    n = len(differences)
    if n < 2 or np.ptp(differences) == 0:
        return None
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / np.sqrt(n)
    return float(max(stdtr(n - 1, (mean - margin) / error), stdtr(n - 1, -(mean + margin) / error)))
