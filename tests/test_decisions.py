"""Regret and coupling gain against loops over everything, the paper's figures, and tables without any coupling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.analysis.statistics.ranking.decisions import (
    coupling_gain,
    expected_maximum,
    regrets,
    top_overlap,
)
from tests.paper_table import paper_table


def test_the_papers_table_has_two_generalists() -> None:
    paper = paper_table()
    found = regrets(paper.top1)
    assert found is not None
    adan, lamb = paper.optimizers.index("adan"), paper.optimizers.index("lamb")
    assert found.generalist == adan
    # Printed to two digits.
    assert found.mean[[adan, lamb]] == pytest.approx([0.65, 0.91], abs=5e-3)
    assert found.maximum[[adan, lamb]] == pytest.approx([3.45, 3.34], abs=5e-3)
    gain = coupling_gain(paper.top1[:, :, None])
    assert gain is not None
    assert gain.plug_in == found.mean[adan]
    assert (gain.cross_fitted, gain.low, gain.best_of_k_bias) == (None, None, None)
    assert top_overlap(paper.top1[:, :, None]) is None


def test_regrets_by_hand() -> None:
    found = regrets(np.array([[3.0, 3.0, 1.0], [0.0, 2.0, 4.0]]))
    assert found is not None
    np.testing.assert_array_equal(found.mean, [2.0, 1.0, 1.0])
    np.testing.assert_array_equal(found.maximum, [4.0, 2.0, 2.0])
    np.testing.assert_array_equal(found.win_share, [0.25, 0.25, 0.5])
    np.testing.assert_array_equal(found.superiority, [4.0, 1.0, 1.0])  # (0 + 16)/4, (0 + 4)/4, (4 + 0)/4
    assert found.generalist == 1
    assert regrets(np.empty((0, 3))) is None
    assert regrets(np.ones((3, 1))) is None
    with pytest.raises(ValueError, match="complete"):
        regrets(np.array([[np.nan, 1.0]]))


def held_out_by_loops(scores: np.ndarray) -> float:
    gains = []
    for i in range(len(scores)):
        folds = []
        for k in range(scores.shape[2]):
            others = [other for other in range(scores.shape[2]) if other != k]
            known = np.nanmean(scores[:, :, others], axis=2)
            generalist = max(range(scores.shape[1]), key=lambda j: known[:, j].sum())
            specialist = max(range(scores.shape[1]), key=lambda j: known[i, j])
            is_complete = np.isfinite(scores[i, :, k]).all()
            folds.append(scores[i, specialist, k] - scores[i, generalist, k] if is_complete else np.nan)
        gains.append(np.nanmean(folds))
    return float(np.mean(gains))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.booleans())
def test_cross_fitting_is_the_loop_over_left_out_replicates(seed: int, replicates: int, one_missing: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = 70 + rng.normal(size=(5, 4, 1)) + rng.normal(size=(5, 4, replicates))
    if one_missing and replicates > 2:
        scores[1, 2, 0] = np.nan
    found = coupling_gain(scores)
    assert found is not None
    assert found.cross_fitted == pytest.approx(held_out_by_loops(scores), abs=1e-10)
    moved = coupling_gain(10 * (scores + rng.normal(size=(5, 1, 1)))[:, ::-1])
    assert moved is not None
    assert moved.cross_fitted == pytest.approx(10 * found.cross_fitted, abs=1e-8)
    assert moved.plug_in == pytest.approx(10 * found.plug_in, abs=1e-8)


def test_missing_replicates_do_not_hide_the_gain() -> None:
    """Half of the rows prefer column 0 by 6 points, half column 1 by 4: knowing the row is worth 2."""
    rng = np.random.default_rng(12)
    scores = rng.normal(0, 0.1, size=(2400, 2, 3))
    scores[::2, 0] += 6
    scores[1::2, 1] += 4
    scores[rng.uniform(size=scores.shape) < 0.4] = np.nan
    found = coupling_gain(scores)
    assert found is not None
    assert found.cross_fitted is not None
    assert 0 < found.n_rows_cross_fitted < found.n_rows < 2400
    # 4 standard errors over about 1,100 rows of gain 0 or 4; rows without a gain must not be kept more easily.
    assert found.cross_fitted == pytest.approx(2, abs=4 * 2 / np.sqrt(found.n_rows_cross_fitted))


def test_no_coupling_has_no_gain_however_large_the_plug_in_is() -> None:
    rng = np.random.default_rng(5)
    found = [coupling_gain(rng.normal(70, 0.3, (20, 20, 3))) for _ in range(200)]
    plug_in = np.array([gain.plug_in for gain in found if gain])
    fitted = np.array([gain.cross_fitted for gain in found if gain], dtype=float)
    bias = [gain.best_of_k_bias for gain in found if gain]
    # 0.251 is from an independent simulation; three standard errors of 200 tables are 0.005.
    assert plug_in.mean() == pytest.approx(0.251, abs=0.007)
    assert abs(fitted.mean()) < 3.5 * fitted.std() / np.sqrt(200)
    assert np.mean(np.array(bias, dtype=float)) == pytest.approx(1.867 * 0.3 / np.sqrt(3), abs=2e-3)
    covered = np.mean(
        [gain.low <= 0 <= gain.high for gain in found if gain and gain.low is not None and gain.high is not None]
    )
    assert covered > 0.90  # nominal 0.95, three standard errors are 0.046


def test_a_planted_gain_is_found() -> None:
    rng = np.random.default_rng(6)
    truth = np.zeros((20, 5))
    truth[:10, 0] = truth[10:, 1] = 2.0
    truth[:, 2] = 1.5
    found = coupling_gain(truth[:, :, None] + rng.normal(0, 0.05, (20, 5, 3)))
    assert found is not None
    assert found.cross_fitted == pytest.approx(0.5, abs=0.03)


def test_rows_with_a_missing_cell_are_left_out() -> None:
    scores = np.random.default_rng(7).normal(size=(4, 3, 2))
    scores[2, 1] = np.nan
    found = coupling_gain(scores)
    without = coupling_gain(np.delete(scores, 2, axis=0))
    assert found == without
    assert found is not None
    assert found.n_rows == 3
    scores[:, 0] = np.nan
    assert coupling_gain(scores) is None
    with pytest.raises(ValueError, match="rows, columns, replicates"):
        coupling_gain(np.ones(2))


def test_a_row_without_the_replicates_to_choose_or_value_on_counts_for_nothing() -> None:
    kept = np.array([[[9.0, 9.0], [0.0, 0.0]], [[9.0, 9.0], [0.0, 0.0]], [[1.0, 1.0], [5.0, 5.0]]])
    # Both columns are there in replicate 0 only; chosen on it, column 1 (say) cannot be valued against column 0.
    for lacking in ([[1.0, np.nan], [4.0, 6.0]], [[1.0, 2.0], [4.0, np.nan]]):
        found = coupling_gain(np.concatenate([kept, [lacking]]))
        assert found is not None
        assert found.n_rows == 4
        assert found.cross_fitted == pytest.approx(4 / 3)
    # With a third replicate there are two folds that say something.
    lacking = [[1.0, 2.0, 2.0], [4.0, 5.0, np.nan]]
    found = coupling_gain(np.concatenate([np.concatenate([kept, kept[:, :, :1]], axis=2), [lacking]]))
    assert found is not None
    assert found.cross_fitted == pytest.approx((4 + 3) / 4)


def test_expected_maximum_is_tabulated() -> None:
    # Order statistics of the normal distribution (Harter 1961).
    assert [expected_maximum(k) for k in (1, 2, 3, 20)] == pytest.approx([0, 0.56419, 0.84628, 1.86748], abs=1e-5)
    with pytest.raises(ValueError, match="at least 1"):
        expected_maximum(0)


def test_top_overlap_counts_sets() -> None:
    scores = np.array([[[9.0, 9], [8, 8], [7, 1], [2, 7], [1, 2]]])
    found = top_overlap(scores)
    assert found is not None
    assert found.mean == pytest.approx(2 / 4)  # {0, 1, 2} and {0, 1, 3}
    # Sets of 3 of 5 have 1, 2 or 3 in common, in 3, 6 and 1 of 10 cases.
    assert found.by_chance == pytest.approx(0.3 / 5 + 0.6 * 2 / 4 + 0.1)
    tied = top_overlap(np.array([[[9.0, 9], [8, 8], [7, 7], [7, 7]]]))
    assert tied is not None
    assert tied.mean == pytest.approx(1.0)
    assert top_overlap(scores, size=5) is None
    scores[0, 0, 0] = np.nan
    assert top_overlap(scores) is None
