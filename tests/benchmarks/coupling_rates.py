"""Coupling by the whole path from trials to answers, on sweeps with a planted interaction and on nulls."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.coupling_records import CouplingSection
from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.resampling import cross_seed_components, wild_bootstrap_p
from orchestrator.analysis.statistics.coupling.variance_components import coupling_index, variance_components
from tests.benchmarks.planted_tables import Plant, answers, confirmed_trials, draw
from tests.benchmarks.rates import Rate, Rule, rate

LEVEL = 0.05
COVERAGE = 0.95
SIGMAS = (0.0, 0.1, 0.3, 0.5, 1.0)
"""Of the interaction, in standard deviations of the noise."""


def coupling_rates(plant: Plant, number: int, seed: int) -> list[Rate]:
    """Rates of the section `coupling` over so many sweeps of equal noise, each analysed whole."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = defaultdict(list)
    for table in range(number):
        planted = draw(plant, rng)
        analysis = answers(confirmed_trials(planted.scores), seed=table)
        _take(found, plant, analysis.coupling, _realised_index(planted.truth))
        gain = None if analysis.regret is None else analysis.regret.gain.cross_fitted
        found["gain"].append(np.nan if gain is None else gain)
    return _judged(found, plant)


def _take(found: dict[str, list[float]], plant: Plant, coupling: CouplingSection, index: float) -> None:
    assert coupling.p_f is not None
    assert coupling.p_wild is not None
    assert coupling.theta_ci is not None
    low, high = coupling.theta_ci
    found["p_f"].append(coupling.p_f <= LEVEL)
    found["p_wild"].append(coupling.p_wild <= LEVEL)
    found["theta_ci"].append(low <= plant.interaction**2 <= high)
    for name in ("sigma2_interaction", "sigma2_cross_seed", "omega2", "index"):
        value = getattr(coupling, name)
        found[name].append(np.nan if value is None else value)
    found["true index"].append(index)


def _judged(found: dict[str, list[float]], plant: Plant) -> list[Rate]:
    where, sigma2 = str(plant), plant.interaction**2
    is_null, is_exact = plant.interaction == 0, plant.layout == "balanced"
    rates = [
        rate("p_f <= 0.05", where, found["p_f"], *_rule(is_null, "equals")),
        rate("p_wild <= 0.05", where, found["p_wild"], *_rule(is_null, "at most")),
        rate("theta_ci covers", where, found["theta_ci"], "equals", COVERAGE),
        rate("sigma2_interaction", where, found["sigma2_interaction"], "equals", sigma2),
    ]
    if np.isfinite(found["sigma2_cross_seed"]).mean() > 0.5:
        rates.append(rate("sigma2_cross_seed", where, found["sigma2_cross_seed"], "equals", sigma2))
    if is_exact:
        omega2 = rate("omega2", where, found["omega2"], "equals" if is_null else "shown", _true_omega2(plant))
        index = rate("index", where, found["index"], "shown", float(np.mean(found["true index"])))
        rates += [omega2, index]
    if is_null and is_exact:
        rates.append(rate("coupling gain, cross-fitted", f"{where}, sigma_optimizer = {plant.optimizer:g}",
                          found["gain"], "at most", 0.0))  # fmt: skip
    return rates


def _true_omega2(plant: Plant) -> float:
    """The ratio of what the sums of squares are on average, for noise of variance 1."""
    a, b, r, sigma2 = plant.rows, plant.columns, plant.replicates, plant.interaction**2
    rest = (a - 1) * (b - 1) * r * sigma2
    row = (a - 1) * (1 + r * sigma2 + r * b * plant.backbone**2)
    column = (b - 1) * (1 + r * sigma2 + r * a * plant.optimizer**2)
    total = row + column + (a - 1) * (b - 1) * (1 + r * sigma2) + a * b * (r - 1)
    return rest / (total + 1)


def _realised_index(truth: NDArray[np.float64]) -> float:
    """The index of these very effects, had there been no noise."""
    columns = truth.mean(axis=0)
    rest = truth - columns - truth.mean(axis=1, keepdims=True) + truth.mean()
    interaction = float((rest**2).sum()) / ((truth.shape[0] - 1) * (truth.shape[1] - 1))
    index = coupling_index(interaction, float(columns.var(ddof=1)) - interaction / truth.shape[0])
    return 0.0 if index is None or interaction < 1e-18 else index


def statistics_rates(plant: Plant, number: int, seed: int, *, draws: int = 399) -> list[Rate]:
    """The same from the statistics alone, which are fast enough for many tables, and where cells differ in noise.

    There `p_f` must be seen to fail, and with one noisy cell among few `p_wild` too. A test with 399 draws has the
    level of one with 1,999.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(number):
        scores = draw(plant, rng).scores
        anova, wild = two_way_anova(scores), wild_bootstrap_p(scores, rng, draws=draws)
        assert anova is not None
        assert anova.p_f is not None
        assert wild is not None
        components, across = variance_components(anova), cross_seed_components(scores)
        assert components.theta_ci is not None
        found["p_f"].append(anova.p_f <= LEVEL)
        found["p_wild"].append(wild <= LEVEL)
        found["theta_ci"].append(components.theta_ci.low <= plant.interaction**2 <= components.theta_ci.high)
        found["cross"].append(across.interaction if across and across.interaction is not None else np.nan)
        found["s2"].append(np.nan if components.interaction is None else components.interaction)
    where, is_equal, is_null = f"{plant} (statistics)", plant.noise == "equal", plant.interaction == 0
    sigma2, is_wild_misled = plant.interaction**2, plant.noise == "one"
    rates = [
        rate("p_f <= 0.05", where, found["p_f"], *_rule(is_null, "equals" if is_equal else "above")),
        rate("p_wild <= 0.05", where, found["p_wild"], *_rule(is_null, "above" if is_wild_misled else "at most")),
    ]
    if is_equal:
        rates.append(rate("theta_ci covers", where, found["theta_ci"], "equals", COVERAGE))
        rates.append(rate("sigma2_interaction", where, found["s2"], "equals", sigma2))
    if np.isfinite(found["cross"]).mean() > 0.5:
        rates.append(rate("sigma2_cross_seed", where, found["cross"], "equals", sigma2))
    return rates


def _rule(is_null: bool, rule: Rule) -> tuple[Rule, float | None]:
    """A rejection rate is the level only where there is no interaction; elsewhere it is power."""
    return (rule, LEVEL) if is_null else ("shown", None)
