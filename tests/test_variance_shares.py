"""Sobol' shares: the surrogate against scikit-learn, the integrals against scipy, the whole on planted shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc, sobol_indices, uniform
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from orchestrator.analysis.statistics.sensitivity.gaussian_process import (
    LENGTH_SCALES,
    MAX_SCALES,
    NOISE_RATIOS,
    candidate_kernels,
    cross_validated,
    explained_variance,
    fit_surrogates,
    matern,
)
from orchestrator.analysis.statistics.sensitivity.ped_anova import ped_anova
from orchestrator.analysis.statistics.sensitivity.variance_shares import sobol_shares, surrogate_shares

GRID = (np.arange(400) + 0.5) / 400
U, V = np.meshgrid(GRID, GRID, indexing="ij")


def landscape(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Points lost to each coordinate and to both together."""
    return 70 - 20 * (u - 0.55) ** 2 - 12 * (v - 0.5) ** 2 - 15 * (u - 0.5) * (v - 0.5)


def planted_shares() -> np.ndarray:
    values = landscape(U, V)
    first = np.array([values.mean(axis=1).var(), values.mean(axis=0).var()]) / values.var()
    return np.array([first, 1 - first[::-1]])


def test_one_coordinate_is_the_gaussian_process_of_scikit_learn() -> None:
    points = qmc.Sobol(1, rng=0).random(16)
    scores = 60 + np.sin(6 * points[:, 0])
    kernels = candidate_kernels(points, np.random.default_rng(0))
    fitted = fit_surrogates(points, scores[None], kernels)
    chosen = kernels[fitted.choice[0]]
    reference = GaussianProcessRegressor(
        Matern(length_scale=chosen.scales[0], nu=1.5), alpha=chosen.noise, optimizer=None
    ).fit(points, scores - scores.mean())
    places = np.linspace(0, 1, 9)[:, None]
    np.testing.assert_allclose(
        fitted.predict(places)[0], reference.predict(places) + scores.mean(), rtol=1e-9, atol=1e-9
    )
    # Likelihoods with the variance profiled out, from those of unit variance at the scaled data.
    expected = []
    for kernel in kernels:
        variance = (scores - scores.mean()) @ kernel.inverse @ (scores - scores.mean()) / 16
        model = GaussianProcessRegressor(
            Matern(length_scale=kernel.scales[0], nu=1.5), alpha=kernel.noise, optimizer=None
        ).fit(points, (scores - scores.mean()) / np.sqrt(variance))
        expected.append(model.log_marginal_likelihood_value_ - 8 * np.log(variance))
    assert fitted.choice[0] == int(np.argmax(expected))


def test_several_coordinates_multiply() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random((5, 3)), rng.random((4, 3))
    scales = (0.2, 0.5, 2.0)
    expected = np.prod(
        [Matern(length_scale=s, nu=1.5)(first[:, [k]], second[:, [k]]) for k, s in enumerate(scales)], axis=0
    )
    np.testing.assert_allclose(matern(first, second, scales), expected, rtol=1e-12)


def test_many_coordinates_have_a_bounded_number_of_candidates() -> None:
    kernels = candidate_kernels(np.random.default_rng(0).random((8, 6)), np.random.default_rng(0))
    assert len(kernels) <= MAX_SCALES * len(NOISE_RATIOS)
    assert {kernel.scales for kernel in kernels} >= {(scale,) * 6 for scale in LENGTH_SCALES}


def test_the_integrals_are_those_that_scipy_samples() -> None:
    points = qmc.Sobol(3, rng=0).random(32)
    scores = landscape(points[:, 0], points[:, 1]) + 3 * points[:, 2]
    rng = np.random.default_rng(0)
    fitted = fit_surrogates(points, scores[None], candidate_kernels(points, rng))
    found = sobol_shares(fitted)[:, 0]
    sampled = sobol_indices(func=lambda x: fitted.predict(x.T), n=4096, dists=[uniform()] * 3, rng=rng)
    # Saltelli's estimators with 4096 points are good to about a hundredth.
    np.testing.assert_allclose(found[0], np.squeeze(sampled.first_order), atol=0.02)
    np.testing.assert_allclose(found[1], np.squeeze(sampled.total_order), atol=0.02)
    assert (found[0] <= found[1] + 1e-9).all()


def test_planted_shares_are_recovered_within_their_intervals() -> None:
    truth, rng = planted_shares(), np.random.default_rng(3)
    covered = []
    for seed in range(3):
        points = qmc.Sobol(2, rng=seed).random(32)
        scores = landscape(points[:, 0], points[:, 1]) + 0.3 * rng.normal(size=(12, 32))
        for found in surrogate_shares(points, scores, rng):
            assert found.shares is not None
            assert found.r_squared is not None
            assert found.r_squared > 0.5
            low = np.array([found.shares.first_low, found.shares.total_low])
            high = np.array([found.shares.first_high, found.shares.total_high])
            np.testing.assert_allclose([found.shares.first, found.shares.total], truth, atol=0.15)
            covered.append((low <= truth) & (truth <= high))
    # 36 intervals of 95 %.
    assert np.mean(covered) > 0.88


def test_a_surrogate_that_knows_nothing_gives_no_shares() -> None:
    points, rng = qmc.Sobol(2, rng=0).random(16), np.random.default_rng(4)
    noise, flat = surrogate_shares(points, np.stack([rng.normal(size=16), np.full(16, 0.1 + 0.2)]), rng)
    assert noise.shares is None
    assert noise.reason is not None
    assert "R^2" in noise.reason
    assert (flat.r_squared, flat.shares, flat.reason) == (None, None, "the scores do not vary")
    (few,) = surrogate_shares(points[:4], rng.normal(size=(1, 4)), rng)
    assert few.reason == "a surrogate needs 8 points; there are 4"


def test_the_quality_is_that_of_points_it_has_not_seen() -> None:
    points, rng = qmc.Sobol(2, rng=0).random(32), np.random.default_rng(5)
    scores = np.stack([landscape(*points.T), rng.normal(size=32)])
    good, bad = explained_variance(scores, cross_validated(points, scores, rng))
    assert good > 0.9
    assert bad < 0.3


def test_a_single_coordinate_has_all_the_variance() -> None:
    points = qmc.Sobol(1, rng=0).random(16)
    (found,) = surrogate_shares(points, 70 - 20 * (points.T - 0.5) ** 2, np.random.default_rng(0))
    assert found.shares is not None
    assert found.shares.first[0] == pytest.approx(1, abs=1e-6)
    assert found.shares.total[0] == pytest.approx(1, abs=1e-6)


def test_ped_anova_is_optunas_and_needs_fifty_trials() -> None:
    points = qmc.Sobol(2, rng=0).random(64)
    # The rate tells the best from the rest, the decay the worst.
    scores = 70 - 5 * (points[:, 0] - 0.6) ** 2 - 60 * (points[:, 1] > 0.9)
    found = ped_anova(points, scores, ["lr", "weight_decay"])
    assert found is not None
    assert found["lr"] > found["weight_decay"]
    assert sum(found.values()) == pytest.approx(1)
    assert ped_anova(points[:49], scores[:49], ["lr", "weight_decay"]) is None
    # All at chance, or all but too few to fill the best tenth: then nothing tells one from the rest.
    at_chance = np.full(64, 10.0)
    assert ped_anova(points, at_chance, ["lr", "weight_decay"]) is None
    at_chance[:3] = 50.0
    assert ped_anova(points, at_chance, ["lr", "weight_decay"]) is None
    worst = ped_anova(points, -scores, ["lr", "weight_decay"])
    assert worst is not None
    assert worst["lr"] < worst["weight_decay"]
