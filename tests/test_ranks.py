"""Ranks against scipy and scikit-posthocs, and the figures of the paper's table."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from orchestrator.analysis.statistics.ranking.ranks import (
    agreement,
    agreement_by_group,
    between_groups,
    critical_difference,
    groups_not_separated,
    rank_rows,
)
from tests.paper_table import paper_table

TABLES = arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(3, 6)), elements=st.integers(0, 4).map(float))


def test_the_papers_table_has_the_figures_of_an_independent_computation() -> None:
    paper = paper_table()
    found = agreement(paper.top1)
    assert found is not None
    ranks = dict(zip(paper.optimizers, found.mean_ranks, strict=True))
    # Printed to two or three digits.
    assert found.kendall_w == pytest.approx(0.437, abs=5e-4)
    assert ranks["adan"] == pytest.approx(3.10, abs=5e-3)
    assert ranks["lamb"] == pytest.approx(3.48, abs=5.1e-3)
    within = {group.group: group for group in agreement_by_group(paper.top1, paper.eras)}
    assert within["classical"].kendall_w == pytest.approx(0.559, abs=5e-4)
    assert within["modern"].kendall_w == pytest.approx(0.655, abs=5e-4)
    assert within["classical"].kendall_w_without == within["modern"].kendall_w
    (pair,) = between_groups(paper.top1, paper.eras)
    assert pair.spearman == pytest.approx(0.20, abs=5e-3)
    assert critical_difference(20, 20) == pytest.approx(6.63, abs=5e-3)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_friedman_is_scipys(table: np.ndarray) -> None:
    found = agreement(table)
    assert found is not None
    if (np.ptp(table, axis=1) == 0).all():
        assert (found.friedman_chi2, found.p, found.kendall_w) == (None, None, None)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stats.friedmanchisquare(*table.T)
    # The same formula in another order of operations.
    assert found.friedman_chi2 == pytest.approx(expected.statistic, abs=1e-8)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-8)
    assert found.friedman_chi2 is not None
    assert found.kendall_w == pytest.approx(found.friedman_chi2 / (len(table) * (table.shape[1] - 1)))


@settings(max_examples=30, deadline=None)
@given(TABLES, st.randoms(use_true_random=False))
def test_labels_row_levels_and_monotone_units_do_not_matter(table: np.ndarray, random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    columns = rng.permutation(table.shape[1])
    other = np.exp((table + rng.integers(5, size=(len(table), 1)))[:, columns])
    first, second = agreement(table), agreement(other)
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first.mean_ranks[columns], second.mean_ranks)
    assert first.kendall_w == pytest.approx(second.kendall_w) if first.kendall_w else second.kendall_w in (None, 0.0)


def test_iman_davenport_by_hand_and_where_it_is_infinite() -> None:
    table = np.array([[3.0, 2, 1], [3, 1, 2], [3, 2, 1], [2, 3, 1]])
    found = agreement(table)
    assert found is not None
    # Rank sums 5, 8, 11: chi2 = 12/(4*3*4) * (25 + 64 + 121) - 3*4*4 = 4.5; F = 3 * 4.5 / (8 - 4.5).
    assert found.friedman_chi2 == pytest.approx(4.5)
    assert found.iman_davenport_f == pytest.approx(3 * 4.5 / 3.5)
    assert found.iman_davenport_p == pytest.approx(stats.f.sf(3 * 4.5 / 3.5, 2, 6))
    same = agreement(np.array([[3.0, 2, 1]] * 3))
    assert same is not None
    assert (same.kendall_w, same.iman_davenport_f, same.iman_davenport_p) == (1.0, None, None)


def test_ranks_need_complete_rows_and_two_of_each() -> None:
    assert agreement(np.array([[1.0, 2.0]])) is None
    assert agreement(np.array([[1.0], [2.0]])) is None
    with pytest.raises(ValueError, match="complete"):
        rank_rows(np.array([[1.0, np.nan]]))
    np.testing.assert_array_equal(rank_rows(np.array([[5.0, 7.0, 5.0]])), [[2.5, 1.0, 2.5]])


def test_groups_of_one_row_and_rows_without_a_group() -> None:
    table = np.array([[3.0, 2, 1], [3, 1, 2], [1, 2, 3], [1, 3, 2]])
    one, two = agreement_by_group(table, ["x", "y", "y", None])
    assert (one.n_rows, one.kendall_w) == (1, None)
    assert two.kendall_w_without == pytest.approx(stats.friedmanchisquare(*table[[0, 3]].T).statistic / 4)
    (pair,) = between_groups(table, ["x", "y", "y", None])
    assert pair.spearman == pytest.approx(stats.spearmanr([1, 2, 3], [4, 5, 3]).statistic)
    with pytest.raises(ValueError, match="as many groups"):
        agreement_by_group(table, ["x"])


def test_nemenyi_separates_what_scikit_posthocs_separates() -> None:
    import scikit_posthocs

    paper = paper_table()
    found, difference = agreement(paper.top1), critical_difference(20, 20)
    assert found is not None
    assert difference is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        p_values = scikit_posthocs.posthoc_nemenyi_friedman(paper.top1).to_numpy()
    gaps = np.abs(found.mean_ranks[:, None] - found.mean_ranks)
    np.testing.assert_array_equal(gaps > difference, p_values < 0.05)
    together = np.zeros((20, 20), dtype=bool)
    for group in groups_not_separated(found.mean_ranks, difference):
        together[np.ix_(group, group)] = True
    np.testing.assert_array_equal(together | np.eye(20, dtype=bool), gaps <= difference)


def test_bars_are_the_largest_runs() -> None:
    assert groups_not_separated(np.array([4.0, 1.0, 1.5, 2.0]), 0.6) == ((1, 2), (2, 3))
    assert groups_not_separated(np.array([1.0, 2.0, 3.0]), 5.0) == ((0, 1, 2),)
    assert groups_not_separated(np.array([1.0, 2.0, 3.0]), 0.5) == ()
    assert critical_difference(1, 5) is None
    # Demšar (2006), table 5: q = 2.343 for three columns.
    assert critical_difference(20, 10) == pytest.approx(9.38, abs=5e-3)
    assert critical_difference(3, 10) == pytest.approx(2.343 * (12 / 60) ** 0.5, abs=1e-3)
