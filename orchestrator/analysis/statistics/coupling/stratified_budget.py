"""Coupling against tuning budget from a Sobol design, whose points are spread more evenly than random ones.

Disjoint parts of such a design complement each other, so products of them (`budget.coupling_at_budget`) take out the
noise of random points, which the design does not have, and the coupling comes out too small: by half in a test with
16 points and n = 1. Here only the noise that is left is taken out: how much a point differs from its neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.coupling.budget import BudgetComponents, CouplingAtBudget, mean_squares
from orchestrator.analysis.statistics.intervals import student_half_width
from orchestrator.analysis.statistics.sensitivity.tuning_curves import expected_best

NEIGHBOURS = 3
"""Nearest points that a point is compared with."""


def coupling_of_sobol_design(scores: NDArray[np.float64], points: NDArray[np.float64], n: int) -> CouplingAtBudget:
    """Variance components of the expected best of n, with the variance between neighbouring points taken out.

    The table of expected bests over all n-subsets is a mean of influences, one for each point (jackknife
    pseudo-values). Its sampling variance under an even design is that within small parts of the cube, estimated by
    the difference of each influence from the mean of the nearest ones, as in the local estimator of Stevens and Olsen
    (2003), Environmetrics 14, 593; it is subtracted from the mean squares. The seed's noise is part of that
    difference, and a little of the landscape is, so that coupling rather comes out too small: on landscapes with
    cliffs, where trials diverge, by up to a quarter with 16 points, an eighth with 32 and a twelfth with 64, and the
    interval may then miss the truth. Without coupling it is a little below 0.

    The interval is Student's with the linearised standard error and the variance of the noise's own square.

    Args:
        scores: Shape (a, b, N): scores of N points of a shared design in every cell, a, b >= 2. NaN where a trial
            has no result; such a point has no influence on its cell.
        points: Shape (N, d): their coordinates in the unit cube.
        n: Budget, from 1 to the number of points that every cell has; above half of it nothing is taken out and
            there is no interval.

    Raises:
        ValueError: The table is smaller than 2 x 2, or a cell has fewer than n points.
    """
    a, b, number = scores.shape
    fewest = int(np.isfinite(scores).sum(axis=2).min())
    if min(a, b) < 2 or not 1 <= n <= fewest:
        raise ValueError(
            f"coupling at a budget of {n} needs two rows, two columns and {n} points in every cell; got"
            f" {a} x {b} with at least {fewest} points"
        )
    table = _expected(scores, n)
    plain = mean_squares(table[:, :, None, None])
    if 2 * n > fewest or fewest <= NEIGHBOURS:
        components = BudgetComponents.of(plain, (a, b))
        return CouplingAtBudget(n=n, components=components, mean_score=float(table.mean()), is_plug_in=True)
    changes = [_local(influence, points) for influence in _influences(scores, table, n)]
    noise = [factor * (change**2).sum() / number**2 for factor, change in zip(_factors(a, b), changes, strict=True)]
    components = BudgetComponents.of(plain - np.array(noise), (a, b))
    return _with_intervals(n, table, components, changes)


def _with_intervals(
    n: int, table: NDArray[np.float64], components: BudgetComponents, changes: list[NDArray[np.float64]]
) -> CouplingAtBudget:
    number, factors = changes[2].shape[2], _factors(*table.shape)
    # The derivative of each mean square along each point's change, shape (3, N).
    slopes = np.stack(
        [
            2 * factor * np.tensordot(part, change, axes=((0, 1), (0, 1)))
            for factor, part, change in zip(factors, _parts(table), changes, strict=True)
        ]
    )
    gram = np.tensordot(changes[2], changes[2], axes=((0, 1), (0, 1))) / number**2
    np.fill_diagonal(gram, 0.0)
    curvature = 2 * float((gram**2).sum()) * factors[2] ** 2
    half = student_half_width(np.sqrt((slopes[2] ** 2).sum() / number**2 + curvature), number - 1)
    index_low, index_high = _index_interval(components, slopes, curvature, len(table))
    return CouplingAtBudget(
        n=n,
        components=components,
        interaction_low=components.interaction - half,
        interaction_high=components.interaction + half,
        index_low=index_low,
        index_high=index_high,
        mean_score=float(table.mean()),
        is_plug_in=False,
    )


def _factors(a: int, b: int) -> tuple[float, ...]:
    """What turns sums of squares of row means, column means and interaction into mean squares."""
    return b / (a - 1), a / (b - 1), 1 / ((a - 1) * (b - 1))


def _expected(scores: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Shape (a, b): the expected best of n in each cell, from the points it has."""
    ordered = np.sort(np.where(np.isfinite(scores), scores, -np.inf), axis=2)
    sizes = np.isfinite(scores).sum(axis=2)
    table = np.empty(scores.shape[:2])
    for size in np.unique(sizes):
        table[sizes == size] = expected_best(ordered[sizes == size][:, -size:], [n])[:, 0]
    return table


def _influences(scores: NDArray[np.float64], table: NDArray[np.float64], n: int) -> list[NDArray[np.float64]]:
    """The centred pseudo-value of every point for the row, column and interaction parts of the table."""
    number = scores.shape[2]
    without = np.repeat(scores[:, :, None, :], number, axis=2)
    without[:, :, np.arange(number), np.arange(number)] = np.nan
    left = np.stack([_expected(without[:, :, h], n) for h in range(number)], axis=2)
    sizes = np.isfinite(scores).sum(axis=2)[:, :, None]
    return _parts(number * (sizes - 1) / sizes * (table[:, :, None] - left))


def _parts(table: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Row means, column means and interaction of a table whose first two axes are rows and columns."""
    grand = table.mean(axis=(0, 1), keepdims=True)
    rows, columns = table.mean(axis=1, keepdims=True) - grand, table.mean(axis=0, keepdims=True) - grand
    return [rows, columns, table - rows - columns - grand]


def _local(influence: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point's difference from the mean of its neighbours, scaled to the variance of one point."""
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
    changes: NDArray[np.float64] = influence - influence[:, :, nearest].mean(axis=3)
    changes /= np.sqrt(1 + 1 / NEIGHBOURS)
    return changes


def _index_interval(
    components: BudgetComponents, slopes: NDArray[np.float64], curvature: float, rows: int
) -> tuple[float | None, float | None]:
    index = components.index
    whole = components.interaction + components.column
    if index is None or components.interaction <= 0 or components.column <= 0:
        return None, None
    along_column = (slopes[1] - slopes[2]) / rows
    change = (components.column * slopes[2] - components.interaction * along_column) / whole**2
    second = curvature * (components.column / whole**2) ** 2
    number = slopes.shape[1]
    half = student_half_width(np.sqrt((change**2).sum() / number**2 + second), number - 1)
    return max(0.0, index - half), min(1.0, index + half)
