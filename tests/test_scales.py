from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.scales import LOGIT_EDGE, logit_scale, rank_scale, winsorised
from tests.score_examples import paper_table, planted


def test_logits_of_fractions_with_the_ends_cut() -> None:
    found = logit_scale([[0.0, 50.0], [100.0, np.nan]])[:, :, 0]
    edge = np.log((1 - LOGIT_EDGE) / LOGIT_EDGE)
    assert found[0] == pytest.approx([-edge, 0.0])
    assert found[1, 0] == pytest.approx(edge)
    assert np.isnan(found[1, 1])
    with pytest.raises(ValueError, match="between 0 and 100"):
        logit_scale([[101.0, 2.0]])


def test_what_is_additive_in_logits_loses_its_interaction() -> None:
    logits = np.array([[-1.0], [0.0], [2.0]]) + np.array([0.0, 0.5, 1.5, -1.0])
    points = 100 / (1 + np.exp(-logits))
    before, after = two_way_anova(points), two_way_anova(logit_scale(points))
    assert before is not None
    assert after is not None
    assert (before.eta2 or 0) > 0.005
    assert after.eta2 == pytest.approx(0, abs=1e-12)


def test_ranks_without_replicates_are_plain() -> None:
    table = np.array([[3.0, 1.0, 1.0, 7.0], [0.0, np.nan, 5.0, 4.0]])
    found = rank_scale(table)[:, :, 0]
    assert found[0] == pytest.approx([3, 1.5, 1.5, 4])
    assert found[1, [0, 2, 3]] == pytest.approx([1, 3, 2])
    assert np.isnan(found[1, 1])


def test_ranks_of_replicates_are_over_the_whole_backbone() -> None:
    scores = planted(np.random.default_rng(0), (3, 4, 5))
    found = rank_scale(scores)
    for row in range(3):
        expected = (rankdata(scores[row]).reshape(4, 5) - 0.5) / 5 + 0.5
        assert found[row] == pytest.approx(expected)
    assert found.mean(axis=(1, 2)) == pytest.approx(2.5)  # the mean rank of four, whatever the replicates
    empty = rank_scale(np.where(np.arange(3)[:, np.newaxis, np.newaxis] == 1, np.nan, scores))
    assert np.isnan(empty[1]).all()
    assert empty[2] == pytest.approx(found[2])


def test_a_floor_for_each_backbone() -> None:
    scores = np.array([[70.0, 71.0, 72.0, 10.0], [5.0, 5.0, 5.0, 1.0], [1.0, 2.0, np.nan, 3.0]])
    found = winsorised(scores)[:, :, 0]
    assert found[0] == pytest.approx([70, 71, 72, 70.5 - 3 * 1.4826 * 1.0])
    assert found[1] == pytest.approx(scores[1])  # most are equal: their spread is not known
    assert np.array_equal(found[2], scores[2], equal_nan=True)


def test_the_floor_is_that_of_means_and_applies_to_replicates() -> None:
    scores = np.array([[[70.0, 70.0], [71.0, 71.0], [72.0, 74.0], [10.0, 63.0]]])
    # Means 70, 71, 73, 36.5: median 70.5, absolute deviations .5, .5, 2.5, 34. First replicates would give others.
    assert winsorised(scores)[0, 3] == pytest.approx([70.5 - 3 * 1.4826 * 1.5, 70.5 - 3 * 1.4826 * 1.5])


def test_the_papers_table() -> None:
    table, _, _ = paper_table()
    raised = winsorised(table)
    anova = two_way_anova(raised)
    assert anova is not None
    assert np.count_nonzero(raised[:, :, 0] != table) == 28
    assert 100 * (anova.eta2 or 0) == pytest.approx(8.7, abs=0.05)
    assert 100 * anova.ss_optimizer / anova.ss_total == pytest.approx(4.5, abs=0.05)
    ranks = two_way_anova(rank_scale(table))
    assert ranks is not None
    assert ranks.ss_interaction is not None
    assert ranks.ss_interaction / (ranks.ss_interaction + ranks.ss_optimizer) == pytest.approx(0.563, abs=5e-4)
