"""Weight statistics of trained networks, summed up for each cell and set beside accuracy within backbones."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from orchestrator.analysis.statistics.robustness.hp_distance import OFF
from orchestrator.analysis.statistics.robustness.weight_spectra import (
    LEAST_DIMENSION,
    GroupedCorrelation,
    LayerSummary,
    grouped_correlation,
    summarise_layers,
)
from orchestrator.analysis.trials.cells import CellKey, by_cell
from orchestrator.analysis.trials.results import first_confirmed
from orchestrator.store.schema import TrialRow

LEAST_SIDE: Mapping[str, int] = {"alpha": LEAST_DIMENSION, "entropy": 1, "l2_norm": 1, "pca_energy": 1}
"""Statistics that are summed up, with the smaller side from which a layer counts."""


class LayerValues(Protocol):
    """Statistics of one weight of one trial's network, as a matrix."""

    @property
    def trial_id(self) -> str:
        """The trial."""

    @property
    def rows(self) -> int:
        """The matrix's first side."""

    @property
    def columns(self) -> int:
        """Its second side."""

    @property
    def alpha(self) -> float | None:
        """Exponent of the power law."""

    @property
    def entropy(self) -> float | None:
        """Of its values."""

    @property
    def l2_norm(self) -> float | None:
        """Frobenius norm."""

    @property
    def pca_energy(self) -> float | None:
        """Share of the variance in its first components."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLayers:
    """One cell's trained networks: medians over layers, then over trials."""

    backbone: str
    recipe: str
    optimizer: str
    role: str
    """The trials are those of the first confirmed setting; where it has none with layers, the default ones."""
    trials: int
    alpha: float | None
    """Over layers whose smaller side is at least 50."""
    alpha_layers: int
    """Layers behind `alpha`, over all trials."""
    alpha_dropped_small: int
    alpha_dropped_undefined: int
    entropy: float | None
    l2_norm: float | None
    pca_energy: float | None
    score: float
    """Mean of these trials, in points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCorrelation:
    """One statistic against accuracy over cells, with the backbone (and its recipe) as the group."""

    statistic: str
    by_backbone: GroupedCorrelation
    reverses: bool
    """Whether the pooled correlation has the other sign than the one within backbones."""
    given_weight_decay: float | None
    """Within backbones with log10 of the weight decay held constant too (1e-6 where it is off): it moves both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerAnswer:
    """What the weight statistics say. Descriptions: none of them causes accuracy."""

    cells: tuple[CellLayers, ...]
    correlations: tuple[LayerCorrelation, ...]
    dropped_trials: int
    """Trials with layers that are not used: diverged ones, other roles, other settings."""


def layer_answer(trials: Sequence[TrialRow], layers: Sequence[LayerValues]) -> LayerAnswer | None:
    """Summaries by cell and correlations within backbones; None without any layer of these trials."""
    by_trial: dict[str, list[LayerValues]] = defaultdict(list)
    for layer in layers:
        by_trial[layer.trial_id].append(layer)
    measured = [trial for trial in trials if trial.trial_id in by_trial]
    if not measured:
        return None
    chosen = {key: found for key, members in by_cell(measured).items() if (found := measured_setting(members))}
    cells = tuple(_cell(key, found, by_trial) for key, found in sorted(chosen.items()))
    decays = [_decay_of(chosen[key]) for key in sorted(chosen)]
    return LayerAnswer(
        cells=cells,
        correlations=tuple(_correlation(name, cells, decays) for name in LEAST_SIDE),
        dropped_trials=len(measured) - sum(len(found) for found in chosen.values()),
    )


def measured_setting(members: Sequence[TrialRow]) -> list[TrialRow]:
    """Of one cell's trials with layers, those that stand for it: see `CellLayers.role`."""
    complete = [trial for trial in members if trial.state == "COMPLETE" and trial.score is not None]
    return first_confirmed(complete) or [trial for trial in complete if trial.role == "default"]


def _cell(key: CellKey, trials: Sequence[TrialRow], by_trial: Mapping[str, Sequence[LayerValues]]) -> CellLayers:
    found = {name: [_summary(name, by_trial[trial.trial_id]) for trial in trials] for name in LEAST_SIDE}
    alpha = found["alpha"]
    return CellLayers(
        backbone=key.backbone,
        recipe=key.recipe,
        optimizer=key.optimizer,
        role=trials[0].role,
        trials=len(trials),
        alpha=_median(alpha),
        alpha_layers=sum(summary.n for summary in alpha),
        alpha_dropped_small=sum(summary.dropped_small for summary in alpha),
        alpha_dropped_undefined=sum(summary.dropped_undefined for summary in alpha),
        entropy=_median(found["entropy"]),
        l2_norm=_median(found["l2_norm"]),
        pca_energy=_median(found["pca_energy"]),
        score=100 * statistics.fmean(trial.score or 0.0 for trial in trials),
    )


def _summary(name: str, layers: Sequence[LayerValues]) -> LayerSummary:
    return summarise_layers(
        np.array([_or_nan(getattr(layer, name)) for layer in layers]),
        np.array([min(layer.rows, layer.columns) for layer in layers]),
        LEAST_SIDE[name],
    )


def _median(summaries: Iterable[LayerSummary]) -> float | None:
    medians = [summary.median for summary in summaries if summary.median is not None]
    return statistics.median(medians) if medians else None


def _decay_of(trials: Sequence[TrialRow]) -> float:
    """log10 of the weight decay of trials of one setting, and of `OFF` where it is off; NaN where it is not known."""
    decay = trials[0].hp_weight_decay
    return math.nan if decay is None else math.log10(max(decay, OFF))


def _correlation(name: str, cells: Sequence[CellLayers], decays: Sequence[float]) -> LayerCorrelation:
    groups = {pair: index for index, pair in enumerate(dict.fromkeys((c.backbone, c.recipe) for c in cells))}
    values = np.array([_or_nan(getattr(cell, name)) for cell in cells])
    scores = np.array([cell.score for cell in cells])
    group = np.array([groups[cell.backbone, cell.recipe] for cell in cells], dtype=np.int64)
    found = grouped_correlation(values, scores, group)
    given = grouped_correlation(values, scores, group, np.array(decays).reshape(-1, 1))
    return LayerCorrelation(
        statistic=name, by_backbone=found, reverses=found.reverses, given_weight_decay=given.within
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
