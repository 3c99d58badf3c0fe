"""What a sweep's trials say so far, cell by cell: what the page shows before any statistic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.analysis.answers.missing import what_is_missing
from orchestrator.analysis.trials.cells import CellKey, RowKey, by_cell, cells_in_order, rows_of
from orchestrator.analysis.trials.counts import Counts, RoleCounts, count, count_roles
from orchestrator.analysis.trials.headline import Headline, Source, headline_of
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """One (backbone, recipe, optimizer)."""

    key: CellKey
    counts: Counts
    roles: tuple[RoleCounts, ...]
    headline: Headline | None = None
    gap: float | None = None
    """Headline minus that of the backbone's best optimizer, as a fraction, at most 0; None where not comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSummary:
    """One backbone under one recipe, across optimizers."""

    backbone: str
    recipe: str
    label: str
    """The backbone, with the recipe where the sweep has several."""
    cells: tuple[CellSummary, ...]
    source: Source | None
    """What the ranking compares; None while there is no number."""
    ranking: tuple[CellSummary, ...]
    """Cells whose headline comes from `source`, best first, ties by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """The whole sweep."""

    counts: Counts
    roles: tuple[RoleCounts, ...]
    planned: int | None
    epochs: int
    train_seconds: float
    first_start: datetime | None
    last_end: datetime | None
    optimizers: tuple[str, ...]
    rows: tuple[RowSummary, ...]
    missing: tuple[str, ...]
    """What a reader must know before believing a number, one sentence each."""

    @property
    def cells(self) -> tuple[CellSummary, ...]:
        """Every cell, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)


def summarise(trials: Sequence[TrialRow], planned: int | None, *, grid: Sequence[CellKey] = ()) -> SweepSummary:
    """Everything that the page says about the trials of one sweep.

    Args:
        trials: Its trials that ended, one row each, in any order.
        planned: Trials of the whole plan; None where it is not known.
        grid: Cells that were planned, in the order of the spec. Cells without trials are shown because of it;
            without it, the cross product of the names seen is taken.
    """
    found = by_cell(trials)
    keys = cells_in_order(grid, found)
    cells = [_summarise_cell(key, found.get(key, [])) for key in keys]
    rows = tuple(_summarise_row(row, cells) for row in rows_of(keys))
    counts, roles = count(trials), count_roles(trials)
    return SweepSummary(
        counts=counts,
        roles=roles,
        planned=planned,
        epochs=sum(trial.epochs_done for trial in trials),
        train_seconds=math.fsum(trial.train_seconds or 0.0 for trial in trials),
        first_start=min((trial.started_at for trial in trials), default=None),
        last_end=max((trial.ended_at for trial in trials), default=None),
        optimizers=tuple(dict.fromkeys(key.optimizer for key in keys)),
        rows=rows,
        missing=what_is_missing(counts, roles, planned, [cell.headline for cell in cells]),
    )


def _summarise_cell(key: CellKey, trials: list[TrialRow]) -> CellSummary:
    return CellSummary(key=key, counts=count(trials), roles=count_roles(trials), headline=headline_of(trials))


def _summarise_row(row: RowKey, every: Sequence[CellSummary]) -> RowSummary:
    """Ranks one backbone's cells, comparing only numbers of one kind.

    The kind is the most trustworthy one that at least two cells have: a best-of-many score beside a confirmed mean
    would win by having been picked.
    """
    cells = [cell for cell in every if (cell.key.backbone, cell.key.recipe) == (row.backbone, row.recipe)]
    held = Counter(cell.headline.source for cell in cells if cell.headline)
    source = next((kind for least in (2, 1) for kind in Source if held[kind] >= least), None)
    scored = [
        (cell, cell.headline.estimate.mean) for cell in cells if cell.headline and cell.headline.source == source
    ]
    best = max((mean for _, mean in scored), default=0.0)
    gaps = {cell.key: mean - best for cell, mean in scored}
    placed = tuple(replace(cell, gap=gaps.get(cell.key)) for cell in cells)
    ranking = sorted((cell for cell in placed if cell.gap is not None), key=_rank)
    return RowSummary(
        backbone=row.backbone,
        recipe=row.recipe,
        label=row.label,
        cells=placed,
        source=source,
        ranking=tuple(ranking),
    )


def _rank(cell: CellSummary) -> tuple[float, str]:
    return (-(cell.gap or 0.0), cell.key.optimizer)
