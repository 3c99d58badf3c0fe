"""The planned questions about families and categories, and the cells that depart from additivity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.coupling.additive import additive_fit
from orchestrator.analysis.statistics.coupling.contrasts import (
    BlockShare,
    InteractionContrast,
    block_share,
    interaction_contrast,
)
from orchestrator.analysis.statistics.coupling.scales import winsorised
from orchestrator.analysis.statistics.ranking.best_columns import LEVEL, residual_map
from orchestrator.analysis.statistics.ranking.ranks import rank_rows
from orchestrator.analysis.trials.complete_table import CompleteTable, LeftOut, complete_part
from orchestrator.analysis.trials.groups import (
    ADAPTIVE_CATEGORY,
    CLASSICAL,
    FIXED_RATE,
    MODERN,
    categories,
    eras,
    families,
)
from orchestrator.analysis.trials.score_table import ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleAnswer:
    """The planned contrasts on one scale of the scores."""

    scale: str
    """`points`: percentage points. `winsorised`: the same with each row's failures raised to median - 3 robust
    standard deviations. `ranks`: ranks within the row with the sign turned, so that higher is better."""
    fixed_rate: InteractionContrast | None
    """How much more `primary+classical` (first) than `modern` (second) prefer sgd and sgdp to category b."""
    family_by_category: BlockShare | None
    """Share of the interaction that goes by the two eras times the categories a to d."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualAnswer:
    """What a cell has beyond its row and column."""

    backbone: str
    recipe: str
    optimizer: str
    residual: float
    """In percentage points, on cell means."""
    p: float | None
    """None without replicates."""
    p_adjusted: float | None
    """After Benjamini and Hochberg over all cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastAnswer:
    """Planned contrasts and the residual map of one response, on its complete rows.

    The unit that is permuted is the backbone: several recipes of one are averaged first.
    """

    response: str
    scales: tuple[ScaleAnswer, ...]
    residuals: tuple[ResidualAnswer, ...]
    n_discoveries: int | None
    """Cells with an adjusted p below 0.05; None without replicates."""
    n_backbones: int
    n_without_era: int
    """Backbones that are neither primary, classical nor modern: in no contrast."""
    n_without_category: int
    """Optimizers in none of the categories a to d: in no contrast."""
    left_out: tuple[LeftOut, ...]


def contrast_answer(table: ScoreTable, *, rng: np.random.Generator) -> ContrastAnswer | None:
    """The planned contrasts of one response; None with fewer than two complete rows, or one optimizer.

    Args:
        table: A response.
        rng: Draws labelings where there are too many to count.
    """
    complete = complete_part(table)
    if len(complete.rows) < 2 or len(complete.optimizers) < 2:
        return None
    backbones = tuple(dict.fromkeys(row.backbone for row in complete.rows))
    means = np.stack([_of_backbone(complete, name) for name in backbones])
    row_groups, column_groups = eras(families(backbones)), categories(complete.optimizers)
    scales = {
        "points": means,
        "winsorised": winsorised(means)[:, :, 0],
        "ranks": -rank_rows(means),
    }
    residuals, discoveries = _residuals(complete)
    return ContrastAnswer(
        response=table.response,
        scales=tuple(
            ScaleAnswer(
                scale=name,
                fixed_rate=_fixed_rate(values, row_groups, complete.optimizers, rng),
                family_by_category=_family_by_category(values, row_groups, column_groups, rng),
            )
            for name, values in scales.items()
        ),
        residuals=residuals,
        n_discoveries=discoveries,
        n_backbones=len(backbones),
        n_without_era=sum(group is None for group in row_groups),
        n_without_category=sum(group is None for group in column_groups),
        left_out=complete.left_out,
    )


def _of_backbone(complete: CompleteTable, name: str) -> NDArray[np.float64]:
    rows = [row.backbone == name for row in complete.rows]
    mean: NDArray[np.float64] = complete.means[rows].mean(axis=0)
    return mean


def _fixed_rate(
    values: NDArray[np.float64],
    row_groups: tuple[str | None, ...],
    optimizers: tuple[str, ...],
    rng: np.random.Generator,
) -> InteractionContrast | None:
    adaptive = categories(optimizers)
    return interaction_contrast(
        values,
        first_rows=[row for row, group in enumerate(row_groups) if group == CLASSICAL],
        second_rows=[row for row, group in enumerate(row_groups) if group == MODERN],
        favoured=[column for column, name in enumerate(optimizers) if name in FIXED_RATE],
        others=[column for column, category in enumerate(adaptive) if category == ADAPTIVE_CATEGORY],
        rng=rng,
    )


def _family_by_category(
    values: NDArray[np.float64],
    row_groups: tuple[str | None, ...],
    column_groups: tuple[str | None, ...],
    rng: np.random.Generator,
) -> BlockShare | None:
    rows = [row for row, group in enumerate(row_groups) if group is not None]
    columns = [column for column, group in enumerate(column_groups) if group is not None]
    return block_share(
        values[np.ix_(rows, columns)],
        row_groups=[group for group in row_groups if group is not None],
        column_groups=[group for group in column_groups if group is not None],
        rng=rng,
    )


def _residuals(complete: CompleteTable) -> tuple[tuple[ResidualAnswer, ...], int | None]:
    """Every cell of a complete table, and how many of them are discoveries."""
    fit = additive_fit(complete.means)
    assert fit is not None, "a complete table has a fit"  # noqa: S101 - our own invariant
    found = residual_map(complete.scores)
    cells = tuple(
        ResidualAnswer(
            backbone=row.backbone,
            recipe=row.recipe,
            optimizer=optimizer,
            residual=float(fit.residuals[i, j]),
            p=float(found.p[i, j]) if found else None,
            p_adjusted=float(found.p_adjusted[i, j]) if found else None,
        )
        for i, row in enumerate(complete.rows)
        for j, optimizer in enumerate(complete.optimizers)
    )
    return cells, int((found.p_adjusted < LEVEL).sum()) if found else None
