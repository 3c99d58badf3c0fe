from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from orchestrator.analysis.statistics.coupling.additive import AdditiveFit, additive_fit
from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.multiplicative import (
    ammi,
    ecovalence,
    muir_split,
    noise_edge,
    tukey_test,
)
from orchestrator.analysis.statistics.coupling.scales import winsorised
from tests.score_examples import paper_table, planted


def fitted(table: NDArray[np.float64]) -> AdditiveFit:
    fit = additive_fit(table)
    assert fit is not None
    return fit


def table_with_holes(seed: int) -> NDArray[np.float64]:
    table = planted(np.random.default_rng(seed), (5, 6, 1))[:, :, 0]
    table[0, 1], table[2, 2], table[4, 0] = np.nan, np.nan, np.nan
    return table


def test_the_papers_table() -> None:
    fit = fitted(paper_table()[0])
    parts, split, tukey = ammi(fit), muir_split(fit), tukey_test(fit)
    assert parts is not None
    assert split is not None
    assert tukey is not None
    # All to the digits that were published.
    assert parts.shares[:4] == pytest.approx([0.60, 0.24, 0.11, 0.03], abs=0.005)
    assert (100 * split.scale, 100 * split.reranking) == pytest.approx((42.7, 57.3), abs=0.05)
    assert (tukey.f, tukey.p) == pytest.approx((0.03, 0.86), abs=0.005)
    split = muir_split(fitted(winsorised(paper_table()[0])[:, :, 0]))
    assert split is not None
    assert (100 * split.scale, 100 * split.reranking) == pytest.approx((27, 73), abs=0.5)


def test_components_rebuild_the_interaction() -> None:
    fit = fitted(planted(np.random.default_rng(0), (5, 7, 1))[:, :, 0])
    parts = ammi(fit)
    assert parts is not None
    assert parts.row_scores @ parts.column_scores.T == pytest.approx(fit.residuals, abs=1e-11)
    squares = np.linalg.eigvalsh(fit.residuals @ fit.residuals.T)[::-1][:4]
    assert parts.singular_values**2 == pytest.approx(squares, rel=1e-8)
    assert parts.shares.sum() == pytest.approx(1)
    assert parts.shares.shape == (4,)
    largest = np.abs(parts.column_scores).argmax(axis=0)
    assert (parts.column_scores[largest, range(4)] > 0).all()


def test_noise_stays_about_under_its_edge() -> None:
    rng = np.random.default_rng(1)
    tables = [planted(rng, (20, 20, 3), interaction=0, noise=2.0).mean(axis=2) for _ in range(20)]
    largest = [np.linalg.svd(fitted(table).interaction, compute_uv=False)[0] for table in tables]
    # For small matrices the largest value is some 10 % below the edge on average, and above it in few tables.
    edge = noise_edge(4.0, 3, (20, 20))
    assert 0.85 * edge < np.mean(largest) < edge
    assert np.mean(np.array(largest) > edge) <= 0.2


def test_ecovalences_sum_to_the_interaction() -> None:
    scores = planted(np.random.default_rng(2), (4, 5, 3))
    anova, carried = two_way_anova(scores), ecovalence(fitted(scores.mean(axis=2)))
    assert anova is not None
    assert anova.ss_interaction is not None
    assert 3 * carried.rows.sum() == pytest.approx(anova.ss_interaction)
    assert 3 * carried.columns.sum() == pytest.approx(anova.ss_interaction)
    assert carried.rows.shape == (4,)
    assert carried.columns.shape == (5,)


@pytest.mark.parametrize("hole", [False, True])
def test_muirs_identity_pair_by_pair(hole: bool) -> None:
    table = table_with_holes(3)
    fit = fitted(table if hole else np.nan_to_num(table, nan=70.0))
    full = fit.fitted + fit.interaction
    rows, optimizers = full.shape
    spread, correlation = full.std(axis=1, ddof=1), np.corrcoef(full)
    factor = (optimizers - 1) / rows
    scale = factor * sum((spread[i] - spread[j]) ** 2 for i, j in combinations(range(rows), 2))
    reranking = factor * sum(
        2 * spread[i] * spread[j] * (1 - correlation[i, j]) for i, j in combinations(range(rows), 2)
    )
    assert scale + reranking == pytest.approx((fit.interaction**2).sum())
    split = muir_split(fit)
    assert split is not None
    assert split.scale == pytest.approx(scale / (scale + reranking))
    assert split.scale + split.reranking == pytest.approx(1)


def test_a_backbone_without_spread_differs_in_scale_alone() -> None:
    split = muir_split(fitted(np.array([[70.0, 70.0, 70.0], [60.0, 65.0, 80.0]])))
    assert split is not None
    assert (split.scale, split.reranking) == pytest.approx((1, 0), abs=1e-9)


@pytest.mark.parametrize("hole", [False, True])
def test_tukeys_test_is_a_regression_on_the_product_of_effects(hole: bool) -> None:
    table = table_with_holes(4)
    if not hole:
        table = np.nan_to_num(table, nan=71.0)
    fit = fitted(table)
    row, column = np.nonzero(np.isfinite(table))
    dummies = np.hstack([np.eye(5)[row], np.eye(6)[column]])
    product = (fit.row_effects[row] * fit.column_effects[column])[:, np.newaxis]
    values = table[row, column]
    rss = [
        float(((values - design @ np.linalg.lstsq(design, values)[0]) ** 2).sum())
        for design in (dummies, np.hstack([dummies, product]))
    ]
    tukey = tukey_test(fit)
    assert tukey is not None
    assert tukey.f == pytest.approx((rss[0] - rss[1]) / (rss[1] / (fit.df_residual - 1)), rel=1e-7)
    assert tukey.p == pytest.approx(f_distribution.sf(tukey.f, 1, row.size - np.linalg.matrix_rank(dummies) - 1))


def test_tukey_sees_a_product_and_not_a_saddle() -> None:
    rng = np.random.default_rng(5)
    effects = np.linspace(-2, 2, 8)
    noise = 0.2 * rng.normal(size=(8, 8))
    product = tukey_test(fitted(70 + effects[:, np.newaxis] + effects + 0.5 * np.outer(effects, effects) + noise))
    across = np.outer(effects**2 - 2, effects**2 - 2)
    saddle = tukey_test(fitted(70 + effects[:, np.newaxis] + effects + 0.5 * across + noise))
    assert product is not None
    assert saddle is not None
    assert product.p < 1e-6
    assert saddle.p > 0.1


def test_an_additive_table_has_no_interaction_to_describe() -> None:
    fit = fitted(70.1 + 0.1 * np.arange(4)[:, np.newaxis] + 0.7 * np.arange(5))
    assert ammi(fit) is None
    assert muir_split(fit) is None
    assert tukey_test(fit) is None
    assert ecovalence(fit).rows.sum() == 0


@pytest.mark.parametrize(
    "table",
    [np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])],
    ids=["one degree of freedom", "no main effects"],
)
def test_tukeys_test_is_undefined(table: NDArray[np.float64]) -> None:
    assert tukey_test(fitted(table)) is None


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_descriptions_are_invariant(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = planted(rng, (4, 5, 1))[:, :, 0]
    changed = 0.5 * table[rng.permutation(4)][:, rng.permutation(5)] + 3.0
    before, after = (ammi(fitted(values)) for values in (table, changed))
    assert before is not None
    assert after is not None
    assert after.shares == pytest.approx(before.shares, abs=1e-9)
    splits = [muir_split(fitted(values)) for values in (table, changed)]
    assert splits[0] is not None
    assert splits[1] is not None
    assert splits[1].scale == pytest.approx(splits[0].scale, abs=1e-9)
