"""Planned contrasts of groups of rows and groups of columns, tested by permuting the labels of rows.

The row (an architecture) is the exchangeable unit: its columns share its luck, so cells are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from orchestrator.analysis.statistics.replicates import rounding_floor, tied

MOST_LABELINGS = 200_000
"""Two groups are permuted in full up to this number of ways; 7 of 20 rows are 77,520."""
_BATCH = 10_000
_CLOSE = 1e-9
"""Difference, as a share of the largest value, below which a permuted statistic counts as equal: sums differ in their
last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionContrast:
    """How much more one group of rows prefers some columns to others than a second group does."""

    n_first: int
    n_second: int
    first: float
    """Mean over the first rows of (mean of the favoured columns) minus (mean of the others), in the table's unit."""
    second: float
    estimate: float
    """`first` minus `second`."""
    p: float
    """Two-sided, by permuting the labels of rows."""
    is_exact: bool
    """Whether all labelings were counted, not drawn."""
    mann_whitney_p: float
    """Two-sided, on the rows' preferences: it does not see their size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShare:
    """Share of the interaction that groups of rows by groups of columns explain."""

    share: float
    """Between 0 and 1: sum of squares of the block means of the doubly centred table over its sum of squares."""
    expected: float
    """Its mean over the labelings: what groups without meaning explain."""
    p: float
    """By permuting the labels of rows: share of labelings that explain as much."""
    is_exact: bool


def interaction_contrast(
    table: NDArray[np.float64],
    *,
    first_rows: Sequence[int],
    second_rows: Sequence[int],
    favoured: Sequence[int],
    others: Sequence[int],
    rng: np.random.Generator,
    draws: int = 10_000,
) -> InteractionContrast | None:
    """The contrast of two groups of rows in their preference for some columns over others.

    Args:
        table: Shape (n, k), NaN where missing. A row that lacks one of the columns is left out.
        first_rows: Row numbers.
        second_rows: Row numbers, none of them in `first_rows`.
        favoured: Column numbers.
        others: Column numbers.
        rng: Draws labelings where there are too many to count.
        draws: Their number then.

    Returns:
        None where a group of rows or columns is empty.

    Raises:
        ValueError: A row or a column is in both groups.
    """
    if set(first_rows) & set(second_rows) or set(favoured) & set(others):
        raise ValueError("a row or column can be in one of the two groups only")
    if not len(favoured) or not len(others):
        return None
    preference = table[:, list(favoured)].mean(axis=1) - table[:, list(others)].mean(axis=1)
    first, second = (
        values[np.isfinite(values)] for values in (preference[list(first_rows)], preference[list(second_rows)])
    )
    if not len(first) or not len(second):
        return None
    values = np.concatenate([first, second])
    labels = np.repeat([0, 1], [len(first), len(second)])
    estimate = float(first.mean() - second.mean())
    as_extreme = total = 0
    least = abs(estimate) - _CLOSE * float(np.nanmax(np.abs(table)))
    for batch in _labelings(labels, rng, draws):
        means = (batch == 0).astype(np.float64) @ values / len(first)
        permuted = means - (values.sum() - means * len(first)) / len(second)
        as_extreme += int((np.abs(permuted) >= least).sum())
        total += len(batch)
    exact = _is_countable(labels)
    return InteractionContrast(
        n_first=len(first),
        n_second=len(second),
        first=float(first.mean()),
        second=float(second.mean()),
        estimate=estimate,
        p=_p_value(as_extreme, total, exact=exact),
        is_exact=exact,
        mann_whitney_p=_mann_whitney_p(*np.split(tied(values, scale=table), [len(first)])),
    )


def _mann_whitney_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if np.ptp(np.concatenate([first, second])) == 0:
        return 1.0  # scipy divides by a spread of 0
    return float(mannwhitneyu(first, second, alternative="two-sided").pvalue)


def block_share(
    table: NDArray[np.float64],
    *,
    row_groups: Sequence[str],
    column_groups: Sequence[str],
    rng: np.random.Generator,
    draws: int = 10_000,
) -> BlockShare | None:
    """How much of the interaction goes by groups: family of the backbone times category of the optimizer.

    Args:
        table: Shape (n, k), complete.
        row_groups: The group of each row.
        column_groups: The group of each column.
        rng: Draws labelings where there are too many to count, or more than two groups of rows.
        draws: Their number then.

    Returns:
        None where there is one group only, or no interaction.

    Raises:
        ValueError: A cell is missing, or the groups are not as many as rows and columns.
    """
    if table.shape != (len(row_groups), len(column_groups)) or not np.isfinite(table).all():
        raise ValueError("a block share needs a complete table, and one group for each of its rows and columns")
    row_labels, column_labels = (np.unique(np.array(g), return_inverse=True)[1] for g in (row_groups, column_groups))
    if not table.size or not row_labels.max() or not column_labels.max():
        return None
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    total = float((residual**2).sum())
    if total <= rounding_floor(table):
        return None
    # Sums over the columns of a group, divided so that squares need only the numbers of rows.
    sizes = np.bincount(column_labels)
    sums = residual @ np.eye(len(sizes))[column_labels] / np.sqrt(sizes)
    share = float(_explained(row_labels[None], sums)[0] / total)
    batches = [_explained(batch, sums) / total for batch in _labelings(row_labels, rng, draws)]
    permuted = np.concatenate(batches)
    exact = _is_countable(row_labels)
    as_extreme = int((permuted >= share * (1 - _CLOSE)).sum())
    return BlockShare(
        share=share,
        expected=float(permuted.mean()),
        p=_p_value(as_extreme, len(permuted), exact=exact),
        is_exact=exact,
    )


def _explained(labelings: NDArray[np.int64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (d,): sum of squares of the block means, for d labelings of the rows."""
    explained = np.zeros(len(labelings))
    for group in range(int(labelings.max()) + 1):
        inside = (labelings == group).astype(np.float64)
        explained += ((inside @ sums) ** 2).sum(axis=1) / inside.sum(axis=1)
    return explained


def _is_countable(labels: NDArray[np.int64]) -> bool:
    return int(labels.max()) == 1 and comb(len(labels), int((labels == 0).sum())) <= MOST_LABELINGS


def _labelings(labels: NDArray[np.int64], rng: np.random.Generator, draws: int) -> Iterator[NDArray[np.int64]]:
    """Batches of permuted labels, each of shape (batch, n): all of them where they can be counted, else draws."""
    if _is_countable(labels):
        yield _every_labeling(len(labels), int((labels == 0).sum()))
        return
    for start in range(0, draws, _BATCH):
        yield rng.permuted(np.tile(labels, (min(_BATCH, draws - start), 1)), axis=1)


@lru_cache(maxsize=4)
def _every_labeling(rows: int, first: int) -> NDArray[np.int64]:
    """Every way to label some rows 0 and the others 1; kept, since each response and scale asks for the same."""
    chosen = np.fromiter(chain.from_iterable(combinations(range(rows), first)), dtype=np.int64)
    labeled = np.ones((comb(rows, first), rows), dtype=np.int64)
    np.put_along_axis(labeled, chosen.reshape(-1, first), 0, axis=1)
    labeled.flags.writeable = False
    return labeled


def _p_value(as_extreme: int, total: int, *, exact: bool) -> float:
    """A drawn p counts the observed labeling as one of the draws: it is never 0, and never too small on average."""
    return as_extreme / total if exact else (1 + as_extreme) / (1 + total)
