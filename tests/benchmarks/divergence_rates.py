"""Divergence on planted rates: exact intervals of cells, and the permutation test of rows and columns."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.failures import FailureAnswer, failure_answer
from tests.benchmarks.planted_landscapes import CHANCE, design_trials
from tests.benchmarks.rates import Rate, Rule, rate

LEVEL = 0.05
TRIALS = 16
"""Of each cell."""


def interval_rates(probability: float, number: int, seed: int) -> list[Rate]:
    """How often the exact interval of a cell covers its rate: at least as often as it says."""
    rng = np.random.default_rng(seed)
    found = _answer(np.full((10, max(1, number // 10)), probability), rng)
    covered = [low <= probability <= high for low, high in (cell.divergence_ci or (0, 0) for cell in found.cells)]
    where = f"{TRIALS} trials, rate {probability:g}"
    return [rate("divergence_ci covers", where, covered, "at least", 0.95)]


def level_rates(number: int, seed: int, *, alike: float, backbones: float = 0.0) -> list[Rate]:
    """The two permutation tests where optimizers differ, and backbones do not or do.

    Args:
        number: Sweeps of 6 x 5 cells.
        seed: Of the simulation.
        alike: Standard deviation of each cell's own log-odds: trials of one cell end alike.
        backbones: Standard deviation of the effect of backbones, in log-odds.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(number):
        optimizers = rng.normal(-1.5, 1.5, (1, 5))
        effects = backbones * rng.normal(size=(6, 1))
        odds = optimizers + effects + alike * rng.normal(size=(6, 5))
        summary = _answer(1 / (1 + np.exp(-odds)), rng).summary
        assert summary is not None
        found["backbones"].append(summary.p_backbones is not None and summary.p_backbones <= LEVEL)
        found["optimizers"].append(summary.p_optimizers is not None and summary.p_optimizers <= LEVEL)
        for level, effect in zip(summary.backbones, effects[:, 0] - effects.mean(), strict=True):
            if level.log_odds is not None and level.log_odds_se is not None:
                found["covered"].append(abs(level.log_odds - effect) <= 1.96 * level.log_odds_se)
    where = f"6 x 5, {TRIALS} trials each, cells' own log-odds {alike:g}, backbones' {backbones:g}"
    rule: Rule = "shown" if backbones else "at most"
    return [
        rate("p_backbones <= 0.05", where, found["backbones"], rule, None if backbones else LEVEL),
        rate("p_optimizers <= 0.05", where, found["optimizers"], "shown", None),
        rate("Firth's log odds within 1.96 SE", where, found["covered"], "shown" if alike else "at least", 0.95),
    ]


def _answer(probability: NDArray[np.float64], rng: np.random.Generator) -> FailureAnswer:
    """The section `failures` of design trials that diverge at these rates."""
    diverged = rng.uniform(size=(*probability.shape, TRIALS, 1)) < probability[:, :, np.newaxis, np.newaxis]
    return failure_answer(design_trials(np.where(diverged, CHANCE, 70.0), None), rng=rng)
