"""Learning-rate response against responses whose sensitivity, width and slopes are known."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.statistics.sensitivity.lr_response import (
    loss_sensitivity,
    rate_profile,
    rate_slopes,
    rate_width,
    score_sensitivity,
)

RATES = np.array([-4.0, -3.0, -2.0, -1.0, 0.0])


def test_sensitivity_is_the_mean_capped_excess() -> None:
    losses = np.array([3.0, 2.5, 2.0, 9.0, np.nan])
    # Capped at 4: excesses 1, .5, 0, 2, 2.
    assert loss_sensitivity(losses, 4.0) == pytest.approx(5.5 / 5)
    assert loss_sensitivity(np.array([2.0, 2.0]), 4.0) == 0.0
    for nothing_learnt in ([np.inf, np.nan], [4.0, 5.0]):
        assert loss_sensitivity(np.array(nothing_learnt), 4.0) is None
    assert loss_sensitivity(np.array([]), 4.0) is None


def test_no_score_counts_as_less_than_chance() -> None:
    assert score_sensitivity(np.array([50.0, 70.0, 0.2]), 1.0) == pytest.approx((20 + 0 + 69) / 3)
    assert score_sensitivity(np.array([70.0, 70.0]), 1.0) == 0.0


def test_width_interpolates_between_rates() -> None:
    found = rate_width(RATES, np.array([0.0, 68.0, 70.0, 66.0, 1.0]), 1.0)
    assert found is not None
    # Regret 2 a decade below: crosses 1 at half of it; regret 4 a decade above: at a quarter.
    assert (found.low, found.high) == (pytest.approx(-2.5), pytest.approx(-1.75))
    assert found.decades == pytest.approx(0.75)
    assert found.censored is None


@pytest.mark.parametrize(
    ("scores", "censored", "decades"),
    [
        ([70.0, 69.5, 69.5, 60.0, 1.0], "low", 2 + 0.5 / 9.5),
        ([1.0, 60.0, 68.0, 69.5, 70.0], "high", 1 + 0.5 / 1.5),
        ([70.0, 70.0, 70.0, 70.0, 70.0], "both", 4.0),
    ],
)
def test_a_range_that_ends_too_soon_is_said(scores: list[float], censored: str, decades: float) -> None:
    found = rate_width(RATES, np.array(scores), 1.0)
    assert found is not None
    assert found.censored == censored
    assert found.decades == pytest.approx(decades)


def test_only_the_part_around_the_optimum_counts() -> None:
    found = rate_width(RATES, np.array([69.9, 50.0, 70.0, 50.0, 69.9]), 1.0)
    assert found is not None
    assert found.decades == pytest.approx(2 / 20)
    assert rate_width(RATES[:1], np.array([70.0]), 1.0) is None


def test_slopes_are_points_per_decade_on_each_side() -> None:
    found = rate_slopes(RATES, np.array([64.0, 67.0, 70.0, 61.0, 52.0]))
    assert (found.left, found.right) == (pytest.approx(3.0), pytest.approx(9.0))
    assert found.asymmetry == pytest.approx(0.5)
    edge = rate_slopes(RATES, np.array([70.0, 69.0, 68.0, 67.0, 66.0]))
    assert edge.left is None
    assert edge.right == pytest.approx(1.0)
    assert edge.asymmetry is None
    assert rate_slopes(RATES, np.full(5, 70.0)).asymmetry is None
    assert rate_slopes(np.array([]), np.array([])).left is None


def test_a_profile_takes_the_best_of_each_bin() -> None:
    positions = np.array([0.05, 0.20, 0.30, 0.45, 0.99, 1.0])
    scores = np.array([10.0, 12.0, 50.0, 40.0, 5.0, 6.0])
    found = rate_profile(positions, 4 * positions - 4, scores, 4)
    np.testing.assert_array_equal(found.best, [12.0, 50.0, 6.0])
    np.testing.assert_array_equal(found.median, [11.0, 45.0, 5.5])
    np.testing.assert_array_equal(found.points, [2, 2, 2])
    np.testing.assert_allclose(found.log_rates, [-3.2, -2.8, 0.0])


def test_a_rate_with_a_regret_of_epsilon_is_within_the_width() -> None:
    found = rate_width(RATES, np.array([0.2, 0.7, 0.8, 0.7, 0.2]), 0.1)
    assert found is not None
    assert found.low <= -3.0
    assert found.high >= -1.0


def test_rates_that_all_diverge_are_not_a_wide_range_of_good_ones() -> None:
    chance = np.full(5, 10.0)
    assert score_sensitivity(chance, 10.0) is None
    assert rate_width(RATES, chance, 1.0, chance=10.0) is None
    saturated = rate_width(RATES, np.full(5, 100.0), 1.0, chance=10.0)
    assert saturated is not None
    assert (saturated.decades, saturated.censored) == (4.0, "both")
    slopes = rate_slopes(RATES, chance)
    assert slopes.left is slopes.right is slopes.asymmetry is None
