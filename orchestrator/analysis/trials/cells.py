"""The cells of a sweep, and the rows of its tables: a backbone under one recipe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CellKey:
    """Identity of a cell."""

    backbone: str
    recipe: str
    optimizer: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RowKey:
    """A row of a table: a backbone under one recipe."""

    backbone: str
    recipe: str
    label: str
    """The backbone, with the recipe where the sweep has several."""


def key_of(trial: TrialRow) -> CellKey:
    """The cell of a trial."""
    return CellKey(backbone=trial.backbone, recipe=trial.recipe, optimizer=trial.optimizer)


def by_cell(trials: Iterable[TrialRow]) -> dict[CellKey, list[TrialRow]]:
    """Trials by the cell they belong to."""
    cells: dict[CellKey, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        cells[key_of(trial)].append(trial)
    return dict(cells)


def cells_in_order(grid: Sequence[CellKey], seen: Iterable[CellKey]) -> list[CellKey]:
    """Planned cells first, in their order; then what else was seen, by name."""
    rest = sorted(set(seen).difference(grid))
    if grid:
        return [*dict.fromkeys(grid), *rest]
    rows = dict.fromkeys((key.backbone, key.recipe) for key in rest)
    optimizers = sorted({key.optimizer for key in rest})
    return [
        CellKey(backbone=backbone, recipe=recipe, optimizer=optimizer)
        for (backbone, recipe), optimizer in product(rows, optimizers)
    ]


def rows_of(keys: Iterable[CellKey]) -> tuple[RowKey, ...]:
    """The rows of a table of these cells, in their order; labels name the recipe where there are several."""
    pairs = dict.fromkeys((key.backbone, key.recipe) for key in keys)
    several = len({recipe for _, recipe in pairs}) > 1
    return tuple(
        RowKey(backbone=backbone, recipe=recipe, label=f"{backbone} · {recipe}" if several else backbone)
        for backbone, recipe in pairs
    )
