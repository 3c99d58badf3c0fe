"""Adkins' sensitivity and effective dimension against loops over every choice."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from orchestrator.analysis.statistics.sensitivity.shared_settings import (
    best_shared_setting,
    effective_dimension,
    percentile_scale,
    split_seed_regret,
)


def test_phi_is_the_cost_of_one_setting_for_all() -> None:
    scores = np.array([[1.0, 0.5, 0.8], [0.0, 0.9, 0.8]])
    found = best_shared_setting(scores)
    assert found is not None
    assert found.point == 2
    assert (found.shared, found.tuned) == (pytest.approx(0.8), pytest.approx(0.95))
    assert found.regret == pytest.approx(0.15)


def test_only_settings_with_a_score_everywhere_can_be_shared() -> None:
    # As in the released code of the paper: each row's own best may be one that the others miss.
    found = best_shared_setting(np.array([[1.0, 0.5, 0.8], [np.nan, 0.9, 0.7]]))
    assert found is not None
    assert found.point == 2
    assert found.regret == pytest.approx((1.0 + 0.9) / 2 - 0.75)
    assert best_shared_setting(np.array([[1.0, np.nan], [np.nan, 1.0]])) is None
    assert best_shared_setting(np.empty((0, 3))) is None


def test_rows_are_normalised_by_their_percentiles_over_everything() -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 90, (3, 4, 16))
    scores[0, 0, 0] = np.nan
    scores[2] = 10.0
    scale = percentile_scale(scores)
    values = scale.normalised(scores)
    for row in range(2):
        known = scores[row][np.isfinite(scores[row])]
        low, high = np.percentile(known, [5, 95])
        np.testing.assert_allclose(values[row], (scores[row] - low) / (high - low))
    assert np.isnan(values[2]).all()
    np.testing.assert_array_equal(scale.known, [True, True, False])
    np.testing.assert_allclose(percentile_scale(7 * scores + 3).normalised(7 * scores + 3)[:2], values[:2], atol=1e-9)


def test_splitting_seeds_takes_the_noise_out_of_phi() -> None:
    rng = np.random.default_rng(1)
    plug_in, split = [], []
    for _ in range(200):
        scores = rng.normal(0, 1, (6, 16, 3))  # one setting is as good as any other
        shared = best_shared_setting(scores.mean(axis=2))
        assert shared is not None
        plug_in.append(shared.regret)
        split.append(split_seed_regret(scores))
    assert np.mean(plug_in) > 0.4
    # The standard error is .03.
    assert np.mean(np.array(split, dtype=float)) == pytest.approx(0.0, abs=0.1)


def test_splitting_seeds_finds_what_is_there() -> None:
    truth = np.array([[1.0, 0.5, 0.8], [0.0, 0.9, 0.8]])
    assert split_seed_regret(np.repeat(truth[:, :, None], 2, axis=2)) == pytest.approx(0.15)
    assert split_seed_regret(truth[:, :, None]) is None
    with pytest.raises(ValueError, match="every score"):
        split_seed_regret(np.full((2, 2, 2), np.nan))


def every_choice(values: np.ndarray) -> int:
    """The definition, written as loops."""
    rows, *levels = values.shape
    grid = list(product(*(range(level) for level in levels)))
    frozen = max(grid, key=lambda place: values[(slice(None), *place)].mean())
    tuned = np.mean([values[row].max() for row in range(rows)])
    for number in range(len(levels) + 1):
        for free in combinations(range(len(levels)), number):
            allowed = [p for p in grid if all(p[k] == frozen[k] for k in range(len(levels)) if k not in free)]
            if np.mean([max(values[(row, *place)] for place in allowed) for row in range(rows)]) >= 0.95 * tuned:
                return number
    raise AssertionError


def test_effective_dimension_is_that_of_every_choice() -> None:
    rng = np.random.default_rng(2)
    found = set()
    for spread in (0.02, 0.3, 1.0):
        for _ in range(12):
            values = 1 + spread * rng.normal(size=(4, 3, 2, 4))
            assert effective_dimension(values) == every_choice(values)
            found.add(effective_dimension(values))
    assert len(found) > 2


def test_effective_dimension_of_planted_landscapes() -> None:
    u, v = np.meshgrid(np.linspace(0, 1, 11), np.linspace(0, 1, 11), indexing="ij")
    optima = np.array([0.1, 0.5, 0.9])
    same = np.stack([1 - (u - 0.5) ** 2 - (v - 0.5) ** 2 for _ in optima])
    one = np.stack([1 - 4 * (u - optimum) ** 2 - (v - 0.5) ** 2 for optimum in optima])
    both = np.stack([1 - 4 * (u - optimum) ** 2 - 4 * (v - optimum) ** 2 for optimum in optima])
    assert [effective_dimension(values) for values in (same, one, both)] == [0, 1, 2]
    with pytest.raises(ValueError, match="full grid"):
        effective_dimension(np.full((2, 2), np.nan))
