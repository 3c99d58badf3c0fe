"""Coupling against tuning budget: against a loop over pairs of sets, and on planted coupling and none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from orchestrator.analysis.statistics.coupling.budget import BudgetComponents, coupling_at_budget
from orchestrator.analysis.statistics.coupling.resampling import cross_seed_components
from orchestrator.analysis.statistics.coupling.stratified_budget import coupling_of_sobol_design

A, B = 8, 6
_RNG = np.random.default_rng(1)
OPTIMUM = _RNG.uniform(0.2, 0.8, (A, B, 1))
CURVATURE = _RNG.uniform(20, 60, (1, B, 1))
CEILING = 70 + _RNG.normal(0, 1, (A, 1, 1)) + _RNG.normal(0, 1, (1, B, 1)) + _RNG.normal(0, 1, (A, B, 1))


def sweep_of(points: np.ndarray, rng: np.random.Generator, noise: float = 0.5) -> np.ndarray:
    u, v = points.T
    return CEILING - CURVATURE * (u - OPTIMUM) ** 2 - 10 * (v - 0.5) ** 2 + rng.normal(0, noise, (A, B, len(points)))


def squares_of(table: np.ndarray) -> BudgetComponents:
    rows, columns = table.mean(axis=1) - table.mean(), table.mean(axis=0) - table.mean()
    rest = table - table.mean() - rows[:, None] - columns[None]
    a, b = table.shape
    squares = [b * (rows**2).sum() / (a - 1), a * (columns**2).sum() / (b - 1), (rest**2).sum() / (a - 1) / (b - 1)]
    return BudgetComponents.of(np.array(squares), (a, b))


@pytest.fixture(scope="module")
def truth() -> dict[int, BudgetComponents]:
    """By many random searches in every cell."""
    rng = np.random.default_rng(9)
    found = {}
    for n in (1, 4):
        table = np.zeros((A, B))
        for _ in range(40):
            table += sweep_of(rng.random((100 * n, 2)), rng).reshape(A, B, 100, n).max(axis=3).mean(axis=2) / 40
        found[n] = squares_of(table)
    return found


def test_it_is_the_mean_product_of_disjoint_sets() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4, 3, 6))
    found = coupling_at_budget(scores, 1, rng)

    def centred(table: np.ndarray) -> np.ndarray:
        return table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()

    tables = [centred(scores[:, :, h]) for h in range(6)]
    pairs = [(tables[k] * tables[m]).sum() / 6 for k in range(6) for m in range(6) if k != m]
    assert found.components.interaction == pytest.approx(np.mean(pairs), rel=1e-9)
    columns = [scores[:, :, h].mean(axis=0) - scores[:, :, h].mean() for h in range(6)]
    pairs = [4 * (columns[k] @ columns[m]) / 2 for k in range(6) for m in range(6) if k != m]
    assert found.components.column == pytest.approx((np.mean(pairs) - found.components.interaction) / 4, rel=1e-9)
    # Points are replicates: the estimate of `resampling`, which takes one partition and knows missing cells.
    across = cross_seed_components(scores)
    assert across is not None
    assert found.components.interaction == pytest.approx(across.interaction, rel=1e-9)
    assert found.components.column == pytest.approx(across.optimizer, rel=1e-9)
    # Two sets of 3 from 6 points: every partition once or more, so near the mean over all ten.
    two = coupling_at_budget(scores, 3, rng)
    assert (two.interaction_low, two.is_plug_in) == (None, False)


def test_random_designs_are_estimated_without_bias(truth: dict[int, BudgetComponents]) -> None:
    for n, tolerance in ((1, 0.35), (4, 0.12)):
        found, covered = [], []
        for seed in range(60):
            rng = np.random.default_rng(seed)
            answer = coupling_at_budget(sweep_of(rng.random((32, 2)), rng), n, rng)
            found.append(answer.components.interaction)
            assert answer.interaction_low is not None
            assert answer.interaction_high is not None
            covered.append(answer.interaction_low <= truth[n].interaction <= answer.interaction_high)
        # About three standard errors of 60 designs.
        assert np.mean(found) == pytest.approx(truth[n].interaction, abs=tolerance)
        assert np.mean(covered) >= 0.88


def test_sobol_designs_keep_their_coupling(truth: dict[int, BudgetComponents]) -> None:
    for n in (1, 4):
        neighbours, disjoint, covered, covered_index = [], [], [], []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            points = qmc.Sobol(2, rng=seed).random(32)
            scores = sweep_of(points, rng)
            answer = coupling_of_sobol_design(scores, points, n)
            neighbours.append(answer.components.interaction)
            disjoint.append(coupling_at_budget(scores, n, rng).components.interaction)
            assert answer.interaction_low is not None
            assert answer.interaction_high is not None
            assert answer.index_low is not None
            assert answer.index_high is not None
            index = truth[n].index
            assert index is not None
            covered.append(answer.interaction_low <= truth[n].interaction <= answer.interaction_high)
            covered_index.append(answer.index_low <= index <= answer.index_high)
        wanted = truth[n].interaction
        assert np.mean(neighbours) == pytest.approx(wanted, rel=0.07)
        # Why disjoint sets of such a design are not used.
        assert np.mean(disjoint) < 0.92 * wanted
        assert np.mean(covered) >= 0.85
        assert np.mean(covered_index) >= 0.88


def test_without_coupling_there_is_none() -> None:
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        points = qmc.Sobol(2, rng=seed).random(32)
        u, _ = points.T
        scores = 70 - 40 * (u - 0.5) ** 2 + rng.normal(0, 0.5, (A, B, 32))
        answer = coupling_of_sobol_design(scores, points, 4)
        found.append(answer.components.interaction)
        assert answer.interaction_low is not None
        assert answer.interaction_low <= 0
    # Noise of .5 would leave about .05 in a plain square.
    assert np.mean(found) == pytest.approx(0, abs=0.005)


def test_missing_scores_have_no_influence_on_their_cell() -> None:
    rng = np.random.default_rng(0)
    points = qmc.Sobol(2, rng=0).random(32)
    scores = sweep_of(points, rng)
    whole = coupling_of_sobol_design(scores, points, 4)
    holed = scores.copy()
    holed[rng.integers(0, A, 20), rng.integers(0, B, 20), rng.integers(0, 32, 20)] = np.nan
    found = coupling_of_sobol_design(holed, points, 4)
    assert found.components.interaction == pytest.approx(whole.components.interaction, rel=0.2)
    assert found.interaction_low is not None


def test_row_and_column_constants_do_not_matter_and_units_scale() -> None:
    rng = np.random.default_rng(0)
    points = qmc.Sobol(2, rng=0).random(16)
    scores = sweep_of(points, rng)
    whole = coupling_of_sobol_design(scores, points, 2).components
    moved = coupling_of_sobol_design(scores + np.arange(A)[:, None, None] + np.arange(B)[:, None], points, 2)
    assert moved.components.interaction == pytest.approx(whole.interaction, rel=1e-9)
    scaled = coupling_of_sobol_design(scores * 3, points, 2).components
    assert scaled.interaction == pytest.approx(9 * whole.interaction, rel=1e-9)
    assert scaled.index == pytest.approx(whole.index or 0.0, rel=1e-9)
    permuted = coupling_of_sobol_design(scores[::-1, ::-1], points, 2).components
    assert permuted.interaction == pytest.approx(whole.interaction, rel=1e-9)


def test_beyond_half_the_points_only_the_plug_in_is_left() -> None:
    rng = np.random.default_rng(0)
    points = qmc.Sobol(2, rng=0).random(8)
    scores = sweep_of(points, rng)
    for answer in (coupling_at_budget(scores, 8, rng), coupling_of_sobol_design(scores, points, 8)):
        assert answer.is_plug_in
        assert answer.interaction_low is None
        assert answer.components.interaction == pytest.approx(squares_of(scores.max(axis=2)).interaction)
        assert answer.mean_score == pytest.approx(scores.max(axis=2).mean())


def test_impossible_tables_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two rows"):
        coupling_at_budget(np.zeros((1, 3, 4)), 1, rng)
    with pytest.raises(ValueError, match="1 x 3"):
        coupling_of_sobol_design(np.zeros((1, 3, 4)), np.zeros((4, 2)), 1)
    with pytest.raises(ValueError, match="budget of 5"):
        coupling_of_sobol_design(np.zeros((2, 3, 4)), np.zeros((4, 2)), 5)
    assert BudgetComponents(row=-1.0, column=-1.0, interaction=-1.0).index is None
