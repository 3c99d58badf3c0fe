"""Tables of scores with planted effects, missing cells and unequal noise, and the trials they would come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.analysis import Analysis, analyse
from orchestrator.analysis.statistics.coupling.additive import additive_space
from orchestrator.analysis.trials.spec_facts import SpecFacts
from orchestrator.analysis.trials.sweep_data import SweepData
from orchestrator.store.schema import TrialRow
from tests.sweep_rows import trial

Layout = Literal["balanced", "missing", "unequal"]
"""`missing`: each cell with probability 0.1. `unequal`: one to three of three replicates."""
Noise = Literal["equal", "spread", "unstable", "one"]
"""Standard deviations of cells: all 1; log-uniform from 0.1 to 3; five cells, or one, of ten times the others."""

NOISES: tuple[Noise, ...] = ("equal", "spread", "unstable")
UNSTABLE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What a table is drawn from; standard deviations in percentage points, that of the noise is about 1."""

    rows: int
    columns: int
    replicates: int = 3
    interaction: float = 0.0
    optimizer: float = 1.0
    backbone: float = 2.0
    layout: Layout = "balanced"
    noise: Noise = "equal"

    def __str__(self) -> str:
        size = f"{self.rows} x {self.columns} x {self.replicates}"
        layout = {"balanced": "", "missing": ", 10 % of cells missing", "unequal": ", 1 to 3 replicates"}[self.layout]
        noise = {
            "equal": "",
            "spread": ", SDs 0.1 to 3",
            "unstable": f", {UNSTABLE} cells of SD 10",
            "one": ", one cell of SD 10",
        }[self.noise]
        return f"{size}{layout}{noise}, sigma_I = {self.interaction:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One drawn table."""

    truth: NDArray[np.float64]
    """Shape (a, b): expected scores, in percentage points."""
    scores: NDArray[np.float64]
    """Shape (a, b, r), NaN where missing."""


def draw(plant: Plant, rng: np.random.Generator) -> Planted:
    """A table whose rows, columns and interaction are random effects."""
    a, b, r = plant.rows, plant.columns, plant.replicates
    truth = (
        70
        + plant.backbone * rng.normal(size=(a, 1))
        + plant.optimizer * rng.normal(size=(1, b))
        + plant.interaction * rng.normal(size=(a, b))
    )
    noise = _deviations(plant, rng)[:, :, np.newaxis] * rng.normal(size=(a, b, r))
    scores = np.where(_present(plant, rng), truth[:, :, np.newaxis] + noise, np.nan)
    return Planted(truth=truth, scores=scores)


def _deviations(plant: Plant, rng: np.random.Generator) -> NDArray[np.float64]:
    shape = (plant.rows, plant.columns)
    if plant.noise == "spread":
        deviations: NDArray[np.float64] = 10 ** rng.uniform(-1, np.log10(3), shape)
        return deviations
    deviations = np.ones(shape)
    if number := {"unstable": UNSTABLE, "one": 1}.get(plant.noise):
        deviations.flat[rng.choice(deviations.size, number, replace=False)] = 10.0
    return deviations


def _present(plant: Plant, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Shape (a, b, r); drawn again where the cells left do not connect all rows and columns."""
    shape = (plant.rows, plant.columns, plant.replicates)
    if plant.layout == "unequal":
        number = rng.integers(1, plant.replicates + 1, size=shape[:2])
        return np.asarray(np.arange(plant.replicates) < number[:, :, np.newaxis])
    while plant.layout == "missing":
        cells = rng.uniform(size=shape[:2]) >= 0.1
        if cells.any(axis=0).all() and cells.any(axis=1).all() and additive_space(cells) is not None:
            return np.repeat(cells[:, :, np.newaxis], plant.replicates, axis=2)
    return np.ones(shape, dtype=np.bool_)


def confirmed_trials(scores: NDArray[np.float64]) -> list[TrialRow]:
    """The confirm trials behind a table; where there is no score they failed."""
    rows = []
    for (i, j, k), score in np.ndenumerate(scores):
        there = bool(np.isfinite(score))
        rows.append(
            trial(
                trial_id=f"{i}.{j}.{k}", backbone=f"backbone_{i:02d}", optimizer=f"optimizer_{j:02d}", replicate=k,
                seed=k, score=float(score) / 100 if there else None, state="COMPLETE" if there else "FAIL",
            )
        )  # fmt: skip
    return rows


def answers(trials: list[TrialRow], seed: int = 0) -> Analysis:
    """What `bocb analyze` says about a sweep of these trials."""
    data = SweepData(sweep="s", planned=len(trials), facts=SpecFacts(), trials=tuple(trials), superseded=0)
    return analyse(data, seed=seed)
