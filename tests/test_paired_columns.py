"""Tests of pairs of columns against scipy, statsmodels and all sign patterns."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from orchestrator.analysis.statistics.multiplicity import holm
from orchestrator.analysis.statistics.ranking.paired_columns import compare_columns, equivalence_p, signed_rank_p


@pytest.mark.parametrize("n", [1, 2, 5, 12, 30])
def test_without_ties_it_is_scipys_exact_test(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, size=n)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, abs=1e-12)


def test_with_ties_it_counts_all_signs() -> None:
    differences = np.array([0.5, 0.5, -0.5, 1.0, 2.0, -2.0, 3.0, 0.0])
    ranks = stats.rankdata(np.abs(differences[:-1]))
    observed = ranks[differences[:-1] > 0].sum()
    sums = np.array([ranks[np.array(signs)].sum() for signs in product([False, True], repeat=7)])
    centre = ranks.sum() / 2
    assert signed_rank_p(differences) == pytest.approx((np.abs(sums - centre) >= abs(observed - centre)).mean())
    assert signed_rank_p(np.zeros(4)) is None
    assert signed_rank_p(np.empty(0)) is None


def test_equivalence_is_statsmodels() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(70, 1, 15), rng.normal(70, 1, 15)
    expected = ttost_paired(x, y, -0.2, 0.2)[0]
    assert equivalence_p(x - y, 0.2) == pytest.approx(expected, abs=1e-12)
    assert equivalence_p(np.array([0.1]), 0.2) is None
    assert equivalence_p(np.array([0.1, 0.1]), 0.2) is None


def test_holm_is_statsmodels() -> None:
    p_values = np.random.default_rng(4).uniform(size=50) ** 4
    p_values[:3] = 0.001
    np.testing.assert_allclose(holm(p_values), multipletests(p_values, method="holm")[1], rtol=1e-12)
    assert len(holm(np.empty(0))) == 0


def test_pairs_use_the_rows_that_have_both_and_are_corrected_together() -> None:
    table = np.array([[70.3, 70.1, 60.0], [65.2, 65.0, np.nan], [80.0, 80.4, 71.0], [55.0, 54.9, 50.0]])
    pairs = compare_columns(table, [(0, 1), (0, 2), (1, 2)])
    assert [pair.n for pair in pairs] == [4, 3, 3]
    first = pairs[0]
    assert first.mean_difference == pytest.approx(0.025)
    assert first.median_difference == pytest.approx(0.15)
    assert first.p == signed_rank_p(np.array([2.0, 2.0, -4.0, 1.0]))
    known = np.array([pair.p for pair in pairs], dtype=float)
    assert [pair.p_holm for pair in pairs] == pytest.approx(list(multipletests(known, method="holm")[1]))
    # In floating point 70.3 - 70.1 is larger than 0.3 - 0.1; as accuracies they tie, here with opposite signs.
    assert 70.3 - 70.1 > 0.3 - 0.1
    (tied,) = compare_columns(np.array([[70.3, 70.1], [0.1, 0.3], [3.0, 2.0]]), [(0, 1)])
    assert tied.p == signed_rank_p(np.array([2.0, -2.0, 10.0])) != signed_rank_p(np.array([2.1, -2.0, 10.0]))
    (alone,) = compare_columns(np.array([[1.0, np.nan]]), [(0, 1)])
    assert (alone.n, alone.mean_difference, alone.p, alone.p_holm, alone.p_equivalence_holm) == (
        0,
        None,
        None,
        None,
        None,
    )
    with pytest.raises(ValueError, match="margin"):
        compare_columns(table, [(0, 1)], margin=0.0)
