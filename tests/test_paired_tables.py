"""Two tables measured twice, against scipy and against what must not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from orchestrator.analysis.statistics.paired_tables import (
    mean_difference,
    order_agreement,
    welch_differences,
)

NAN = float("nan")
ROUNDING = 1e-10
"""Of numbers of the order of 100, with room for another order of summation."""


def table(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(70, 5, shape)


def test_welch_equals_scipy_cell_by_cell() -> None:
    first, second = table(0, 4, 5, 3), table(1, 4, 5, 6) * 1.1
    first[0, 0, 0] = second[1, 1, :3] = NAN
    found = welch_differences(first, second)
    for i in range(4):
        for j in range(5):
            x, y = first[i, j], second[i, j]
            x, y = x[np.isfinite(x)], y[np.isfinite(y)]
            wanted = stats.ttest_ind(y, x, equal_var=False).confidence_interval(0.95)
            assert found.difference[i, j] == pytest.approx(y.mean() - x.mean(), abs=ROUNDING)
            assert (found.low[i, j], found.high[i, j]) == pytest.approx((wanted.low, wanted.high), abs=ROUNDING)


def test_welch_has_no_interval_without_spread_or_replicates() -> None:
    first = np.array([[[1.0, 2.0], [1.0, NAN], [0.1, 0.1], [NAN, NAN], [3.0, 3.0]]])
    second = np.array([[[4.0, NAN], [2.0, 3.0], [0.7, 0.7], [1.0, 2.0], [1.0, 2.0]]])
    found = welch_differences(first, second)
    assert found.difference[0].tolist() == pytest.approx([2.5, 1.5, 0.6, NAN, -1.5], nan_ok=True)
    assert np.isfinite(found.low[0]).tolist() == [False, False, False, False, True]
    # One side without spread: the other's standard error and degrees of freedom.
    half = stats.t.ppf(0.975, 1) * np.sqrt(0.25)
    assert (found.low[0, 4], found.high[0, 4]) == pytest.approx((-1.5 - half, -1.5 + half))


def test_welch_of_rounded_equal_scores_claims_no_certainty() -> None:
    scores = np.array([[[0.1 + 0.2, 0.3]]])
    assert np.ptp(scores) > 0, "the two differ by rounding"
    assert np.isnan(welch_differences(scores, scores + 1).low).all()


def test_a_mean_difference_equals_scipys() -> None:
    values = table(2, 3, 4) - 70
    values[0, 0] = NAN
    found, known = mean_difference(values), values[np.isfinite(values)]
    assert found is not None
    wanted = stats.ttest_1samp(known, 0).confidence_interval(0.95)
    assert (found.mean, found.sd, found.n) == pytest.approx((known.mean(), known.std(ddof=1), 11), abs=ROUNDING)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=ROUNDING)


def test_a_mean_difference_of_few_or_equal_values() -> None:
    assert mean_difference(np.array([NAN])) is None
    assert mean_difference(np.array([])) is None
    single = mean_difference(np.array([2.0, NAN]))
    assert single is not None
    assert (single.mean, single.n, single.sd, single.low) == (2.0, 1, None, None)
    equal = mean_difference(np.array([0.3, 0.1 + 0.2]))
    assert equal is not None
    assert (equal.n, equal.sd, equal.low, equal.high) == (2, 0.0, None, None)


def test_orders_equal_scipys_with_ties() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 5, (6, 8)).astype(float), rng.integers(0, 5, (6, 8)).astype(float)
    found = order_agreement(first, second)
    ranks = [stats.rankdata(-values, axis=1).mean(axis=0) for values in (first, second)]
    assert found.rows == 6
    assert found.spearman_of_mean_ranks == pytest.approx(stats.spearmanr(*ranks).statistic)
    taus = [stats.kendalltau(x, y).statistic for x, y in zip(first, second, strict=True)]
    assert list(found.kendall) == pytest.approx(taus)
    assert found.mean_kendall == pytest.approx(np.mean(taus))


def test_orders_use_what_both_tables_have() -> None:
    first, second = table(6, 3, 5), table(7, 3, 5)
    first[0, 0], second[1, :3] = NAN, NAN
    found = order_agreement(first, second)
    assert found.rows == 1
    assert found.spearman_of_mean_ranks is None, "one row is no mean"
    assert found.kendall[0] == pytest.approx(stats.kendalltau(first[0, 1:], second[0, 1:]).statistic)
    assert found.kendall[1] is None, "two columns have no order to speak of"
    constant = order_agreement(np.ones((2, 4)), second[[0, 2], :4])
    assert constant.kendall == (None, None)
    assert constant.spearman_of_mean_ranks is constant.mean_kendall is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.01, 1.0, 37.0]), shift=st.floats(-50, 50))
def test_what_must_not_change(seed: int, scale: float, shift: float) -> None:
    first, second = table(seed, 4, 5, 2), table(seed + 1, 4, 5, 3)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(4), rng.permutation(5)
    found, other = welch_differences(first, second), welch_differences(second, first)
    assert other.low == pytest.approx(-found.high, abs=ROUNDING)
    moved = welch_differences(scale * first + shift, scale * second + shift)
    assert moved.low == pytest.approx(scale * found.low, abs=1e-8)
    orders = order_agreement(first.mean(axis=2), second.mean(axis=2))
    # Ranks within a row know nothing of the row's level or unit, nor of the names' order.
    again = order_agreement(
        (scale * first.mean(axis=2) + shift * np.arange(4)[:, None])[rows][:, columns],
        second.mean(axis=2)[rows][:, columns],
    )
    assert again.spearman_of_mean_ranks == pytest.approx(orders.spearman_of_mean_ranks)
    assert again.kendall == pytest.approx([orders.kendall[row] for row in rows])


@pytest.mark.parametrize("function", [welch_differences, order_agreement])
@pytest.mark.parametrize("shapes", [((2, 3, 2), (3, 2, 2)), ((2,), (2,))], ids=str)
def test_tables_that_do_not_belong_together_are_refused(function: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="two tables of one layout are needed"):
        function(*(np.zeros(shape) for shape in shapes))
