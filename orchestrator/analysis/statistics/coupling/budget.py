"""Coupling against tuning budget, C(n): does the best optimizer still depend on the backbone after n trials each?

From a design that all cells share: the best of n points is the result of tuning by n random trials, and disjoint sets
of n points, the same in every cell, are independent replicates of tuning.
Products of two of them are free of the noise that each carries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.coupling.variance_components import coupling_index
from orchestrator.analysis.statistics.intervals import student_half_width
from orchestrator.analysis.statistics.sensitivity.tuning_curves import expected_best

PARTITIONS = 64
"""Random partitions of the points, averaged: their own noise is then far below that of the design."""
GROUPS = 16
"""Groups of the delete-a-group jackknife; fewer where there are fewer points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetComponents:
    """Variance of the expected best of n over a table of rows and columns, in squared units of the score.

    Unbiased for independent replicates, so each may be negative where it is truly about 0.
    """

    row: float
    column: float
    interaction: float

    @classmethod
    def of(cls, squares: NDArray[np.float64], shape: tuple[int, int]) -> BudgetComponents:
        """From row, column and interaction mean squares of a table of this shape, by expected mean squares."""
        row, column, interaction = (float(value) for value in squares)
        return cls(
            row=(row - interaction) / shape[1], column=(column - interaction) / shape[0], interaction=interaction
        )

    @property
    def index(self) -> float | None:
        """Interaction over column and interaction, negative parts taken as 0; None where both are."""
        return coupling_index(self.interaction, self.column)

    @property
    def share(self) -> float | None:
        """Interaction over all three, negative parts taken as 0; None where all are."""
        return coupling_index(self.interaction, max(0.0, self.row) + max(0.0, self.column))


@dataclass(frozen=True, slots=True, kw_only=True)
class CouplingAtBudget:
    """The coupling left when every cell is tuned by n random trials."""

    n: int
    components: BudgetComponents
    interaction_low: float | None = None
    """Ends of a 95 % interval for the interaction's variance; None where there are too few points for one."""
    interaction_high: float | None = None
    index_low: float | None = None
    """Ends of a 95 % interval for the index, cut to [0, 1]; None also where a component is not above 0."""
    index_high: float | None = None
    mean_score: float
    """Mean over the cells of the expected best of n."""
    is_plug_in: bool
    """True for n above half the points, where nothing tells the noise of the design from coupling: too large."""


def coupling_at_budget(scores: NDArray[np.float64], n: int, rng: np.random.Generator) -> CouplingAtBudget:
    """Variance components of the best of n points, by products of disjoint sets of points.

    For two disjoint sets k and l with tables of the best T_k and T_l, the product of the doubly centred tables over
    its degrees of freedom, (a - 1)(b - 1), estimates the variance of the interaction without bias, whatever noise the
    cells have and whatever effect of a set is common to a row, a column or the whole table. Products of row and
    column effects are the mean squares of ANOVA in the same way: column = (MS_column - MS_interaction) / a.

    The interval is Student's with a delete-a-group jackknife over points, jointly in all cells. (To draw points with
    replacement would put one point into both sets, and its noise into the product.)

    Args:
        scores: Shape (a, b, N), finite: scores of N points of a shared design in every cell; a, b >= 2.
        n: Budget, from 1 to N.
        rng: Draws partitions and groups.

    Raises:
        ValueError: The table is smaller than 2 x 2, a score is missing, or n lies outside 1..N.
    """
    if scores.ndim != 3 or min(scores.shape[:2]) < 2 or not np.isfinite(scores).all():
        raise ValueError("coupling needs at least two rows and two columns with a score of every point in every cell")
    shape, points = scores.shape[:2], scores.shape[2]
    table = expected_best(scores, [n])[:, :, 0]
    mean_score = float(table.mean())
    if 2 * n > points:
        components = BudgetComponents.of(mean_squares(table[:, :, None, None]), shape)
        return CouplingAtBudget(n=n, components=components, mean_score=mean_score, is_plug_in=True)
    # Permutations for n = 1 would all give the same sets.
    orders = rng.permuted(np.tile(np.arange(points), (PARTITIONS if n > 1 else 1, 1)), axis=1)
    components = BudgetComponents.of(_at(scores, orders, n), shape)
    parts = [BudgetComponents.of(row, shape) for row in _without_groups(scores, orders, n, rng)]
    low, high = _jackknife(components.interaction, [part.interaction for part in parts])
    index_low, index_high = _jackknife(components.index, [part.index for part in parts])
    return CouplingAtBudget(
        n=n,
        components=components,
        interaction_low=low,
        interaction_high=high,
        index_low=None if index_low is None else max(0.0, index_low),
        index_high=None if index_high is None else min(1.0, index_high),
        mean_score=mean_score,
        is_plug_in=False,
    )


def _without_groups(
    scores: NDArray[np.float64], orders: NDArray[np.intp], n: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Mean squares, shape (3,), without each group of points; empty where that leaves no two sets."""
    points = scores.shape[2]
    group_of = rng.permutation(points) % min(GROUPS, points)
    groups = group_of.max() + 1
    if 2 * n > points - np.bincount(group_of).max():
        return []
    kept = [orders[group_of[orders] != group].reshape(len(orders), -1) for group in range(groups)]
    return [_at(scores, order, n) for order in kept]


def _at(scores: NDArray[np.float64], orders: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """Mean squares by products of disjoint sets, averaged over the orders of shape (p, N)."""
    sets = orders.shape[1] // n
    subsets = orders[:, : sets * n].reshape(len(orders), sets, n)
    best = scores[:, :, subsets[:, :, 0]]
    for place in range(1, n):
        np.maximum(best, scores[:, :, subsets[:, :, place]], out=best)
    return mean_squares(best)


def mean_squares(best: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row, column and interaction mean squares of tables (a, b, p, k), by products of different k; squares if one."""
    a, b = best.shape[:2]
    grand = best.mean(axis=(0, 1), keepdims=True)
    rows, columns = best.mean(axis=1, keepdims=True) - grand, best.mean(axis=0, keepdims=True) - grand
    interaction = best - rows - columns - grand
    factors = (b / (a - 1), a / (b - 1), 1 / ((a - 1) * (b - 1)))
    parts = (rows, columns, interaction)
    return np.array([factor * _mean_product(part) for factor, part in zip(factors, parts, strict=True)])


def _mean_product(tables: NDArray[np.float64]) -> float:
    """Mean over pairs of different replicates (last axis) of the inner product of their tables."""
    replicates = tables.shape[3]
    squares = (tables**2).sum(axis=(0, 1, 3))
    if replicates == 1:
        return float(squares.mean())
    products = (tables.sum(axis=3) ** 2).sum(axis=(0, 1)) - squares
    return float(products.mean() / (replicates * (replicates - 1)))


def _jackknife(estimate: float | None, left_out: list[float | None]) -> tuple[float | None, float | None]:
    """A 95 % interval from the estimates without each of g groups (Kott 2001), Student's t with g - 1 degrees."""
    values = np.array([value for value in left_out if value is not None])
    groups = len(values)
    if estimate is None or groups < 2 or groups < len(left_out):
        return None, None
    error = float(np.sqrt((groups - 1) / groups * ((values - values.mean()) ** 2).sum()))
    half = student_half_width(error, groups - 1)
    return estimate - half, estimate + half
