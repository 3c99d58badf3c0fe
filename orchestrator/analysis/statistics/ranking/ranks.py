"""Whether rows agree on the order of columns: Friedman, Kendall's W within and between groups, Nemenyi's difference.

Low agreement is coupling. Rank 1 is best; ties share the mean of their ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, f, rankdata, studentized_range

from orchestrator.analysis.statistics.correlation import spearman
from orchestrator.analysis.statistics.replicates import tied

ALPHA = 0.05
"""Level of the critical difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far n rows agree on the order of k columns."""

    n_rows: int
    mean_ranks: NDArray[np.float64]
    """Shape (k,): mean over rows of the ranks, 1 is best."""
    friedman_chi2: float | None
    """Friedman's statistic with correction for ties; None where every row ties all its columns."""
    p: float | None
    """From chi-squared with k - 1 degrees of freedom: conservative for few rows."""
    kendall_w: float | None
    """chi2 / (n (k - 1)): 1 if all rows agree, near 1/n if they have nothing in common."""
    iman_davenport_f: float | None
    """(n - 1) chi2 / (n (k - 1) - chi2) (Iman and Davenport 1980); None where it is infinite, at W = 1."""
    iman_davenport_p: float | None
    """From F with k - 1 and (k - 1)(n - 1) degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAgreement:
    """Agreement within one group of rows, and of the other rows."""

    group: str
    n_rows: int
    kendall_w: float | None
    """Within the group; None for a single row, which agrees with itself."""
    kendall_w_without: float | None
    """Of all rows that are not in the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPair:
    """Whether two groups of rows have the same order of columns."""

    first: str
    second: str
    spearman: float | None
    """Correlation of the groups' mean ranks; None below three columns, or where one of them ties all."""


def rank_rows(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within each row, 1 for the highest value, ties averaged.

    Args:
        table: Shape (n, k), complete.

    Raises:
        ValueError: It is no table, or a cell is missing.
    """
    if table.ndim != 2 or not np.isfinite(table).all():
        raise ValueError("ranks need a complete table of rows and columns; leave out rows with missing cells first")
    ranks: NDArray[np.float64] = rankdata(-tied(table), axis=1) if table.size else np.empty(table.shape)
    return ranks


def agreement(table: NDArray[np.float64]) -> Agreement | None:
    """Friedman's test and its relatives (Friedman 1937; Kendall and Babington Smith 1939; Demšar 2006).

    Args:
        table: Shape (n, k), complete, higher is better.

    Returns:
        None for fewer than two rows or columns.
    """
    n, k = table.shape
    if n < 2 or k < 2:
        return None
    ranks = rank_rows(table)
    mean_ranks = ranks.mean(axis=0)
    # The sum of squared deviations of a row without ties is k (k^2 - 1) / 12; ties take away from it.
    within = float(((ranks - (k + 1) / 2) ** 2).sum())
    if within == 0:
        return Agreement(
            n_rows=n, mean_ranks=mean_ranks, friedman_chi2=None, p=None, kendall_w=None,
            iman_davenport_f=None, iman_davenport_p=None,
        )  # fmt: skip
    w = min(1.0, n * float(((mean_ranks - (k + 1) / 2) ** 2).sum()) / within)
    statistic = w * n * (k - 1)
    ratio = None if w > 1 - 1e-12 else (n - 1) * w / (1 - w)
    return Agreement(
        n_rows=n,
        mean_ranks=mean_ranks,
        friedman_chi2=statistic,
        p=float(chi2.sf(statistic, k - 1)),
        kendall_w=w,
        iman_davenport_f=ratio,
        iman_davenport_p=None if ratio is None else float(f.sf(ratio, k - 1, (k - 1) * (n - 1))),
    )


def agreement_by_group(table: NDArray[np.float64], groups: Sequence[str | None]) -> tuple[GroupAgreement, ...]:
    """Kendall's W within each group of rows, and with each group left out.

    Args:
        table: Shape (n, k), complete.
        groups: The group of each row; rows with None count only as "other rows".

    Raises:
        ValueError: There are more or fewer groups than rows.
    """
    if len(groups) != len(table):
        raise ValueError(f"{len(table)} rows need as many groups; got {len(groups)}")
    found = []
    for name in dict.fromkeys(group for group in groups if group is not None):
        inside = np.array([group == name for group in groups])
        found.append(
            GroupAgreement(
                group=name,
                n_rows=int(inside.sum()),
                kendall_w=_kendall_w(table[inside]),
                kendall_w_without=_kendall_w(table[~inside]),
            )
        )
    return tuple(found)


def _kendall_w(table: NDArray[np.float64]) -> float | None:
    found = agreement(table)
    return found.kendall_w if found else None


def between_groups(table: NDArray[np.float64], groups: Sequence[str | None]) -> tuple[GroupPair, ...]:
    """Spearman's correlation of the mean ranks of every two groups of rows.

    Args:
        table: Shape (n, k), complete.
        groups: The group of each row; rows with None are left out.
    """
    ranks = rank_rows(table)
    names = list(dict.fromkeys(group for group in groups if group is not None))
    means = {name: ranks[[group == name for group in groups]].mean(axis=0) for name in names}
    return tuple(
        GroupPair(first=first, second=second, spearman=spearman(means[first], means[second]))
        for first, second in combinations(names, 2)
    )


def critical_difference(columns: int, rows: int, *, alpha: float = ALPHA) -> float | None:
    """Nemenyi's critical difference of mean ranks: q sqrt(k (k + 1) / (6 n)), q = studentized range / sqrt 2.

    Whether it separates two columns depends on which others are in the table (Benavoli, Corani and Mangili 2016).

    Returns:
        None for fewer than two rows or columns.
    """
    if columns < 2 or rows < 2:
        return None
    quantile = float(studentized_range.ppf(1 - alpha, columns, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(columns * (columns + 1) / (6 * rows)))


def groups_not_separated(mean_ranks: NDArray[np.float64], difference: float) -> tuple[tuple[int, ...], ...]:
    """The bars of a critical-difference diagram: largest runs of columns whose mean ranks lie within it.

    Args:
        mean_ranks: Shape (k,).
        difference: From `critical_difference`.

    Returns:
        Column numbers of each run of two or more, best mean rank first.
    """
    order = np.argsort(mean_ranks, kind="stable")
    ordered = mean_ranks[order]
    # Mean ranks are multiples of 1/(2n): a difference is never equal to the bound except by rounding.
    ends = np.searchsorted(ordered, ordered + difference + 1e-12, side="right")
    runs: list[tuple[int, ...]] = []
    reached = 0
    for start, end in enumerate(ends):
        if end > reached and end - start > 1:
            runs.append(tuple(int(column) for column in order[start:end]))
        reached = max(reached, int(end))
    return tuple(runs)
