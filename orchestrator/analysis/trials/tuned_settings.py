"""The setting that each cell's search ended at, and each optimizer's default: learning rates and weight decays."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import CellKey, RowKey, by_cell, cells_in_order, key_of, rows_of
from orchestrator.analysis.trials.results import first_confirmed, has_score
from orchestrator.store.schema import TrialRow
from search_spaces.errors import UserError
from search_spaces.optimizers import get_optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingTable:
    """Learning rates and weight decays of every cell; NaN where a cell has none."""

    rows: tuple[RowKey, ...]
    optimizers: tuple[str, ...]
    lr: NDArray[np.float64]
    """Shape (a, b)."""
    weight_decay: NDArray[np.float64]
    default_lr: NDArray[np.float64]
    """Shape (b,): of each optimizer."""
    default_weight_decay: NDArray[np.float64]
    confirmed: int
    """Cells whose setting has been confirmed; the others have the best of design and tune trials so far."""
    searched: int

    def place(self, trial: TrialRow) -> tuple[int, int]:
        """The row and column of a trial's cell."""
        pairs = [(row.backbone, row.recipe) for row in self.rows]
        return pairs.index((trial.backbone, trial.recipe)), self.optimizers.index(trial.optimizer)


def setting_table(trials: Sequence[TrialRow], *, grid: Sequence[CellKey] = ()) -> SettingTable:
    """The setting of each cell's confirm trials, else the best of its design and tune settings.

    Of several confirmed settings the first counts: it is the one that the search ranked first. Default trials are no
    tuned setting; cells with nothing else have none.
    """
    keys = cells_in_order(grid, {key_of(trial) for trial in trials})
    rows, optimizers = rows_of(keys), tuple(dict.fromkeys(key.optimizer for key in keys))
    place = {(row.backbone, row.recipe): index for index, row in enumerate(rows)}
    lr, decay = (np.full((len(rows), len(optimizers)), np.nan) for _ in range(2))
    winners = {key: found for key, members in by_cell(trials).items() if (found := _winner(members)) is not None}
    for key, winner in winners.items():
        where = place[key.backbone, key.recipe], optimizers.index(key.optimizer)
        lr[where] = _number(winner.hp_lr)
        decay[where] = _number(winner.hp_weight_decay)
    defaults = default_settings(trials, optimizers)
    confirmed = sum(winner.role == "confirm" for winner in winners.values())
    return SettingTable(
        rows=rows,
        optimizers=optimizers,
        lr=lr,
        weight_decay=decay,
        default_lr=np.array([defaults[name][0] for name in optimizers], dtype=np.float64),
        default_weight_decay=np.array([defaults[name][1] for name in optimizers], dtype=np.float64),
        confirmed=confirmed,
        searched=len(winners) - confirmed,
    )


def default_settings(trials: Iterable[TrialRow], optimizers: Iterable[str]) -> Mapping[str, tuple[float, float]]:
    """Default learning rate and weight decay of each optimizer; NaN where none is known.

    What its default trials ran with (the commonest, as recipes may differ), else what the catalogue says. Trials with
    the paper's settings are no defaults of an optimizer.
    """
    ran: dict[str, Counter[tuple[float, float]]] = defaultdict(Counter)
    for trial in trials:
        if trial.role == "default" and trial.hp_source == "default":
            ran[trial.optimizer][_number(trial.hp_lr), _number(trial.hp_weight_decay)] += 1
    return {name: ran[name].most_common(1)[0][0] if name in ran else _catalogue_default(name) for name in optimizers}


def _catalogue_default(name: str) -> tuple[float, float]:
    try:
        defaults = get_optimizer(name).defaults
    except UserError:  # a user's own optimizer
        return math.nan, math.nan
    return _number(defaults.get("lr")), _number(defaults.get("weight_decay"))


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _winner(trials: Sequence[TrialRow]) -> TrialRow | None:
    if confirmed := first_confirmed(trials):
        return confirmed[0]
    settings: dict[tuple[str, int], list[TrialRow]] = defaultdict(list)
    for trial in trials:
        if trial.role in ("design", "tune") and has_score(trial):
            settings[trial.role, trial.number].append(trial)
    # As the choice of what to confirm: the mean over seeds counts, and ties go to the lower number, design first.
    ranked = [
        (-math.fsum(trial.score or 0.0 for trial in found) / len(found), *setting)
        for setting, found in settings.items()
        if any(trial.state == "COMPLETE" for trial in found)
    ]
    return settings[min(ranked)[1:]][0] if ranked else None
