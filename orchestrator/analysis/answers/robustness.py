"""How robust each backbone is to the choice of optimizer and setting, and each optimizer to the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.corruptions import CorruptionScore, corruption_answer
from orchestrator.analysis.answers.default_distance import DefaultDistance, default_distances
from orchestrator.analysis.answers.failures import SUMMARY_ROLES
from orchestrator.analysis.answers.layers import LayerValues, layer_answer
from orchestrator.analysis.answers.robustness_records import DivergenceRate, HpDistance, Robustness, SideRobustness
from orchestrator.analysis.answers.seeds import SeedAnswer, SpreadOfSide, seed_answer
from orchestrator.analysis.statistics.intervals import exact_rates
from orchestrator.analysis.statistics.robustness.hp_distance import (
    OFF,
    HpDistances,
    hp_distances,
    own_list_steps,
    steps_from_default,
)
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.results import has_score
from orchestrator.analysis.trials.score_table import IMPORTED, ScoreTable, ScoreTables
from orchestrator.analysis.trials.tuned_settings import SettingTable, setting_table
from orchestrator.store.schema import TrialRow


def robustness(
    trials: Sequence[TrialRow],
    tables: ScoreTables,
    *,
    grid: Sequence[CellKey] = (),
    lr_widths: Mapping[CellKey, float] | None = None,
    layers: Sequence[LayerValues] = (),
    corruptions: Sequence[CorruptionScore] = (),
) -> Robustness:
    """Everything about robustness that the trials of one sweep allow.

    Args:
        trials: Those that ended, imported ones included.
        tables: Their responses.
        grid: Cells that were planned, in the order of the spec.
        lr_widths: Width of the learning rates that do, in decades, for the cells that have one.
        layers: Weight statistics of trained networks.
        corruptions: Accuracies on corrupted images.
    """
    settings = setting_table(trials, grid=grid)
    table = tables.headline
    seeds = seed_answer(tables)
    ran = {trial.role for trial in trials if has_score(trial)}
    # How imported trials ended is what a file says: no rate of anything that was run here.
    role = next((name for name in SUMMARY_ROLES if name in ran and name != IMPORTED), None)
    parts = _Parts(
        settings=settings,
        distances=_hp_distances(settings),
        defaults=default_distances(trials, settings),
        widths=_placed(lr_widths or {}, settings),
        trials=_counted(trials, role, settings, diverged=False),
        diverged=_counted(trials, role, settings, diverged=True),
        means=_means(table, settings),
        seeds=seeds,
    )
    return Robustness(
        response=table.response if table else None,
        confirmed_settings=settings.confirmed,
        searched_settings=settings.searched,
        divergence_role=role,
        backbones=tuple(parts.backbone(row) for row in range(len(settings.rows))),
        optimizers=tuple(parts.optimizer(column) for column in range(len(settings.optimizers))),
        seed_variance=seeds,
        layers=layer_answer(trials, layers),
        corruption=corruption_answer(trials, corruptions),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What the entries are taken from, all by the rows and columns of `settings`."""

    settings: SettingTable
    distances: tuple[HpDistances, HpDistances]
    defaults: NDArray[np.object_]
    widths: NDArray[np.float64]
    trials: NDArray[np.int64]
    diverged: NDArray[np.int64]
    means: NDArray[np.float64]
    seeds: SeedAnswer | None

    def backbone(self, row: int) -> SideRobustness:
        key = self.settings.rows[row]
        own, default = self.distances
        return self._entry(
            where=(row, slice(None)),
            names=(key.backbone, key.recipe, None),
            distance=HpDistance(own_list=own.backbones[row], from_default=default.backbones[row]),
            spread=self.seeds.of_backbone(key) if self.seeds else None,
            results=self.means[row],
        )

    def optimizer(self, column: int) -> SideRobustness:
        name = self.settings.optimizers[column]
        own, default = self.distances
        return self._entry(
            where=(slice(None), column),
            names=(None, None, name),
            distance=HpDistance(own_list=own.optimizers[column], from_default=default.optimizers[column]),
            spread=self.seeds.of_optimizer(name) if self.seeds else None,
            results=_less_row_mean(self.means)[:, column],
        )

    def _entry(
        self,
        *,
        where: tuple[int | slice, int | slice],
        names: tuple[str | None, str | None, str | None],
        distance: HpDistance,
        spread: SpreadOfSide | None,
        results: NDArray[np.float64],
    ) -> SideRobustness:
        backbone, recipe, optimizer = names
        widths = self.widths[where]
        known = results[np.isfinite(results)]
        return SideRobustness(
            backbone=backbone,
            recipe=recipe,
            optimizer=optimizer,
            hp_distance=distance,
            default_distance=DefaultDistance.over(self.defaults[where].tolist()),
            seeds=spread,
            lr_width_median=float(np.nanmedian(widths)) if np.isfinite(widths).any() else None,
            divergence=_rate(int(self.diverged[where].sum()), int(self.trials[where].sum())),
            std=float(known.std(ddof=1)) if known.size > 1 else None,
            range=float(np.ptp(known)) if known.size > 1 else None,
            n=known.size,
        )


def _hp_distances(settings: SettingTable) -> tuple[HpDistances, HpDistances]:
    lr, decay = settings.lr, settings.weight_decay
    own = hp_distances(own_list_steps(lr), own_list_steps(decay))
    # A linear range may begin at 0, and a rate of 0 has no logarithm.
    steps = steps_from_default(lr, settings.default_lr, off=0.0)
    decay_steps = steps_from_default(decay, settings.default_weight_decay, off=OFF)
    return own, hp_distances(steps, decay_steps)


def _placed(values: Mapping[CellKey, float], settings: SettingTable) -> NDArray[np.float64]:
    return np.array(
        [
            [
                values.get(CellKey(backbone=row.backbone, recipe=row.recipe, optimizer=name), np.nan)
                for name in settings.optimizers
            ]
            for row in settings.rows
        ]
    ).reshape(len(settings.rows), len(settings.optimizers))


def _counted(
    trials: Sequence[TrialRow], role: str | None, settings: SettingTable, *, diverged: bool
) -> NDArray[np.int64]:
    counts = np.zeros((len(settings.rows), len(settings.optimizers)), dtype=np.int64)
    for trial in trials:
        if trial.role == role and has_score(trial) and (trial.state == "DIVERGED" or not diverged):
            counts[settings.place(trial)] += 1
    return counts


def _rate(diverged: int, trials: int) -> DivergenceRate | None:
    if not trials:
        return None
    exact = exact_rates(np.array([diverged]), np.array([trials]))
    return DivergenceRate(
        trials=trials,
        diverged=diverged,
        rate=float(exact.rate[0]),
        low=float(exact.low[0]),
        high=float(exact.high[0]),
    )


def _means(table: ScoreTable | None, settings: SettingTable) -> NDArray[np.float64]:
    """The table's means by the rows and columns of `settings`, which has every cell."""
    means = np.full((len(settings.rows), len(settings.optimizers)), np.nan)
    if table is not None:
        rows = [settings.rows.index(row) for row in table.rows]
        columns = [settings.optimizers.index(name) for name in table.optimizers]
        means[np.ix_(rows, columns)] = table.means
    return means


def _less_row_mean(means: NDArray[np.float64]) -> NDArray[np.float64]:
    there = np.isfinite(means)
    number = there.sum(axis=1, keepdims=True)
    average = np.where(there, means, 0.0).sum(axis=1, keepdims=True) / np.maximum(number, 1)
    # A backbone with a single result has nothing to be compared with.
    return np.where(number > 1, means - average, np.nan)
