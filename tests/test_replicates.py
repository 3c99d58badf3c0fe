"""The shape of scores, means of cells, and what arithmetic alone does to numbers that are equal on paper."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.statistics.coupling.scales import winsorised
from orchestrator.analysis.statistics.paired_tables import order_agreement
from orchestrator.analysis.statistics.ranking.best_columns import beats, leads, residual_map
from orchestrator.analysis.statistics.ranking.decisions import coupling_gain, regrets, top_overlap
from orchestrator.analysis.statistics.ranking.moderated_variance import moderated_variances
from orchestrator.analysis.statistics.ranking.paired_columns import compare_columns
from orchestrator.analysis.statistics.ranking.ranks import rank_rows
from orchestrator.analysis.statistics.replicates import (
    as_scores,
    cell_means,
    is_constant,
    rounding_floor,
    tied,
    without_empty,
)
from orchestrator.analysis.statistics.robustness.corruption import matched_drop
from orchestrator.analysis.statistics.robustness.log_variance import log_variance_anova
from orchestrator.analysis.statistics.robustness.seed_variance import brown_forsythe, seed_variance
from orchestrator.analysis.statistics.sensitivity.gaussian_process import explained_variance

NAN = float("nan")
ALIKE = [[70.94, 70.7, 70.01], [70.56, 70.29, 70.8], [70.01, 70.94, 70.7], [70.8, 70.56, 70.29], [60.0, 60.1, 60.2]]
"""Four optimizers whose means are 70.55 on paper, two of them more by the last bit, and a worse one."""


def test_scores_have_three_axes_and_are_finite_or_missing() -> None:
    assert as_scores([[1, 2]]).shape == (1, 2, 1)
    for wrong, reason in (([1.0], "shape"), (np.empty((0, 3)), "empty"), ([[np.inf]], "infinite")):
        with pytest.raises(ValueError, match=reason):
            as_scores(wrong)


def test_a_table_without_replicates_is_taken_as_one_replicate() -> None:
    table = 70 + np.random.default_rng(0).normal(size=(4, 5))
    for statistic in (leads, beats, residual_map, moderated_variances, coupling_gain, top_overlap, seed_variance):
        assert repr(statistic(table)) == repr(statistic(table[:, :, np.newaxis]))


def test_means_are_of_the_replicates_that_are_there() -> None:
    cells = cell_means([[[1.0, 3.0], [5.0, NAN]], [[NAN, NAN], [2.0, 2.0]]])
    np.testing.assert_array_equal(cells.counts, [[2, 1], [0, 2]])
    np.testing.assert_array_equal(cells.means, [[2.0, 5.0], [NAN, 2.0]])
    assert cells.harmonic_count == pytest.approx(3 / (1 / 2 + 1 / 1 + 1 / 2))
    left, (rows, columns) = without_empty([[NAN, 1.0], [NAN, NAN], [NAN, 2.0]])
    assert left.tolist() == [[[1.0]], [[2.0]]]
    assert (rows.tolist(), columns.tolist()) == ([0, 2], [1])


@pytest.mark.parametrize("unit", [1e-12, 0.01, 1.0, 1e9])
def test_rounding_is_told_from_differences_in_any_unit(unit: float) -> None:
    means = unit * cell_means([ALIKE]).means[0]
    assert len(set(means.tolist())) == 3, "the example differs in the last bits, or it would show nothing"
    assert len(set(tied(means).tolist())) == 2
    assert is_constant(means[:4])
    assert not is_constant(means)
    assert ((means[:4] - means[:4].mean()) ** 2).sum() <= rounding_floor(means[:4])
    np.testing.assert_array_equal(tied(np.array([NAN, 0.0])), [NAN, 0.0])


@pytest.mark.parametrize("images", [270, 360, 1797, 10_000])
def test_means_of_equal_counts_of_right_answers_tie(images: int) -> None:
    counts = np.random.default_rng(0).integers(0.9 * images, images, (5000, 3))
    means = cell_means((100 * counts / images).round(10)[np.newaxis]).means[0]
    assert len(np.unique(tied(means))) == len(np.unique(counts.sum(axis=1)))


def test_optimizers_that_are_equal_on_paper_tie() -> None:
    means = cell_means([ALIKE, ALIKE]).means
    np.testing.assert_array_equal(rank_rows(means), [[2.5, 2.5, 2.5, 2.5, 5]] * 2)
    found = regrets(means)
    assert found is not None
    np.testing.assert_allclose(found.win_share, [0.25, 0.25, 0.25, 0.25, 0])
    assert found.generalist == 0
    assert compare_columns(means, [(0, 1)])[0].p is None, "no difference is left"
    assert order_agreement(means[:, :4], np.roll(means[:, :4], 1)).mean_kendall is None, "every pair is a tie"
    overlap = top_overlap(np.stack([means, means[:, [1, 2, 3, 0, 4]]], axis=2), size=1)
    assert overlap is not None
    assert overlap.mean == pytest.approx(1.0), "each of the four is a quarter of the best"


def test_winsorising_keeps_a_backbone_whose_means_are_mostly_equal() -> None:
    scores = np.array([ALIKE, ALIKE])
    np.testing.assert_array_equal(winsorised(scores), scores)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e9])
def test_variances_follow_the_unit(unit: float) -> None:
    scores = 70 + np.random.default_rng(0).normal(0, 0.3, (4, 5, 3))
    plain, scaled = moderated_variances(scores), moderated_variances(unit * scores)
    assert plain is not None
    assert scaled is not None
    np.testing.assert_allclose(scaled.mean_variances, unit**2 * plain.mean_variances, rtol=1e-6)
    equal = np.repeat(cell_means([ALIKE]).means[:, :3, np.newaxis], 3, axis=0)
    assert moderated_variances(unit * np.stack([equal[..., 0]] * 3, axis=2)) is None
    quality = explained_variance(unit * scores[0, :, :].T, unit * scores[0, :, :].T)
    np.testing.assert_allclose(quality, 1.0)


def test_a_cell_whose_results_differ_by_rounding_has_no_spread() -> None:
    scores = 70 + np.random.default_rng(0).normal(0, 0.3, (4, 5, 3))
    scores[0, 0] = cell_means([ALIKE]).means[0, :3]
    analysis = log_variance_anova(scores)
    assert analysis is not None
    assert analysis.dropped_constant == 1
    cell = seed_variance(scores).cells[0][0]
    assert (cell.sd, cell.low, cell.high) == (0.0, None, None)
    assert brown_forsythe([scores[0, 0], scores[0, 0] - 1]) is None


def test_drops_that_are_equal_on_paper_leave_nothing_to_explain() -> None:
    clean = np.array([90.1, 80.2, 70.3, 60.7])
    found = matched_drop(clean, clean - 20.1)
    assert found is not None
    assert found.r_squared is None
    assert matched_drop(np.array([0.3, 0.1 + 0.2, 0.3]), clean[:3]) is None
