"""Intervals of means and rates, against Student's quantiles and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from orchestrator.analysis.statistics.intervals import exact_rates, mean_interval


def test_interval_is_students_t() -> None:
    estimate = mean_interval([0.70, 0.72, 0.74])
    # t(0.975, 2 degrees of freedom) = 4.302653; half width = 4.302653 * 0.02 / sqrt(3).
    assert estimate.mean == pytest.approx(0.72)
    assert estimate.sd == pytest.approx(0.02)
    assert estimate.low == pytest.approx(0.72 - 0.0496828, abs=1e-6)
    assert estimate.high == pytest.approx(0.72 + 0.0496828, abs=1e-6)


def test_one_value_has_no_interval_and_none_leaves_its_support() -> None:
    single = mean_interval([0.9])
    assert (single.n, single.sd, single.low, single.high) == (1, None, None, None)
    wide = mean_interval([0.01, 0.99], support=(0.0, 1.0))
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_equal_values_have_no_interval_of_no_width() -> None:
    for values in ([0.7, 0.7, 0.7], [0.3, 0.1 + 0.2]):
        equal = mean_interval(values)
        assert (equal.sd, equal.low, equal.high) == (0.0, None, None)


def test_intervals_are_clopper_pearson() -> None:
    trials = np.array([[0, 1, 3, 3], [3, 10, 10, 400]])
    events = np.array([[0, 1, 0, 2], [3, 0, 4, 17]])
    found = exact_rates(events, trials)
    low, high = proportion_confint(events[trials > 0], trials[trials > 0], method="beta")
    # Both are quantiles of the same beta distributions, computed to about 1e-10.
    np.testing.assert_allclose(found.low[trials > 0], low, atol=1e-9)
    np.testing.assert_allclose(found.high[trials > 0], high, atol=1e-9)
    assert np.isnan([found.rate[0, 0], found.low[0, 0], found.high[0, 0]]).all()
    assert (found.low[0, 2], found.high[1, 0]) == (0.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and trials"):
        exact_rates(np.array([2]), np.array([1]))
