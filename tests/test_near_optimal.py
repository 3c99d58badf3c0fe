"""Near-optimal volume against scipy's exact interval and a landscape of known volume, and distances to it by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, qmc

from orchestrator.analysis.statistics.sensitivity.near_optimal import (
    at_boundary,
    eps_optimal_distance,
    near_optimal_volume,
    trials_to_hit,
)


def test_the_interval_is_clopper_pearsons() -> None:
    for near, points in ((0, 8), (3, 16), (16, 16), (1, 1), (11, 64)):
        found = near_optimal_volume(np.array([0.5] * near + [2.0] * (points - near)), 1.0)
        exact = binomtest(near, points).proportion_ci(method="exact")
        assert (found.near, found.points, found.share) == (near, points, near / points)
        # Two root finders of an incomplete beta function.
        assert found.low == pytest.approx(exact.low, abs=1e-9)
        assert found.high == pytest.approx(exact.high, abs=1e-9)


def test_trials_to_hit_follow_from_the_volume() -> None:
    assert trials_to_hit(0.1) == 29
    assert 1 - 0.9**28 < 0.95 <= 1 - 0.9**29
    assert trials_to_hit(0.05) == 59
    assert trials_to_hit(0.95) == 1
    assert trials_to_hit(1.0) == 1
    assert trials_to_hit(0.0) is None


def test_a_volume_that_no_point_hit_still_has_a_bound() -> None:
    found = near_optimal_volume(np.full(32, 5.0), 1.0)
    assert found.n95 is None
    assert found.n95_high is None
    # The interval's upper end is 1 - .025^(1/32) = .109.
    assert found.n95_low == trials_to_hit(1 - 0.025 ** (1 / 32)) == 26


def test_points_that_beat_the_optimum_count_and_ties_do_not_hang_on_the_last_bit() -> None:
    found = near_optimal_volume(np.array([-0.3, 71.2 - 70.2, 1.001]), 1.0)
    assert found.near == 2


def test_it_finds_a_known_volume() -> None:
    # METHODS 2.2: P(regret <= .1) = pi * .1 / 2 = .157; .159 (sd .014) over scrambled Sobol designs of 64 points.
    shares = []
    for seed in range(60):
        u, v = qmc.Sobol(2, rng=seed).random(64).T
        shares.append(near_optimal_volume(4 * (u - 0.6) ** 2 + (v - 0.5) ** 2, 0.1).share)
    # Standard error over 60 designs is .002.
    assert np.mean(shares) == pytest.approx(0.157, abs=0.006)


def test_a_boundary_optimum_is_within_a_tenth_of_an_end() -> None:
    assert at_boundary(0.05)
    assert at_boundary(0.95)
    assert not at_boundary(0.5)
    assert not at_boundary(0.05, has_floor=True)
    assert at_boundary(0.95, has_floor=True)


def test_no_regret_is_refused() -> None:
    for regrets in ([], [np.nan]):
        with pytest.raises(ValueError, match="at least one regret"):
            near_optimal_volume(np.array(regrets), 1.0)


NAN = float("nan")
LR = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_distance_from_the_default_to_what_is_as_good_as_the_best() -> None:
    scores = np.array([50.0, 69.6, 70.0, 60.0, NAN])
    far = eps_optimal_distance(LR, scores, default_lr=1.0, default_score=40.0, eps=0.5)
    assert far is not None
    assert (far.optimum, far.within, far.n, far.default_is_optimal, far.nearest_lr) == (70.0, 2, 4, False, 1e-2)
    assert far.decades == pytest.approx(2.0, abs=1e-12)
    here = eps_optimal_distance(LR, scores, default_lr=1.0, default_score=69.5, eps=0.5)
    assert here is not None
    assert (here.decades, here.default_is_optimal) == (0.0, True)
    never_run = eps_optimal_distance(LR, scores, default_lr=1e-4, default_score=None, eps=0.5)
    assert never_run is not None
    assert (never_run.nearest_lr, never_run.default_is_optimal) == (1e-3, None)


def test_no_point_may_be_as_good_as_the_confirmed_optimum() -> None:
    found = eps_optimal_distance(LR, np.full(5, 60.0), default_lr=1.0, default_score=59.0, eps=0.5, optimum=65.0)
    assert found is not None
    assert (found.decades, found.nearest_lr, found.within, found.optimum) == (None, None, 0, 65.0)
    better_default = eps_optimal_distance(LR, np.full(5, 60.0), default_lr=3.0, default_score=70.0, eps=1.0)
    assert better_default is not None
    assert (better_default.optimum, better_default.decades) == (70.0, 0.0)
    assert eps_optimal_distance(LR, np.full(5, NAN), default_lr=1.0, default_score=70.0, eps=1.0) is None
    with pytest.raises(ValueError, match="positive"):
        eps_optimal_distance(LR, np.zeros(5), default_lr=0.0, default_score=None, eps=1.0)
    with pytest.raises(ValueError, match="one length"):
        eps_optimal_distance(LR, np.zeros(4), default_lr=1.0, default_score=None, eps=1.0)


def test_a_regret_of_epsilon_is_near_whichever_statistic_asks() -> None:
    scores = np.array([0.8, 0.7, 0.5])  # 0.8 - 0.7 > 0.1 in floating point
    assert near_optimal_volume(scores.max() - scores, 0.1).near == 2
    found = eps_optimal_distance(LR[:3], scores, default_lr=LR[1], default_score=0.7, eps=0.1)
    assert found is not None
    assert (found.within, found.default_is_optimal) == (2, True)
