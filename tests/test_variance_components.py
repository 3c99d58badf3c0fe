from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, ncf
from scipy.stats import f as f_distribution

from orchestrator.analysis.statistics.coupling.anova import TwoWayAnova, two_way_anova
from orchestrator.analysis.statistics.coupling.variance_components import VarianceComponents, variance_components
from tests.score_examples import paper_table, planted, with_holes


def analysed(scores: NDArray[np.float64]) -> tuple[TwoWayAnova, VarianceComponents]:
    anova = two_way_anova(scores)
    assert anova is not None
    return anova, variance_components(anova)


def test_balanced_components_by_their_formulas() -> None:
    anova, found = analysed(planted(np.random.default_rng(0), (5, 4, 3)))
    assert anova.ms_interaction is not None
    assert anova.ms_error is not None
    interaction = (anova.ms_interaction - anova.ms_error) / 3
    optimizer = (anova.ms_optimizer - anova.ms_interaction) / (5 * 3)
    assert found.interaction == pytest.approx(interaction)
    assert found.optimizer == pytest.approx(optimizer)
    assert found.backbone == pytest.approx((anova.ms_backbone - anova.ms_interaction) / (4 * 3))
    assert found.index == pytest.approx(interaction / (interaction + optimizer))
    assert found.theta == pytest.approx(interaction / anova.ms_error)
    assert found.is_noise_separated


def test_coefficients_of_an_unbalanced_table_are_traces() -> None:
    # The trace of a quadratic form is its sum over unit vectors: here tables with one cell, or one column, at 1.
    rng = np.random.default_rng(1)
    holes = np.isnan(with_holes(rng, np.zeros((4, 5, 3)), 0.3))

    def of(effect: NDArray[np.float64]) -> TwoWayAnova:
        anova = two_way_anova(np.where(holes, np.nan, effect[:, :, np.newaxis] * np.ones(3)))
        assert anova is not None
        return anova

    units = [of(np.eye(20)[cell].reshape(4, 5)) for cell in range(20)]
    columns = [of(np.ones((4, 1)) * np.eye(5)[column]) for column in range(5)]
    rows = [of(np.eye(4)[row][:, np.newaxis] * np.ones(5)) for row in range(4)]
    anova, expected = units[0], units[0].expected
    assert expected.interaction == pytest.approx(
        sum(unit.ss_interaction or 0 for unit in units) / anova.df_interaction
    )
    assert expected.interaction_in_optimizer == pytest.approx(sum(u.ss_optimizer for u in units) / 4)
    assert expected.interaction_in_backbone == pytest.approx(sum(u.ss_backbone for u in units) / 3)
    assert expected.optimizer == pytest.approx(sum(column.ss_optimizer for column in columns) / 4)
    assert expected.interaction != pytest.approx(
        anova.n_replicates, rel=0.01
    )  # the mean square weighs cells by results
    some, parts = analysed(np.where(holes, np.nan, planted(rng, (4, 5, 3))))
    assert some.ms_interaction is not None
    assert some.ms_error is not None
    assert parts.interaction == pytest.approx((some.ms_interaction - some.ms_error) / expected.interaction)
    assert expected.backbone == pytest.approx(sum(row.ss_backbone for row in rows) / 3)


def test_components_are_unbiased_with_missing_results() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        _, parts = analysed(with_holes(rng, planted(rng, (6, 5, 3), interaction=0.8), 0.15))
        found.append((parts.interaction, parts.optimizer, parts.backbone, parts.error))
    values = np.array(found, dtype=np.float64)
    errors = values.std(axis=0) / np.sqrt(len(values))
    # Four standard errors: four comparisons, of which each fails with probability 6e-5 where the truth is met.
    assert (np.abs(values.mean(axis=0) - [0.64, 4.0, 9.0, 1.0]) < 4 * errors).all()


def test_the_interval_of_theta_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        _, found = analysed(planted(rng, (6, 5, 3), interaction=0.7))
        assert found.theta_ci is not None
        covered.append(found.theta_ci.low <= 0.49 <= found.theta_ci.high)
    # Three binomial standard errors around .95.
    assert abs(np.mean(covered) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize("interaction", [0.0, 1.0, 30.0])
def test_intervals_invert_the_distribution_functions(interaction: float) -> None:
    anova, found = analysed(planted(np.random.default_rng(4), (20, 20, 3), interaction=interaction))
    assert anova.f is not None
    assert found.theta_ci is not None
    assert found.theta_fixed_ci is not None
    for end, tail in ((found.theta_ci.low, 0.975), (found.theta_ci.high, 0.025)):
        assert f_distribution.cdf(anova.f / (1 + 3 * end), 361, 800) == pytest.approx(tail, abs=1e-9)
    for end, tail in ((found.theta_fixed_ci.low, 0.975), (found.theta_fixed_ci.high, 0.025)):
        if end > 0:
            # The root is found to 1e-10 of the noncentrality.
            assert ncf.cdf(anova.f, 361, 800, end * 361 * 3) == pytest.approx(tail, abs=1e-6)
    assert found.theta_fixed_ci.low >= 0


def test_without_replicates_the_index_contains_the_noise_and_says_so() -> None:
    _, found = analysed(paper_table()[0])
    assert found.index == pytest.approx(0.648, abs=5e-4)
    assert not found.is_noise_separated
    assert (found.interaction, found.theta, found.theta_ci, found.theta_fixed_ci) == (None,) * 4


def test_negative_components_stay_and_the_index_takes_them_as_0() -> None:
    scores = np.array([[[0.0, 2.0], [0.0, 2.0]], [[0.0, 2.0], [0.0, 2.0]]])
    _, found = analysed(scores)
    assert found.interaction == pytest.approx(-1.0)
    assert found.index is None  # both components are cut at 0
    _, found = analysed(scores + np.array([[[0.0], [9.0]], [[0.0], [9.0]]]))
    assert found.index == 0.0


@pytest.mark.parametrize("noise", [1e-2, 1e-3, 1e-4, 1e-6, 1e-8])
def test_an_interaction_far_above_the_noise_has_an_interval(noise: float) -> None:
    rng = np.random.default_rng(5)
    anova, found = analysed(70 + rng.normal(0, 1, (20, 20, 1)) + noise * rng.normal(0, 1, (20, 20, 3)))
    assert found.theta is not None
    assert found.theta_fixed_ci is not None
    # Only the noise is uncertain then: its mean square has a chi-square distribution.
    ends = [found.theta * chi2.ppf(p, anova.df_error) / anova.df_error for p in (0.025, 0.975)]
    assert (found.theta_fixed_ci.low, found.theta_fixed_ci.high) == pytest.approx(ends, rel=3e-3)
