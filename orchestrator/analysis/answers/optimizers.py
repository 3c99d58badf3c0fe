"""The section `optimizers`: what each optimizer loses by one setting for all backbones, and averages of its cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, median

import numpy as np

from orchestrator.analysis.answers.sensitivity_records import CellSensitivity
from orchestrator.analysis.answers.shared_answer import SharedAnswer, shared_answer
from orchestrator.analysis.statistics.sensitivity.shared_settings import percentile_scale
from orchestrator.analysis.trials.cells import CellKey, cells_in_order
from orchestrator.analysis.trials.design_points import lay_out
from orchestrator.analysis.trials.roles import require_role
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSensitivity(SharedAnswer):
    """One optimizer over all rows (a backbone under a recipe); scores in percentage points, None is undefined."""

    optimizer: str
    cells: int
    """Rows with a design score: what the averages below are over, each over those that have the quantity."""
    mean_regret: float | None
    """Means over the cells from here on; see `CellSensitivity`."""
    osp: float | None
    cpe: float | None
    cpu: float | None
    cpl: float | None
    pp: float | None
    default_regret: float | None
    default_regret_cells: int
    """Cells with default trials."""
    default_regret_max: float | None
    lr_sensitivity: float | None
    lr_width: float | None
    """Median over the cells, censored ones at their least."""
    lr_width_censored: int
    """Cells whose width is censored."""
    boundary_share: float | None
    """Share of the cells whose optimum lies at an end of a range: above 0, the ranges may be too narrow."""
    divergence_rate: float | None
    """Of the design trials with a result, the share that diverged."""


def optimizer_sensitivities(
    design: Sequence[TrialRow],
    cells: Sequence[CellSensitivity],
    *,
    grid: Sequence[CellKey] = (),
    rng: np.random.Generator,
) -> tuple[OptimizerSensitivity, ...]:
    """The section `optimizers`.

    Args:
        design: The design trials of a sweep.
        cells: Its cells, from `sensitivity`.
        grid: Cells that were planned, in the order of the spec.
        rng: Draws length scales of surrogates where there are many.

    Raises:
        UsageError: A trial is no design trial, or was pruned, short or superseded.
    """
    require_role(design, "design", "sensitivity of optimizers")
    keys = cells_in_order(
        grid, {CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer) for cell in cells}
    )
    laid_out = lay_out(design, keys)
    scale = percentile_scale(laid_out.means) if laid_out else None
    answers = []
    for name in dict.fromkeys(key.optimizer for key in keys):
        own = [cell for cell in cells if cell.optimizer == name]
        shared = SharedAnswer(missing="no design trial has a score")
        if laid_out is not None and scale is not None:
            shared = shared_answer(name, laid_out, scale, _surrogate_quality(own), rng)
        answers.append(_optimizer(name, own, shared))
    return tuple(answers)


def _optimizer(name: str, cells: Sequence[CellSensitivity], shared: SharedAnswer) -> OptimizerSensitivity:
    defaults = [cell.default_regret for cell in cells if cell.default_regret is not None]
    widths = [cell.lr_width for cell in cells if cell.lr_width is not None]
    bounds = [bool(cell.boundary) for cell in cells if cell.boundary is not None]
    results = sum(cell.n_trials - cell.n_failed for cell in cells)
    return OptimizerSensitivity(
        optimizer=name,
        cells=sum(cell.missing is None for cell in cells),
        **{item.name: getattr(shared, item.name) for item in fields(SharedAnswer)},
        mean_regret=_mean(cells, lambda cell: cell.mean_regret),
        osp=_mean(cells, lambda cell: cell.osp),
        cpe=_mean(cells, lambda cell: cell.cpe),
        cpu=_mean(cells, lambda cell: cell.cpu),
        cpl=_mean(cells, lambda cell: cell.cpl),
        pp=_mean(cells, lambda cell: cell.pp),
        default_regret=fmean(defaults) if defaults else None,
        default_regret_cells=len(defaults),
        default_regret_max=max(defaults, default=None),
        lr_sensitivity=_mean(cells, lambda cell: cell.lr_sensitivity),
        lr_width=median(widths) if widths else None,
        lr_width_censored=sum(cell.lr_censored is not None for cell in cells),
        boundary_share=fmean(bounds) if bounds else None,
        divergence_rate=sum(cell.n_diverged for cell in cells) / results if results else None,
    )


def _mean(cells: Sequence[CellSensitivity], quantity: Callable[[CellSensitivity], float | None]) -> float | None:
    values = [value for cell in cells if (value := quantity(cell)) is not None]
    return fmean(values) if values else None


def _surrogate_quality(cells: Sequence[CellSensitivity]) -> float | None:
    found = [cell.sobol.r_squared for cell in cells if cell.sobol is not None and cell.sobol.r_squared is not None]
    return median(found) if found else None
