from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.resampling import cross_seed_components, wild_bootstrap_p
from orchestrator.analysis.statistics.coupling.variance_components import variance_components
from tests.score_examples import planted, with_holes


def cross_seed_interaction(scores: NDArray[np.float64]) -> float | None:
    found = cross_seed_components(scores)
    return None if found is None else found.interaction


def f_of(scores: NDArray[np.float64]) -> float:
    anova = two_way_anova(scores)
    assert anova is not None
    return np.inf if anova.f is None else anova.f


def exact_p(scores: NDArray[np.float64]) -> float:
    """Share of all sign patterns whose F is at least the observed one, each F by the analysis of variance itself."""
    there = np.isfinite(scores)
    number = there.sum(axis=2, keepdims=True)
    means = np.nansum(scores, axis=2, keepdims=True) / number
    residuals = (scores - means) * np.sqrt(number / (number - 1))
    observed, exceeding, patterns = f_of(scores), 0, 0
    for signs in product((-1, 1), repeat=int(there.sum())):
        drawn = residuals.copy()
        drawn[there] *= signs
        exceeding += f_of(drawn) >= observed
        patterns += 1
    return exceeding / patterns


@pytest.mark.parametrize("is_balanced", [True, False])
def test_p_is_the_share_of_all_sign_patterns(is_balanced: bool) -> None:
    if is_balanced:
        scores = planted(np.random.default_rng(11), (2, 2, 2), interaction=0.5)
    else:
        scores = planted(np.random.default_rng(23), (2, 2, 4), interaction=0.5)
        scores[:, 1, 2:], scores[1, 0, 2:] = np.nan, np.nan  # 4 replicates in one cell and 2 in the others
    exact = exact_p(scores)
    draws = 20_000
    p = wild_bootstrap_p(scores, np.random.default_rng(0), draws=draws)
    # Four standard errors of the draws.
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / draws) + 1 / draws)
    assert 0.02 < exact < 0.98


def test_p_keeps_its_level_with_unequal_variances_where_f_does_not() -> None:
    rng = np.random.default_rng(1)
    wild, plain = [], []
    for _ in range(400):
        noise = np.exp(rng.uniform(np.log(0.1), np.log(3), size=(6, 5)))
        scores = planted(rng, (6, 5, 3), interaction=0, noise=noise)
        p, anova = wild_bootstrap_p(scores, rng, draws=199), two_way_anova(scores)
        assert p is not None
        assert anova is not None
        assert anova.p_f is not None
        wild.append(p <= 0.05)
        plain.append(anova.p_f <= 0.05)
    # At most nominal, within three standard errors of 400 tables; the test by F is off by far more than that.
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(wild) <= limit
    assert np.mean(plain) > limit


def test_p_sees_an_interaction() -> None:
    scores = planted(np.random.default_rng(2), (8, 8, 3), interaction=1.5)
    assert wild_bootstrap_p(scores, np.random.default_rng(0)) == 1 / 2000


def test_the_same_seed_gives_the_same_p() -> None:
    scores = planted(np.random.default_rng(3), (4, 4, 3), interaction=0.3)
    first, again, other = (wild_bootstrap_p(scores, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_cells_with_one_replicate_are_left_out() -> None:
    scores = planted(np.random.default_rng(4), (4, 5, 3))
    scores[:, 4, 1:] = np.nan  # a whole optimizer, so that the rest is a table of its own
    p = wild_bootstrap_p(scores, np.random.default_rng(0))
    assert p == wild_bootstrap_p(scores[:, :4], np.random.default_rng(0))


@pytest.mark.parametrize(
    "scores",
    [
        np.ones((3, 3, 1)),
        np.full((3, 3, 2), 70.1),
        np.ones((1, 3, 2)) + np.arange(2),
        np.where(np.eye(3)[:, :, np.newaxis] > 0, np.arange(2.0), np.nan),
    ],
    ids=["no replicates", "no spread", "one row", "cells without a link"],
)
def test_there_is_nothing_to_test(scores: NDArray[np.float64]) -> None:
    assert wild_bootstrap_p(scores, np.random.default_rng(0)) is None


def test_the_cross_seed_estimate_pair_by_pair() -> None:
    scores = planted(np.random.default_rng(5), (4, 5, 3))
    centred = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean(axis=(0, 1))
    products = [(centred[:, :, k] * centred[:, :, m]).sum() / 12 for k in range(3) for m in range(3) if k != m]
    assert cross_seed_interaction(scores) == pytest.approx(np.mean(products))


@pytest.mark.parametrize("planted_interaction", [0.0, 1.0])
def test_the_cross_seed_estimate_is_unbiased_with_unequal_variances(planted_interaction: float) -> None:
    rng = np.random.default_rng(6)
    noise = np.exp(rng.uniform(np.log(0.1), np.log(3), size=(6, 5)))
    found = []
    for _ in range(400):
        scores = planted(rng, (6, 5, 3), interaction=planted_interaction, noise=noise)
        found.append(cross_seed_interaction(scores + 2 * rng.normal(size=3)))  # a seed's own effect on all cells
    values = np.array(found, dtype=np.float64)
    # Four standard errors.
    assert abs(values.mean() - planted_interaction**2) < 4 * values.std() / np.sqrt(400)


def test_only_complete_replicates_count_for_the_cross_seed_estimate() -> None:
    scores = planted(np.random.default_rng(7), (4, 5, 4))
    holed = scores.copy()
    holed[1, 2, 3] = np.nan
    assert cross_seed_interaction(holed) == pytest.approx(cross_seed_interaction(scores[:, :, :3]))
    holed[0, 0, 1], holed[0, 1, 2] = np.nan, np.nan
    assert cross_seed_interaction(holed) is None
    assert cross_seed_interaction(scores[:, :, :1]) is None
    # A cell that no replicate has is missing from all of them alike.
    scores[2, 2] = np.nan
    assert cross_seed_interaction(scores) is not None
    assert cross_seed_interaction(with_holes(np.random.default_rng(8), scores, 0.5)) is None


def test_what_replicates_share_across_cells_does_not_bias_the_cross_seed_estimates() -> None:
    rng = np.random.default_rng(9)
    across, within = [], []
    for _ in range(400):
        shared = rng.normal(size=3) + rng.normal(size=(6, 1, 3)) + rng.normal(size=(1, 5, 3))
        scores = planted(rng, (6, 5, 3), interaction=0.8, optimizer=1.0) + shared
        found, anova = cross_seed_components(scores), two_way_anova(scores)
        assert found is not None
        assert anova is not None
        across.append((found.interaction, found.optimizer))
        within.append(variance_components(anova).interaction)
    values = np.array(across, dtype=np.float64)
    # Four standard errors. The analysis of variance takes what is shared for noise, and is too low by far more.
    assert (np.abs(values.mean(axis=0) - [0.64, 1.0]) < 4 * values.std(axis=0) / np.sqrt(400)).all()
    assert np.mean(np.array(within, dtype=np.float64)) < 0.64 - 0.5


def test_column_means_are_not_compared_over_different_rows() -> None:
    scores = planted(np.random.default_rng(10), (4, 5, 3))
    scores[0, 0] = np.nan
    found = cross_seed_components(scores)
    assert found is not None
    assert found.interaction is not None
    assert found.optimizer is None


def test_without_noise_the_cross_seed_estimates_are_those_of_the_mean_squares() -> None:
    table = planted(np.random.default_rng(12), (4, 5, 1))
    found, anova = cross_seed_components(np.repeat(table, 3, axis=2)), two_way_anova(table)
    assert found is not None
    assert anova is not None
    assert anova.ms_interaction is not None
    assert found.interaction == pytest.approx(anova.ms_interaction)
    assert found.optimizer == pytest.approx((anova.ms_optimizer - anova.ms_interaction) / 4)
