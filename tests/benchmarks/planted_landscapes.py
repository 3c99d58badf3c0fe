"""Landscapes over a unit square of learning rate and weight decay with known best scores, and their design trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from orchestrator.store.schema import TrialRow
from tests.sweep_rows import trial

CHANCE = 10.0
"""Percentage points of a trial that diverged: ten classes."""
DECADES = 4.0
"""Of learning rate, from 1e-4."""

Spread = Literal["random", "sobol"]
SPREADS: tuple[Spread, ...] = ("random", "sobol")


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscapes:
    """score = ceiling - curvature (u - optimum)^2 - 10 (v - 1/2)^2 + noise, in percentage points.

    Where u lies beyond the edge, trials diverge.
    """

    ceiling: NDArray[np.float64]
    """Shape (a, b)."""
    optimum: NDArray[np.float64]
    curvature: NDArray[np.float64]
    edge: NDArray[np.float64]
    noise: float

    def scores(self, points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Shape (a, b, N): one trial at each point of shape (N, 2) or (a, b, N, 2)."""
        u, v = points[..., 0], points[..., 1]
        optimum, curvature = self.optimum[..., np.newaxis], self.curvature[..., np.newaxis]
        expected = self.ceiling[..., np.newaxis] - curvature * (u - optimum) ** 2 - 10 * (v - 0.5) ** 2
        noisy = expected + self.noise * rng.normal(size=expected.shape)
        return np.where(u > self.edge[..., np.newaxis], CHANCE, noisy)


def landscapes(a: int, b: int, rng: np.random.Generator, *, coupling: float, noise: float) -> Landscapes:
    """Drawn landscapes whose optima and ceilings depend on the pair as strongly as `coupling` says."""
    optimum = 0.5 + 0.1 * rng.uniform(-1, 1, (1, b)) + coupling * 0.25 * rng.uniform(-1, 1, (a, b))
    ceiling = 75 + rng.normal(0, 2, (a, 1)) + rng.normal(0, 1, (1, b)) + coupling * rng.normal(0, 1, (a, b))
    return Landscapes(
        ceiling=ceiling,
        optimum=optimum,
        curvature=np.broadcast_to(rng.uniform(20, 60, (1, b)), (a, b)),
        edge=optimum + 0.35,
        noise=noise,
    )


def design(number: int, spread: Spread, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shape (number, 2)."""
    if spread == "random":
        return rng.random((number, 2))
    return np.asarray(qmc.Sobol(2, rng=rng).random(number), dtype=np.float64)


def design_trials(
    scores: NDArray[np.float64], points: NDArray[np.float64] | None, *, role: str = "design"
) -> list[TrialRow]:
    """The trials behind scores of shape (a, b, N, s).

    Args:
        scores: Percentage points; one at chance diverged.
        points: Shape (N, 2): coordinates, the same in every cell; None leaves them unrecorded.
        role: Of the trials.
    """
    rows = []
    for (i, j, h, seed), score in np.ndenumerate(scores):
        place = None if points is None else {"lr": float(points[h, 0]), "weight_decay": float(points[h, 1])}
        rate = 0.01 if place is None else 10 ** (DECADES * place["lr"] - 4)
        rows.append(
            trial(
                trial_id=f"{i}.{j}.{role}-{h:03d}-s{seed}",
                backbone=f"backbone_{i:02d}", optimizer=f"optimizer_{j:02d}", role=role,
                number=h, replicate=seed, seed=seed, score=float(score) / 100, hp_lr=rate,
                state="DIVERGED" if score == CHANCE else "COMPLETE", hp=json.dumps({"lr": rate}), classes=10,
                point=None if place is None else json.dumps(place),
            )
        )  # fmt: skip
    return rows
