"""The section C(n): coupling when every cell is tuned by n random trials, from the shared design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.coupling.budget import CouplingAtBudget, coupling_at_budget
from orchestrator.analysis.statistics.coupling.stratified_budget import coupling_of_sobol_design
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.design_points import Design, lay_out
from orchestrator.analysis.trials.roles import require_role
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class CouplingPoint:
    """Coupling at one budget; variances in squared percentage points, None where undefined."""

    n: int
    """Random trials that each cell is tuned by."""
    sigma2_interaction: float
    low: float | None
    """Ends of its 95 % interval."""
    high: float | None
    sigma2_optimizer: float
    sigma2_backbone: float
    index: float | None
    """Interaction over optimizer and interaction: the coupling index."""
    index_low: float | None
    index_high: float | None
    share: float | None
    """Interaction over all three."""
    mean_score: float
    """Mean over the cells of the expected best of n, in percentage points."""
    flagged: bool
    """True for n above half the points, where the noise of the design counts as coupling: too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CouplingByBudget:
    """C(n) for n = 1, 2, 4, ..., with what it rests on."""

    budgets: tuple[CouplingPoint, ...]
    estimator: str | None
    """`neighbours` for a design whose coordinates are recorded; `disjoint sets` otherwise, which takes its points for
    random and gives too small a coupling where they are spread more evenly."""
    points: int
    """Design points with a score that every cell has, at least."""
    scores_missing: int
    """Scores that are missing in the cells that are used. By `disjoint sets`, their points are left out in all cells;
    by `neighbours`, each cell has the points that it has."""
    backbones: int
    """Rows: backbones, each under each of its recipes."""
    backbones_left_out: tuple[str, ...]
    """Those with a cell that misses more than half of the points."""
    optimizers: int
    optimizers_left_out: tuple[str, ...]
    missing: str | None
    """Why there is no C(n)."""


def coupling_by_budget(
    design: Sequence[TrialRow], *, grid: Sequence[CellKey] = (), rng: np.random.Generator
) -> CouplingByBudget:
    """C(n) from the shared design.

    Where a cell misses more than half of the points, its backbone or its optimizer is left out, whichever has more
    such cells.

    Args:
        design: The design trials of a sweep.
        grid: Cells that were planned, in the order of the spec.
        rng: Draws disjoint sets of points.

    Raises:
        UsageError: A trial is no design trial, or was pruned, short or superseded.
    """
    require_role(design, "design", "coupling against tuning budget")
    laid_out = lay_out(design, grid)
    if laid_out is None:
        return _without("no design trial has a score")
    begun = np.asarray(np.isfinite(laid_out.means).sum(axis=2) * 2 >= laid_out.means.shape[2])
    rows, columns = _complete_table(begun)
    if min(len(rows), len(columns)) < 2:
        return _without("fewer than two backbones and two optimizers have half of the design points")
    scores = laid_out.means[np.ix_(rows, columns)]
    where = _common_coordinates(laid_out, columns)
    missing = int(np.isnan(scores).sum())
    if where is None:
        scores = scores[:, :, np.isfinite(scores).all(axis=(0, 1))]
    points = int(np.isfinite(scores).sum(axis=2).min()) if scores.shape[2] else 0
    kept_rows, kept_columns = set(rows.tolist()), set(columns.tolist())
    return CouplingByBudget(
        budgets=tuple(_at(scores, where, 2**power, rng) for power in range(points.bit_length())),
        estimator="disjoint sets" if where is None else "neighbours",
        points=points,
        scores_missing=missing,
        backbones=len(rows),
        backbones_left_out=tuple(row.label for i, row in enumerate(laid_out.table.rows) if i not in kept_rows),
        optimizers=len(columns),
        optimizers_left_out=tuple(name for j, name in enumerate(laid_out.table.optimizers) if j not in kept_columns),
        missing=None if points else "no design point has a score in every cell",
    )


def _without(reason: str) -> CouplingByBudget:
    return CouplingByBudget(
        budgets=(), estimator=None, points=0, scores_missing=0, backbones=0, backbones_left_out=(),
        optimizers=0, optimizers_left_out=(), missing=reason,
    )  # fmt: skip


def _complete_table(there: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of a table without holes; the row or column with the largest share of holes goes first."""
    rows, columns = np.arange(there.shape[0]), np.arange(there.shape[1])
    while rows.size and columns.size and not (left := there[np.ix_(rows, columns)]).all():
        of_rows, of_columns = (~left).mean(axis=1), (~left).mean(axis=0)
        if of_rows.max() >= of_columns.max():
            rows = np.delete(rows, of_rows.argmax())
        else:
            columns = np.delete(columns, of_columns.argmax())
    return rows, columns


def _common_coordinates(design: Design, columns: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Shape (h, d): coordinates of the points in the dimensions that all optimizers have in common.

    None where they are not recorded.
    """
    rows = []
    for number in design.table.numbers:
        tables = [design.coordinates(design.table.optimizers[column], [number]) for column in columns]
        known = [table[0] for table in tables if table is not None]
        if not known:
            return None
        rows.append(_leading(known))
    dimensions = min(len(row) for row in rows)
    return np.array([row[:dimensions] for row in rows]) if dimensions else None


def _leading(vectors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The first coordinates, as far as all the vectors agree."""
    shortest = min(len(vector) for vector in vectors)
    agreed = [all(vector[place] == vectors[0][place] for vector in vectors) for place in range(shortest)]
    return vectors[0][: agreed.index(False) if False in agreed else shortest]


def _at(
    scores: NDArray[np.float64], where: NDArray[np.float64] | None, n: int, rng: np.random.Generator
) -> CouplingPoint:
    found: CouplingAtBudget = (
        coupling_at_budget(scores, n, rng) if where is None else coupling_of_sobol_design(scores, where, n)
    )
    return CouplingPoint(
        n=n,
        sigma2_interaction=found.components.interaction,
        low=found.interaction_low,
        high=found.interaction_high,
        sigma2_optimizer=found.components.column,
        sigma2_backbone=found.components.row,
        index=found.components.index,
        index_low=found.index_low,
        index_high=found.index_high,
        share=found.components.share,
        mean_score=found.mean_score,
        flagged=found.is_plug_in,
    )
