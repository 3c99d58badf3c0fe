"""Tuning curves, near-optimal volumes, the cost of sharing a setting, and C(n), on landscapes with a known truth."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.budget import coupling_by_budget
from orchestrator.analysis.answers.optimizers import optimizer_sensitivities
from orchestrator.analysis.answers.sensitivity import CellSensitivity, sensitivity
from orchestrator.analysis.answers.tuning import BAND_CONFIDENCE
from orchestrator.analysis.statistics.coupling.budget import BudgetComponents, mean_squares
from orchestrator.analysis.statistics.sensitivity.near_optimal import trials_to_hit
from orchestrator.analysis.statistics.sensitivity.tuning_curves import expected_best
from orchestrator.analysis.trials.cells import key_of
from tests.benchmarks.planted_landscapes import Landscapes, Spread, design, design_trials, landscapes
from tests.benchmarks.rates import Rate, Rule, rate

EPSILON = 2.0
SEEDS = 3
"""Of the confirmed optimum."""
TRUTH_POINTS = 100_000


def curve_rates(cells: int, points: int, spread: Spread, noise: float, seed: int) -> list[Rate]:
    """The tuning curve and the near-optimal volume of one landscape, from as many independent designs as cells."""
    rng = np.random.default_rng(seed)
    plain = landscapes(1, 1, rng, coupling=0.0, noise=noise)
    sample = plain.scores(rng.random((TRUTH_POINTS, 2)), rng)[0, 0]
    best = expected_best(sample, range(1, points + 1))
    middle = np.quantile(sample, 0.5 ** (1 / np.arange(1, points + 1)))
    optimum = float(plain.ceiling[0, 0])
    share = float((sample >= optimum - EPSILON).mean())
    found: dict[str, list[float]] = defaultdict(list)
    for cell in _cells_of(plain, cells, points, spread, rng):
        means = np.array([point.mean for point in cell.tuning_curve])
        for n in (1, 4, points // 2):
            found[f"U_{n}"].append(float(means[n - 1] - best[n - 1]))
        curve = cell.tuning_curve
        found["mean"].append(all(p.low <= t <= p.high for p, t in zip(curve, best, strict=True)))
        found["median"].append(all(p.median_low <= t <= p.median_high for p, t in zip(curve, middle, strict=True)))
        volume = next(volume for volume in cell.p_eps if volume.epsilon == EPSILON)
        found["p"].append(volume.low <= share <= volume.high)
        needed = trials_to_hit(share)
        assert needed is not None
        found["n95"].append(volume.n95_low <= needed <= (np.inf if volume.n95_high is None else volume.n95_high))
    where = f"{points} {spread} points, noise {noise:g}"
    # A Sobol design is more even than chance: its expected best of n is a little too high, its intervals too wide.
    level: Rule = "equals" if spread == "random" else "shown"
    rates = [
        rate(f"{name} less its truth", where, found[name], level, 0.0) for name in found if name.startswith("U_")
    ]
    return [
        *rates,
        rate("band covers the whole curve of means", where, found["mean"], "at least", BAND_CONFIDENCE),
        rate("band covers the whole curve of medians", where, found["median"], "at least", BAND_CONFIDENCE),
        rate(f"near-optimal volume ({EPSILON:g} points) covered", where, found["p"], "at least", 0.95),
        rate("n95 covered", where, found["n95"], "at least", 0.95),
    ]


def _cells_of(
    plain: Landscapes, cells: int, points: int, spread: Spread, rng: np.random.Generator
) -> tuple[CellSensitivity, ...]:
    """So many cells of one landscape, each with a design of its own, and a confirmed optimum."""
    places = np.stack([design(points, spread, rng) for _ in range(cells)])
    scores = plain.scores(places[:, np.newaxis], rng)
    confirmed = plain.ceiling + plain.noise * rng.normal(size=(cells, 1, 1, SEEDS))
    trials = design_trials(scores[..., np.newaxis], None) + design_trials(confirmed, None, role="confirm")
    return sensitivity(trials, rng=rng).cells


def sharing_rates(number: int, noise: float, seed: int) -> list[Rate]:
    """Adkins' Phi where one setting is best for all backbones: what is left is the luck of the best of 16."""
    rng = np.random.default_rng(seed)
    plug_in, split = [], []
    for _ in range(number):
        plain = landscapes(5, 3, rng, coupling=0.0, noise=noise)
        points = design(16, "sobol", rng)
        scores = np.stack([plain.scores(points, rng) for _ in range(2)], axis=3)
        trials = design_trials(scores, points)
        grid = list(dict.fromkeys(key_of(row) for row in trials))
        found = optimizer_sensitivities(trials, (), grid=grid, rng=rng)
        plug_in.append(float(np.mean([one.phi for one in found])))
        split.append(float(np.mean([one.phi_split_seed for one in found])))
    where = f"5 x 3, 16 Sobol points, 2 seeds, noise {noise:g}, one optimum"
    return [
        rate("Phi, plug-in", where, plug_in, "above", 0.0),
        rate("Phi, split seeds", where, split, "at most", 0.0),
    ]


def budget_rates(
    shape: tuple[int, int], number: int, points: int, coupling: float, noise: float, seed: int
) -> list[Rate]:
    """C(n) on Sobol designs against the coupling of the expected best of n random trials."""
    rng = np.random.default_rng(seed)
    plain = landscapes(*shape, rng, coupling=coupling, noise=noise)
    truth = {n: _true_components(plain, n, rng) for n in (1, 2, 4, 8) if 2 * n <= points}
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(number):
        places = design(points, "sobol", rng)
        answer = coupling_by_budget(design_trials(plain.scores(places, rng)[..., np.newaxis], places), rng=rng)
        for at in answer.budgets:
            if at.n not in truth or at.low is None or at.high is None:
                continue
            found["s2", at.n].append(at.sigma2_interaction)
            found["covered", at.n].append(at.low <= truth[at.n].interaction <= at.high)
            index = truth[at.n].index
            if at.index_low is not None and at.index_high is not None and index is not None:
                found["index", at.n].append(at.index_low <= index <= at.index_high)
    where = f"{shape[0]} x {shape[1]}, {points} Sobol points, coupling {coupling:g}, noise {noise:g}"
    rates = []
    for n, components in truth.items():
        at = f"{where}, n = {n}"
        rates.append(rate("C(n): sigma2_interaction", at, found["s2", n], "at most", components.interaction))
        rates.append(rate("C(n): interval covers", at, found["covered", n], "at least", 0.95))
        if coupling:
            rates.append(rate("C(n): interval of the index covers", at, found["index", n], "at least", 0.95))
    return rates


def _true_components(plain: Landscapes, n: int, rng: np.random.Generator) -> BudgetComponents:
    """By random searches in every cell, the same points in all of them so that the cells' errors are alike."""
    blocks = [_bests(plain, n, rng) for _ in range(40)]
    return BudgetComponents.of(mean_squares(np.mean(blocks, axis=0)[:, :, None, None]), plain.ceiling.shape)


def _bests(plain: Landscapes, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    scores = plain.scores(rng.random((1000 * n, 2)), rng)
    best: NDArray[np.float64] = scores.reshape(*scores.shape[:2], 1000, n).max(axis=3).mean(axis=2)
    return best
