"""Seed variance against scipy, statsmodels and simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import digamma, polygamma

from orchestrator.analysis.statistics.robustness.log_variance import log_variance_anova
from orchestrator.analysis.statistics.robustness.seed_variance import brown_forsythe, seed_variance

NAN = float("nan")


def table(seed: int = 0, shape: tuple[int, int, int] = (4, 5, 6)) -> np.ndarray:
    return np.random.default_rng(seed).normal(70, 1, shape)


def test_a_cell_has_a_chi_square_interval_for_its_spread() -> None:
    cell = seed_variance(np.array([[[70.0, 71.0, 72.0]]])).cells[0][0]
    # Chi-square quantiles with 2 degrees of freedom: -2 ln 0.025 = 7.3778, -2 ln 0.975 = 0.050636.
    assert (cell.n, cell.sd, cell.reliable) == (3, 1.0, False)
    assert cell.low == pytest.approx((2 / 7.377759) ** 0.5, rel=1e-6)
    assert cell.high == pytest.approx((2 / 0.0506356) ** 0.5, rel=1e-6)


def test_the_interval_covers_at_its_rate() -> None:
    cells = [cell for row in seed_variance(table(1, (40, 50, 5))).cells for cell in row]
    covered = np.mean([cell.low < 1 < cell.high for cell in cells if cell.low and cell.high])
    # 2,000 cells: four standard errors of 0.95 are 0.0195.
    assert abs(covered - 0.95) < 0.0195
    assert all(cell.reliable for cell in cells)


def test_what_is_missing_single_or_constant() -> None:
    scores = np.array([[[1.0, NAN, NAN], [NAN, NAN, NAN]], [[5.0, 5.0, 5.0], [1.0, 2.0, NAN]]])
    found = seed_variance(scores)
    spreads = [(cell.n, cell.sd, cell.low) for row in found.cells for cell in row]
    assert spreads[:3] == [(1, None, None), (0, None, None), (3, 0.0, None)]
    assert spreads[3][1] == pytest.approx(0.5**0.5)
    assert found.pooled_df == 3
    assert found.pooled_sd == pytest.approx((0.5 / 3) ** 0.5)
    assert found.brown_forsythe is None
    assert found.log_variance is None


def test_pooling_equals_the_error_of_a_one_way_anova() -> None:
    scores = table(2)
    scores[0, 0, 0] = scores[3, 2, 1:4] = NAN
    cells = [cell[np.isfinite(cell)] for row in scores for cell in row]
    found = seed_variance(scores)
    frame = pd.DataFrame([(index, y) for index, cell in enumerate(cells) for y in cell], columns=["cell", "y"])
    model = smf.ols("y ~ C(cell)", frame).fit()
    assert found.pooled_df == model.df_resid
    assert found.pooled_sd == pytest.approx(model.mse_resid**0.5, rel=1e-10)
    assert found.median_sd == pytest.approx(np.median([cell.std(ddof=1) for cell in cells]), rel=1e-12)


def test_brown_forsythe_equals_scipy() -> None:
    groups = [*table(3, (1, 6, 5))[0], np.array([1.0, 4.0, 2.0])]
    found = brown_forsythe([*groups, np.array([1.0, 2.0]), np.array([])])
    expected = stats.levene(*groups, center="median")
    assert found is not None
    assert (found.df, found.df_error) == (6, 33 - 7)
    assert found.f == pytest.approx(expected.statistic, rel=1e-10)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert brown_forsythe([np.array([1.0, 2.0])] * 4) is None
    assert brown_forsythe([np.ones(3), np.ones(4)]) is None


def log_variance_frame(scores: np.ndarray) -> pd.DataFrame:
    rows = []
    for i, j in np.ndindex(scores.shape[:2]):
        cell = scores[i, j][np.isfinite(scores[i, j])]
        if cell.size >= 2 and np.ptp(cell) > 0:
            half = (cell.size - 1) / 2
            # Mean and variance of the logarithm of a chi-square variable over its degrees of freedom.
            log = np.log(cell.var(ddof=1)) - digamma(half) + np.log(half)
            rows.append((i, j, log, 1 / polygamma(1, half)))
    return pd.DataFrame(rows, columns=["row", "column", "log", "weight"])


def test_the_anova_of_log_variances_equals_statsmodels() -> None:
    scores = table(4) * np.linspace(1, 1.5, 5)[None, :, None]
    scores[1, 2] = 70.0
    scores[3, 3] = NAN
    scores[0, 0, 2:] = scores[2, 1, 4:] = scores[1, 4, :3] = NAN
    found = log_variance_anova(scores)
    frame = log_variance_frame(scores)
    model = smf.wls("log ~ C(row, Sum) + C(column, Sum)", frame, weights=frame.weight).fit()
    expected = sm.stats.anova_lm(model, typ=2)
    assert found is not None
    assert found.rows is not None
    assert found.columns is not None
    assert (found.cells, found.dropped_constant) == (18, 1)
    for test, name in ((found.rows, "C(row, Sum)"), (found.columns, "C(column, Sum)")):
        assert test.f == pytest.approx(expected.loc[name, "F"], rel=1e-9)
        assert test.p == pytest.approx(expected.loc[name, "PR(>F)"], rel=1e-9)
    assert found.dispersion == pytest.approx(model.mse_resid, rel=1e-9)
    first = found.by_column[0]
    assert first is not None
    name = "C(column, Sum)[S.0]"
    assert first.ratio == pytest.approx(np.exp(model.params[name] / 2), rel=1e-9)
    assert (first.low, first.high) == pytest.approx(tuple(np.exp(model.conf_int().loc[name] / 2)), rel=1e-9)
    assert first.p == pytest.approx(model.pvalues[name], rel=1e-9)


def test_a_noisy_row_and_column_are_found() -> None:
    scores = table(5, (5, 6, 4))
    scores[2] = 70 + 6 * (scores[2] - 70)
    found = log_variance_anova(scores)
    assert found is not None
    assert found.rows is not None
    assert found.rows.p < 1e-6
    noisy = found.by_row[2]
    assert noisy is not None
    # 6 against the geometric mean of (1, 1, 6, 1, 1).
    assert noisy.low < 6 ** (4 / 5) < noisy.high
    assert noisy.p_holm < 0.01
    # Row effects add up to nothing.
    assert np.prod([row.ratio for row in found.by_row if row]) == pytest.approx(1.0, rel=1e-9)


def test_the_tests_of_rows_and_columns_hold_their_level() -> None:
    rng = np.random.default_rng(6)
    p = []
    for _ in range(200):
        found = log_variance_anova(rng.normal(size=(5, 6, 3)) * np.linspace(0.2, 3, 5)[:, None, None])
        assert found is not None
        assert found.columns is not None
        p.append(found.columns.p)
    # 200 draws: 0.05 plus four standard errors.
    assert np.mean(np.array(p) < 0.05) < 0.05 + 4 * (0.05 * 0.95 / 200) ** 0.5


@settings(max_examples=10)
@given(st.floats(0.01, 100), st.floats(-1e3, 1e3), st.permutations(range(4)))
def test_units_constants_and_the_order_of_rows_do_not_matter(scale: float, shift: float, order: list[int]) -> None:
    scores = table(7, (4, 3, 3))
    there, moved = seed_variance(scores), seed_variance(scale * scores[order] + shift)
    # Cancellation beside a shift of up to 1e5 standard deviations costs that many digits.
    assert moved.pooled_sd == pytest.approx(scale * (there.pooled_sd or 0), rel=1e-6)
    assert there.log_variance is not None
    assert moved.log_variance is not None
    for place, row in enumerate(order):
        one, other = moved.log_variance.by_row[place], there.log_variance.by_row[row]
        assert one is not None
        assert other is not None
        assert one.ratio == pytest.approx(other.ratio, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 4, 5), (4, 1, 5), (2, 2, 1), (2, 2, 2)])
def test_small_tables_have_what_they_allow(shape: tuple[int, int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = seed_variance(table(8, shape))
    assert (found.log_variance is not None) == (shape == (2, 2, 2))
    if found.log_variance:
        assert found.log_variance.rows is not None
        assert found.log_variance.rows.df_error == 1


def test_cells_that_do_not_connect_are_not_compared() -> None:
    scores = np.full((4, 4, 3), NAN)
    scores[:2, :2], scores[2:, 2:] = table(9, (2, 2, 3)), table(10, (2, 2, 3))
    assert log_variance_anova(scores) is None
    with pytest.raises(ValueError, match="shape"):
        seed_variance(np.zeros(3))
