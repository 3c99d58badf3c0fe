"""Firth's fit of divergence rates against a general optimiser and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from orchestrator.analysis.statistics.robustness.failure_rates import logistic_effects, row_effect_p


def test_one_column_has_firths_closed_form() -> None:
    events, trials = np.array([[0], [3], [7]]), np.array([[10], [10], [7]])
    found = logistic_effects(events, trials)
    assert found is not None
    # With one parameter for each row Firth's penalty adds half an event and half a non-event to it.
    logits = np.log((events + 0.5) / (trials - events + 0.5))[:, 0]
    np.testing.assert_allclose(found.rows, logits - logits.mean(), atol=1e-7)
    assert found.intercept == pytest.approx(logits.mean(), abs=1e-7)
    np.testing.assert_allclose(found.columns, [0.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_sparse_rows_reach_the_closed_form(cells: list[tuple[int, int]]) -> None:
    trials = np.array([[number for number, _ in cells]])
    events = np.array([[min(number, event) for number, event in cells]])
    found = logistic_effects(events, trials)
    assert (found is None) == (not 0 < events.sum() < trials.sum())
    if found is not None:
        used = trials[0] > 0
        logits = np.log((events + 0.5) / (trials - events + 0.5))[0, used]
        # A cell of one trial has a flat likelihood; steps end below 1e-9 and shrink by half or faster.
        np.testing.assert_allclose(found.columns[used], logits - logits.mean(), atol=1e-7)


def test_a_separated_table_gets_the_maximum_of_the_penalised_likelihood() -> None:
    events = np.array([[3, 3, 0], [0, 1, 0], [0, 0, 0], [3, 3, 3]])
    trials = np.array([[3, 3, 3], [3, 2, 3], [3, 0, 3], [3, 3, 3]])
    found = logistic_effects(events, trials)
    assert found is not None

    # Treatment coding and a general optimiser: the Jeffreys prior does not depend on the coding.
    rows, columns = np.indices(events.shape)
    design = np.stack(
        [np.ones(12), *(rows.ravel() == i for i in (1, 2, 3)), *(columns.ravel() == j for j in (1, 2))], 1
    )

    def loss(beta: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-design @ beta))
        n, y = trials.ravel(), events.ravel()
        likelihood = (y * np.log(p) + (n - y) * np.log1p(-p)).sum()
        return -float(likelihood + 0.5 * np.linalg.slogdet(design.T @ (design * (n * p * (1 - p))[:, None]))[1])

    best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-7}).x
    row_effects, column_effects = np.array([0, *best[1:4]]), np.array([0, *best[4:]])
    # The optimiser stops at a gradient of 1e-7 by differences: about 1e-4 in the coefficients.
    np.testing.assert_allclose(found.rows, row_effects - row_effects.mean(), atol=1e-3)
    np.testing.assert_allclose(found.columns, column_effects - column_effects.mean(), atol=1e-3)
    fitted = 1 / (1 + np.exp(-(best[0] + row_effects[:, None] + column_effects)))
    np.testing.assert_allclose(found.row_rates, fitted.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(found.column_rates, fitted.mean(axis=0), atol=1e-4)


def test_a_large_table_of_all_or_nothing_cells_is_fitted() -> None:
    rng = np.random.default_rng(0)
    diverged = np.zeros((20, 20), dtype=np.int64)
    diverged[:, 17] = 3
    diverged[rng.integers(20, size=12), rng.integers(20, size=12)] = 3
    found = logistic_effects(diverged, np.full((20, 20), 3))
    assert found is not None
    assert found.columns.argmax() == 17
    assert abs(found.rows.sum()) < 1e-9
    assert abs(found.columns.sum()) < 1e-9
    assert (found.columns_se > 0).all()


def test_effects_are_undefined_without_events_or_connection() -> None:
    three = np.full((2, 2), 3)
    assert logistic_effects(np.zeros((2, 2), dtype=np.int64), three) is None
    assert logistic_effects(three, three) is None
    apart = np.array([[3, 0], [0, 3]])
    assert logistic_effects(np.array([[1, 0], [0, 2]]), apart) is None
    found = logistic_effects(np.array([[1, 0], [0, 0], [2, 3]]), np.array([[3, 3], [0, 0], [3, 3]]))
    assert found is not None
    assert np.isnan(found.rows[1])
    assert np.isfinite(found.rows[[0, 2]]).all()


def test_row_effect_p_counts_permutations() -> None:
    rng = np.random.default_rng(1)
    rates = np.zeros((3, 4))
    rates[0] = 1.0
    # The spread is largest if one row holds all four events: 3 of 3^4 placements.
    assert row_effect_p(rates, rng=rng, draws=4000) == pytest.approx(3 / 81, abs=0.01)  # 3 standard errors
    assert row_effect_p(np.zeros((3, 4)), rng=rng) is None
    assert row_effect_p(np.array([[np.nan, 1.0], [0.0, 1.0]]), rng=rng) is None


def test_row_effect_p_holds_its_level_where_trials_of_a_cell_are_alike() -> None:
    rng = np.random.default_rng(2)
    # Cells diverge as a whole: a likelihood ratio of their trials would reject far too often.
    p_values = [row_effect_p((rng.uniform(size=(6, 8)) < 0.2).astype(float), rng=rng, draws=199) for _ in range(100)]
    rejected = sum(p is not None and p <= 0.05 for p in p_values)
    assert rejected <= 12  # binomial(100, 0.05): 12 or fewer with probability 0.999
