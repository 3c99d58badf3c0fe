"""Correlations, against scipy and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.analysis.statistics.correlation import kendall, pearson, spearman

NAN = float("nan")


def test_pearson_equals_scipys_of_what_both_have() -> None:
    first, second = np.random.default_rng(3).normal(70, 5, (2, 4, 5))
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first.ravel(), second.ravel()).statistic)
    first[0, 0] = second[1, 1] = NAN
    there = np.isfinite(first) & np.isfinite(second)
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first[there], second[there]).statistic)
    assert pearson(first[:1, :2], second[:1, :2]) is None
    assert pearson(np.full((2, 2), 0.1), second[2:, :2]) is None


def test_rank_correlations_equal_scipys_with_ties() -> None:
    first, second = np.random.default_rng(4).integers(0, 5, (2, 12)).astype(float)
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic)


def test_two_points_and_a_constant_have_no_correlation() -> None:
    line, constant = np.arange(4.0), np.array([0.3, 0.1 + 0.2, 0.3, 0.3])
    for measure in (pearson, spearman, kendall):
        assert measure(line[:2], line[:2]) is None
        assert measure(line, np.ones(4)) is None
    assert pearson(line, constant) is None, "what differs by rounding does not vary"
