"""Whole sweeps of the synthetic trainer, run in this process, against the truth that it was planted with."""

from __future__ import annotations

import json
import math
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.analysis import Analysis, analyse
from orchestrator.analysis.trials.load import load_sweep
from orchestrator.analysis.trials.sweep_data import SweepData
from orchestrator.store.query import read
from orchestrator.store.schema import TrialRow
from orchestrator.store.store import open_store
from search_spaces.datasets import get_dataset
from search_spaces.optimizers import get_optimizer
from tests.benchmarks.rates import Rate, rate
from tests.planned_sweeps import small_plan
from tests.sweeps_in_process import run_here
from trainers.synthetic import CHANCE, NOISE_SD, PlantedTruth, planted_truth

BACKBONES = ("synthetic_a", "synthetic_b", "synthetic_c", "synthetic_d")
OPTIMIZERS = ("sgd", "lion", "adamw", "adagrad")
RANDOM_SETTINGS = 2000
"""Behind the true share of settings that diverge."""
WIDTH_REGRET = 1.0
"""Percentage points of regret within which a learning rate is as good."""


def run_sweep(folder: Path, seed: int, *, points: int = 32) -> SweepData:
    """A finished sweep with a whole protocol, read from its store."""
    plan = small_plan(
        sweep={"name": "planted", "seed": seed},
        grid={"backbones": list(BACKBONES), "optimizers": list(OPTIMIZERS)},
        protocol={"default": {"seeds": 3}, "design": {"points": points}, "confirm": {"top": 1, "seeds": 3}},
        training={"epochs": 2},
    )
    run_here(plan, folder, flush_each=False)
    return read(open_store(str(folder)), lambda connection: load_sweep(connection, "planted"))


def trainer_rates(number: int, seed: int, *, points: int = 32) -> list[Rate]:
    """Rates over so many sweeps, which differ in their seed and so in design and noise."""
    found: dict[str, list[float]] = defaultdict(list)
    for at in range(number):
        with tempfile.TemporaryDirectory(prefix="bocb-calibration-") as folder:
            data = run_sweep(Path(folder), seed + at, points=points)
        analysis = analyse(data, seed=at)
        _take_coupling(found, analysis, data.trials)
        _take_best(found, analysis, data.trials)
        _take_sensitivity(found, analysis)
        _take_divergence(found, analysis)
    where = f"4 x 4 cells, {points} Sobol points, {number} seeds"
    return [
        rate("trainer: p_wild <= 0.05", where, found["p_wild"], "equals", 1.0),
        rate("trainer: theta_fixed_ci covers", where, found["theta"], "equals", 0.95),
        rate("trainer: sigma2_interaction over its truth", where, found["sigma2"], "equals", 1.0),
        rate("trainer: index less its truth", where, found["index"], "equals", 0.0),
        rate("trainer: lead's interval covers", where, found["lead"], "at least", 0.95),
        rate("trainer: separated and not the best", where, found["false"], "at most", 0.025),
        rate("trainer: best optimizer named", where, found["best"], "shown", None),
        rate("trainer: best rate less the optimum, decades", where, found["optimum"], "shown", 0.0),
        rate("trainer: ... its absolute value", where, found["distance"], "shown", None),
        rate("trainer: lr_width over its truth", where, found["width"], "shown", 1.0),
        rate("trainer: divergence_ci covers", where, found["diverged"], "at least", 0.95),
    ]


def _expected(trials: Sequence[TrialRow], analysis: Analysis) -> NDArray[np.float64]:
    """Shape (a, b): expected accuracy of each cell at the setting that was confirmed, in percentage points."""
    table = np.full((len(BACKBONES), len(OPTIMIZERS)), np.nan)
    for row in trials:
        if row.role == "confirm":
            truth = planted_truth(row.backbone, row.optimizer)
            accuracy = _accuracy(truth, row.optimizer, json.loads(row.hp))
            assert accuracy is not None
            table[BACKBONES.index(row.backbone), OPTIMIZERS.index(row.optimizer)] = 100 * accuracy
    assert analysis.response == "confirmed"
    return table


def _take_coupling(found: dict[str, list[float]], analysis: Analysis, trials: Sequence[TrialRow]) -> None:
    truth, coupling = _expected(trials, analysis), analysis.coupling
    columns = truth.mean(axis=0)
    rest = truth - columns - truth.mean(axis=1, keepdims=True) + truth.mean()
    interaction = float((rest**2).sum()) / 9
    optimizer = max(0.0, float(columns.var(ddof=1)) - interaction / 4)
    assert coupling.theta_fixed_ci is not None
    assert coupling.index is not None
    assert coupling.sigma2_interaction is not None
    assert coupling.p_wild is not None
    low, high = coupling.theta_fixed_ci
    found["theta"].append(low <= interaction / (100 * NOISE_SD) ** 2 <= high)
    found["index"].append(coupling.index - interaction / (interaction + optimizer))
    found["sigma2"].append(coupling.sigma2_interaction / interaction)
    found["p_wild"].append(coupling.p_wild <= 0.05)


def _take_best(found: dict[str, list[float]], analysis: Analysis, trials: Sequence[TrialRow]) -> None:
    assert analysis.regret is not None
    covered, false, best = [], [], []
    for own in analysis.regret.best_of_backbone:
        row = _expected(trials, analysis)[BACKBONES.index(own.backbone)]
        at = OPTIMIZERS.index(own.optimizer)
        lead = float(row[at] - np.delete(row, at).max())
        assert own.ci is not None
        covered.append(own.ci[0] <= lead <= own.ci[1])
        false.append(bool(own.separated) and lead <= 0)
        best.append(lead >= 0)
    for name, values in (("lead", covered), ("false", false), ("best", best)):
        found[name].append(float(np.mean(values)))


def _take_sensitivity(found: dict[str, list[float]], analysis: Analysis) -> None:
    errors, widths = [], []
    for cell in analysis.sensitivity:
        truth = planted_truth(cell.backbone, cell.optimizer)
        assert cell.lr_response is not None
        errors.append(max(cell.lr_response.bins, key=lambda one: one.best).log10_lr - truth.optimum)
        if cell.lr_width is not None and cell.lr_censored is None:
            widths.append(cell.lr_width / (2 * math.sqrt(WIDTH_REGRET / (100 * truth.curvature))))
    found["optimum"].append(float(np.mean(errors)))
    found["distance"].append(float(np.mean(np.abs(errors))))
    found["width"].append(float(np.mean(widths)) if widths else np.nan)


def _take_divergence(found: dict[str, list[float]], analysis: Analysis) -> None:
    covered = []
    for cell in analysis.failures.cells:
        if cell.role == "design":
            assert cell.divergence_ci is not None
            share = _diverging_share(cell.backbone, cell.optimizer)
            covered.append(cell.divergence_ci[0] <= share <= cell.divergence_ci[1])
    found["diverged"].append(float(np.mean(covered)))


@lru_cache
def _diverging_share(backbone: str, optimizer: str) -> float:
    """Share of settings that diverge: beyond the edge, or so far from the optimum that they stay at chance."""
    rng = np.random.default_rng(zlib.crc32(f"{backbone}/{optimizer}".encode()))
    space, truth = get_optimizer(optimizer).space, planted_truth(backbone, optimizer)
    threshold = CHANCE + 2 * math.sqrt(CHANCE * (1 - CHANCE) / get_dataset("synthetic").test_count)
    diverging = 0
    for coordinates in rng.random((RANDOM_SETTINGS, len(space.names))).tolist():
        accuracy = _accuracy(truth, optimizer, space.values_at(dict(zip(space.names, coordinates, strict=True))))
        diverging += accuracy is None or accuracy + NOISE_SD * rng.normal() <= threshold
    return diverging / RANDOM_SETTINGS


def _accuracy(truth: PlantedTruth, optimizer: str, hp: Mapping[str, Any]) -> float | None:
    """Expected accuracy at a setting."""
    decay = {d.name: d for d in get_optimizer(optimizer).space.dimensions}["weight_decay"]
    off = not hp["weight_decay"]
    return truth.accuracy(
        hp["lr"], 0.0 if off else math.log10(hp["weight_decay"] / math.sqrt(decay.low * decay.high))
    )
