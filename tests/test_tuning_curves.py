"""Tuning curves against enumeration of every subset, opda, and the landscape whose curve is known."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opda.nonparametric import EmpiricalDistribution
from scipy.stats import qmc

from orchestrator.analysis.statistics.sensitivity.tuning_curves import (
    cdf_band,
    expected_best,
    tuning_curve,
)

SCORES = np.array([61.0, 70.5, 70.5, 12.0, 44.25, 68.0, 1.0])
"""With a tie and a diverged trial."""


def test_the_unbiased_estimate_is_the_mean_over_every_subset() -> None:
    for n in range(1, len(SCORES) + 1):
        expected = np.mean([max(subset) for subset in combinations(SCORES, n)])
        assert expected_best(SCORES, [n])[0] == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=12), st.floats(0.1, 3), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_curves_rise_and_follow_the_unit(values: list[float], factor: float, offset: float) -> None:
    scores = np.array(values)
    budgets = list(range(1, len(values) + 1))
    curve = expected_best(scores, budgets)
    assert (np.diff(curve) >= -1e-9).all()
    assert curve[0] == pytest.approx(scores.mean(), abs=1e-9)
    np.testing.assert_allclose(expected_best(factor * scores + offset, budgets), factor * curve + offset, atol=1e-9)
    np.testing.assert_allclose(expected_best(scores[::-1], budgets), curve, atol=1e-9)


def test_it_estimates_the_best_of_eight_in_a_known_landscape() -> None:
    # METHODS 2.2: regret 4 (u - .6)^2 + (v - .5)^2, 64 points: .0665 on scrambled Sobol designs, truth .0707.
    best = []
    for seed in range(40):
        u, v = qmc.Sobol(2, rng=seed).random(64).T
        best.append(-expected_best(-(4 * (u - 0.6) ** 2 + (v - 0.5) ** 2), [8])[0])
    # Standard error over 40 designs is about .001.
    assert np.mean(best) == pytest.approx(0.0665, abs=0.003)


def test_a_budget_that_the_trials_know_nothing_about_is_refused() -> None:
    for budgets in ([8], [0], []):
        with pytest.raises(ValueError, match="say nothing"):
            expected_best(SCORES, budgets)
    with pytest.raises(ValueError, match="finite"):
        expected_best(np.array([1.0, np.nan]), [1])


def test_the_band_is_opdas_and_needs_no_jitter_for_ties() -> None:
    scores = np.random.default_rng(1).uniform(20, 80, 12)
    band = cdf_band(12, 0.8, np.random.default_rng(5))
    low, _, high = EmpiricalDistribution.confidence_bands(
        scores, 0.8, a=0.0, b=100.0, generator=np.random.default_rng(5), method="ld_equal_tailed", n_jobs=1
    )
    curve = tuning_curve(scores, band)
    n = np.arange(1, 13)
    np.testing.assert_allclose(curve.mean_low, high.average_tuning_curve(n), rtol=1e-9)
    np.testing.assert_allclose(curve.mean_high, low.average_tuning_curve(n), rtol=1e-9)
    np.testing.assert_allclose(curve.median_low, high.quantile_tuning_curve(n))
    np.testing.assert_allclose(curve.median_high, low.quantile_tuning_curve(n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tied = tuning_curve(np.round(scores, -1), band)
    assert (tied.mean_low <= tied.mean).all()
    assert (tied.mean <= tied.mean_high).all()
    assert tied.flagged == (False,) * 6 + (True,) * 6


def test_bands_cover_whole_curves_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    band = cdf_band(16, 0.8, rng)
    n = np.arange(1, 17)
    truth = 100 * n / (n + 1)
    ties = 10 * sum(1 - (k / 11) ** n for k in range(1, 11))
    covered = covered_ties = 0
    for _ in range(400):
        drawn = rng.uniform(0, 100, 16)
        curve = tuning_curve(drawn, band)
        covered += bool(((curve.mean_low <= truth) & (truth <= curve.mean_high)).all())
        curve = tuning_curve(10.0 * rng.integers(0, 11, 16), band)
        covered_ties += bool(((curve.mean_low <= ties) & (ties <= curve.mean_high)).all())
    # 0.8 with a standard error of 0.02; means can be covered where the distribution is not.
    assert covered / 400 > 0.74
    assert covered_ties / 400 > 0.74


def test_large_designs_have_a_band_at_once() -> None:
    band = cdf_band(500, 0.95, np.random.default_rng(0))
    assert band.size == 500
    assert band.confidence == 0.95
    assert (band.lower <= band.upper).all()


def test_a_band_for_other_trials_is_refused() -> None:
    band = cdf_band(3, 0.8, np.random.default_rng(0))
    with pytest.raises(ValueError, match="band of 3"):
        tuning_curve(SCORES, band)
    with pytest.raises(ValueError, match="from 0"):
        tuning_curve(np.array([1.0, 2.0, 101.0]), band)
    with pytest.raises(ValueError, match="confidence"):
        cdf_band(3, 1.0, np.random.default_rng(0))
    one = tuning_curve(np.array([50.0]), cdf_band(1, 0.8, np.random.default_rng(0)))
    assert one.mean[0] == 50
    assert one.mean_low[0] < 50 < one.mean_high[0]
