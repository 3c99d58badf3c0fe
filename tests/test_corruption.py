"""Corruption errors by hand and by loop, and the matched drop against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from orchestrator.analysis.statistics.robustness.corruption import corruption_error, matched_drop

NAN = float("nan")


def test_mean_corruption_error_by_hand() -> None:
    own = np.array([[0.2, 0.4], [0.3, 0.3]])
    other = np.array([[0.4, 0.8], [0.2, 0.4]])
    found = corruption_error(own, other, clean=0.1, reference_clean=0.2)
    # 0.6 / 1.2 and 0.6 / 0.6; 0.4 / 0.8 and 0.4 / 0.2.
    assert found.by_corruption == pytest.approx((50.0, 100.0))
    assert found.mce == pytest.approx(75.0)
    assert found.relative_mce == pytest.approx((50 + 200) / 2)
    in_percent = corruption_error(100 * own, 100 * other, clean=10, reference_clean=20)
    assert in_percent.mce == pytest.approx(found.mce)
    assert in_percent.relative_mce == pytest.approx(found.relative_mce)


def test_the_reference_is_at_a_hundred_and_fifteen_by_five_equal_a_loop() -> None:
    rng = np.random.default_rng(0)
    own, other = rng.uniform(0.2, 0.8, (2, 15, 5))
    assert corruption_error(other, other, clean=0.1, reference_clean=0.1).relative_mce == pytest.approx(100)
    ratios = [sum(own[c, s] for s in range(5)) / sum(other[c, s] for s in range(5)) for c in range(15)]
    assert corruption_error(own, other).mce == pytest.approx(100 * sum(ratios) / 15, rel=1e-12)


def test_what_has_no_ratio_is_none() -> None:
    ones = np.ones((2, 2))
    found = corruption_error(ones, np.array([[0.0, 0.0], [1.0, 1.0]]), clean=0.5)
    assert (found.mce, found.relative_mce, found.by_corruption) == (None, None, (None, 100.0))
    assert corruption_error(ones, ones, clean=0.5, reference_clean=1.0).relative_mce is None
    with pytest.raises(ValueError, match="every corruption"):
        corruption_error(np.array([[NAN, 1.0], [1.0, 1.0]]), ones)
    with pytest.raises(ValueError, match="shape"):
        corruption_error(ones, np.ones((3, 2)))


def test_the_matched_drop_equals_a_regression() -> None:
    rng = np.random.default_rng(1)
    clean = rng.normal(75, 5, 12)
    corrupted = 0.6 * clean + rng.normal(0, 1, 12)
    expected = sm.OLS(clean - corrupted, sm.add_constant(clean)).fit()
    found = matched_drop(np.append(clean, NAN), np.append(corrupted, 50.0))
    assert found is not None
    assert found.slope == pytest.approx(expected.params[1], rel=1e-9)
    assert found.r_squared == pytest.approx(expected.rsquared, rel=1e-9)
    at_mean = expected.predict([[1.0, clean.mean()]])[0]
    assert found.adjusted[:12] == pytest.approx(expected.resid + at_mean, rel=1e-9)
    assert (found.adjusted[12], found.n) == (None, 12)


def test_few_or_equal_networks_cannot_be_matched() -> None:
    assert matched_drop(np.array([70.0, 71.0]), np.array([50.0, 50.0])) is None
    assert matched_drop(np.full(4, 70.0), np.arange(4.0)) is None
    same = matched_drop(np.array([70.0, 71.0, 72.0]), np.array([60.0, 61.0, 62.0]))
    assert same is not None
    assert (same.slope, same.r_squared) == (0.0, None)
    with pytest.raises(ValueError, match="one length"):
        matched_drop(np.zeros(3), np.zeros(4))
