"""The matrix as it is drawn: every cell with what it has beyond its row and column, by the interaction's order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.summary import CellSummary, SweepSummary
from orchestrator.analysis.answers.verdict import LEVEL
from orchestrator.analysis.statistics.coupling.additive import additive_fit
from orchestrator.analysis.trials.cells import CellKey

CLIPS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0)
"""Ends of the residuals' colour scale, in percentage points."""
INSIDE = 0.95
"""Share of the cells that the colour scale holds where others lie far out: these would leave the rest pale."""
FAR = 2.0
"""Times the usual size from which the largest residuals go beyond the scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """One square."""

    row: str
    cell: CellSummary
    residual: float | None
    """Of the headline response, in percentage points: its mean minus what its row and column have without
    interaction. None where the cell has no result in that response."""
    response_mean: float | None
    """The mean that the residual is of, in percentage points: not the number shown where that is of other trials."""
    p_adjusted: float | None
    """After Benjamini and Hochberg over all cells; None without replicates, and in a table with missing cells."""
    diverged: int
    """Trials behind the number shown that diverged and count at chance."""
    failed: int
    """Trials of any role that failed and gave no result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """All squares, with the order of rows and columns."""

    response: str | None
    """Of the residuals; None where there are none."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    is_ordered: bool
    """Whether rows and columns go by the first interaction component; else they are in the order of the spec."""
    component_share: float | None
    """Of the interaction, that the first component holds."""
    cells: tuple[MatrixCell, ...]
    clip: float | None
    """End of the colour scale of residuals, in percentage points; None without any."""
    is_coupled: bool
    """Whether the primary test, of all cells together, shows an interaction; else no single cell is claimed."""

    @property
    def beyond_clip(self) -> int:
        """Cells whose residual is beyond the colour scale."""
        return sum(abs(cell.residual) > self.clip for cell in self.cells if cell.residual is not None and self.clip)

    @property
    def n_discoveries(self) -> int | None:
        """Cells with an adjusted p below the level; None where no cell has one."""
        known = [cell.p_adjusted for cell in self.cells if cell.p_adjusted is not None]
        return sum(p < LEVEL for p in known) if known else None

    def is_outlined(self, cell: MatrixCell) -> bool:
        """Whether a cell is claimed to have more than noise explains.

        The tests of single cells are secondary to the one test of the interaction: where that shows none, they cannot
        say more than it.
        """
        return self.is_coupled and cell.p_adjusted is not None and cell.p_adjusted < LEVEL


def matrix_of(summary: SweepSummary, analysis: Analysis) -> Matrix:
    """The squares of a sweep, and the order to draw them in."""
    means = _means(analysis)
    residuals = _residuals(means)
    p_values = _p_values(analysis) if analysis.coupling.n_cells_missing == 0 else {}
    cells = tuple(
        MatrixCell(
            row=row.label,
            cell=cell,
            residual=residuals.get(cell.key),
            response_mean=means.get(cell.key),
            p_adjusted=p_values.get(cell.key),
            diverged=cell.headline.diverged if cell.headline else 0,
            failed=cell.counts.failed,
        )
        for row in summary.rows
        for cell in row.cells
    )
    scores = analysis.coupling.ammi_scores
    rows, columns = [row.label for row in summary.rows], summary.optimizers
    return Matrix(
        response=analysis.response if residuals else None,
        rows=_ordered(rows, scores.backbone) if scores else tuple(rows),
        columns=_ordered(columns, scores.optimizer) if scores else columns,
        is_ordered=scores is not None,
        component_share=analysis.coupling.ammi[0] if analysis.coupling.ammi else None,
        cells=cells,
        clip=_clip(residuals.values()),
        is_coupled=analysis.coupling.p_wild is not None and analysis.coupling.p_wild < LEVEL,
    )


def _means(analysis: Analysis) -> dict[CellKey, float]:
    return {
        CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer): cell.mean
        for cell in analysis.cells
        if cell.response == analysis.response and cell.mean is not None
    }


def _residuals(found: Mapping[CellKey, float]) -> dict[CellKey, float]:
    """By least squares on the cell means of the headline: on a complete table it is double centring."""
    pairs = list(dict.fromkeys((key.backbone, key.recipe) for key in found))
    optimizers = list(dict.fromkeys(key.optimizer for key in found))
    means = np.full((len(pairs), len(optimizers)), np.nan)
    places = {key: (pairs.index((key.backbone, key.recipe)), optimizers.index(key.optimizer)) for key in found}
    for key, place in places.items():
        means[place] = found[key]
    fit = additive_fit(means) if found else None
    # Without a degree of freedom every residual is 0 whatever the interaction is.
    if fit is None or not fit.df_residual:
        return {}
    return {key: float(fit.residuals[place]) for key, place in places.items()}


def _p_values(analysis: Analysis) -> dict[CellKey, float]:
    return {
        CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer): cell.p_adjusted
        for cell in (analysis.contrasts.residuals if analysis.contrasts else ())
        if cell.p_adjusted is not None
    }


def _ordered(names: Sequence[str], scores: Mapping[str, tuple[float, ...] | None]) -> tuple[str, ...]:
    """By the first component; what has no score stays at the end, as in the spec."""
    scored = {name: score[0] for name in names if (score := scores.get(name))}
    return (*sorted(scored, key=lambda name: scored[name]), *(name for name in names if name not in scored))


def _clip(residuals: Iterable[float]) -> float | None:
    sizes = np.abs(list(residuals))
    if not sizes.size:
        return None
    largest, usual = float(sizes.max()), float(np.quantile(sizes, INSIDE, method="lower"))
    wanted = usual if largest > FAR * usual else largest
    return next((end for end in CLIPS if end >= wanted), 100.0)
