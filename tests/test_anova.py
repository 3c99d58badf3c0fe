from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from orchestrator.analysis.statistics.coupling.anova import TwoWayAnova, two_way_anova
from tests.score_examples import paper_table, planted, with_holes

# Two least-squares fits of a few hundred numbers near 70 by different algorithms agree to about 1e-12 of the total.
AGREE = 1e-9


def analysed(scores: NDArray[np.float64]) -> TwoWayAnova:
    anova = two_way_anova(scores)
    assert anova is not None
    return anova


def by_statsmodels(scores: NDArray[np.float64], typ: int) -> pd.DataFrame:
    index = np.argwhere(np.isfinite(scores))
    frame = pd.DataFrame(
        {"y": scores[tuple(index.T)], "a": [f"a{i}" for i in index[:, 0]], "b": [f"b{j}" for j in index[:, 1]]}
    )
    return anova_lm(ols("y ~ C(a) + C(b) + C(a):C(b)", frame).fit(), typ=typ)


@pytest.mark.parametrize("typ", [1, 2])
def test_a_balanced_table_is_analysed_as_by_statsmodels(typ: int) -> None:
    scores = planted(np.random.default_rng(0), (5, 4, 3))
    anova, reference = analysed(scores), by_statsmodels(scores, typ)
    sums = [anova.ss_backbone, anova.ss_optimizer, anova.ss_interaction, anova.ss_error]
    assert sums == pytest.approx(list(reference["sum_sq"]), rel=AGREE)
    assert [anova.df_backbone, anova.df_optimizer, anova.df_interaction, anova.df_error] == list(reference["df"])
    assert anova.f == pytest.approx(reference.loc["C(a):C(b)", "F"], rel=AGREE)
    assert anova.p_f == pytest.approx(reference.loc["C(a):C(b)", "PR(>F)"], rel=1e-6)
    assert anova.is_balanced
    assert anova.n_replicates == 3
    assert anova.ss_total == pytest.approx(sum(sums), rel=AGREE)  # type: ignore[arg-type]


def test_unequal_replicates_are_analysed_as_by_statsmodels() -> None:
    rng = np.random.default_rng(1)
    scores = planted(rng, (5, 4, 4))
    scores[:, :, 1:] = with_holes(rng, scores[:, :, 1:], 0.4)  # every cell keeps one replicate
    anova, reference = analysed(scores), by_statsmodels(scores, 2)
    sums = [anova.ss_backbone, anova.ss_optimizer, anova.ss_interaction, anova.ss_error]
    assert sums == pytest.approx(list(reference["sum_sq"]), rel=AGREE)
    assert [anova.df_backbone, anova.df_optimizer, anova.df_interaction, anova.df_error] == list(reference["df"])
    assert not anova.is_balanced


def test_missing_cells_cost_the_interaction_degrees_of_freedom() -> None:
    rng = np.random.default_rng(2)
    scores = with_holes(rng, planted(rng, (6, 5, 3)), 0.2)
    scores[0, 0], scores[3, 2] = np.nan, np.nan
    anova = analysed(scores)
    # Compared by the residual sums of squares of nested models: anova_lm itself counts empty cells as effects.
    index = np.argwhere(np.isfinite(scores))
    frame = pd.DataFrame({"y": scores[tuple(index.T)], "a": index[:, 0], "b": index[:, 1]})
    frame["cell"] = frame["a"] * 10 + frame["b"]
    additive, full, rows, columns = (
        ols(f"y ~ {model}", frame).fit() for model in ("C(a) + C(b)", "C(cell)", "C(a)", "C(b)")
    )
    assert anova.ss_interaction == pytest.approx(additive.ssr - full.ssr, rel=AGREE)
    assert anova.ss_error == pytest.approx(full.ssr, rel=AGREE)
    assert anova.ss_backbone == pytest.approx(columns.ssr - additive.ssr, rel=AGREE)
    assert anova.ss_optimizer == pytest.approx(rows.ssr - additive.ssr, rel=AGREE)
    assert anova.df_interaction == additive.df_resid - full.df_resid
    assert anova.df_error == full.df_resid


def test_effect_sizes_by_their_formulas() -> None:
    scores = planted(np.random.default_rng(3), (4, 5, 3))
    anova = analysed(scores)
    means = scores.mean(axis=2)
    residual = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    interaction, error = 3 * (residual**2).sum(), ((scores - means[:, :, np.newaxis]) ** 2).sum()
    total, ms_error = ((scores - scores.mean()) ** 2).sum(), error / 40
    assert anova.eta2 == pytest.approx(interaction / total, rel=AGREE)
    assert anova.partial_eta2 == pytest.approx(interaction / (interaction + error), rel=AGREE)
    assert anova.omega2 == pytest.approx((interaction - 12 * ms_error) / (total + ms_error), rel=AGREE)
    assert anova.epsilon2 == pytest.approx((interaction - 12 * ms_error) / total, rel=AGREE)


def test_the_papers_table_without_replicates() -> None:
    table, _, _ = paper_table()
    anova = analysed(table)
    shares = [100 * part / anova.ss_total for part in (anova.ss_backbone, anova.ss_optimizer)]
    assert shares == pytest.approx([38.6, 21.6], abs=0.05)
    assert 100 * (anova.eta2 or 0) == pytest.approx(39.7, abs=0.06)  # 39.745, which the paper's check prints as 39.7
    assert anova.ss_interaction == pytest.approx(10357, abs=0.5)
    assert (anova.ss_error, anova.f, anova.p_f, anova.omega2, anova.ms_error) == (None,) * 5
    assert anova.df_error == 0


@pytest.mark.parametrize(
    "scores",
    [
        np.ones((1, 4, 2)),
        np.ones((4, 1, 2)),
        np.array([[1.0, np.nan], [np.nan, 2.0]]),
        np.array([[1.0, 2.0, np.nan], [3.0, 4.0, np.nan]]),
    ],
    ids=["one row", "one column", "two parts", "an empty column"],
)
def test_no_analysis_where_effects_are_not_defined(scores: NDArray[np.float64]) -> None:
    assert two_way_anova(scores) is None


def test_a_table_with_as_many_effects_as_cells_has_no_interaction() -> None:
    anova = analysed(np.array([[[1.0, 2.0], [2.0, 2.5]], [[3.0, 3.5], [np.nan, np.nan]]]))
    assert (anova.df_interaction, anova.ss_interaction, anova.f, anova.eta2, anova.omega2) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert anova.ms_error is not None


def test_equal_replicates_give_no_test_and_constant_scores_no_shares() -> None:
    # The mean of seven equal numbers is not that number in floating point: rounding must not become an F of 1e30.
    equal = analysed(np.repeat(np.array([[60.1, 60.2], [60.4, 61.3]])[:, :, np.newaxis], 7, axis=2))
    assert (equal.ms_error, equal.f, equal.p_f) == (0.0, None, None)
    constant = analysed(np.full((3, 4, 2), 70.1))
    assert (constant.eta2, constant.omega2, constant.partial_eta2, constant.f) == (None, None, None, None)


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        two_way_anova([1.0, 2.0])
    with pytest.raises(ValueError, match="infinite"):
        two_way_anova([[1.0, np.inf], [1.0, 2.0]])


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.15]))
@settings(max_examples=40, deadline=None)
def test_what_must_not_matter_does_not(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    scores = with_holes(rng, planted(rng, (4, 5, 3)), share)
    anova = two_way_anova(scores)
    if anova is None or anova.ss_interaction is None:
        return
    shifted = analysed(scores + rng.normal(size=(4, 1, 1)) + rng.normal(size=(1, 5, 1)))
    permuted = analysed(scores[rng.permutation(4)][:, rng.permutation(5)][:, :, rng.permutation(3)])
    scaled = analysed(0.01 * scores)
    assert shifted.ss_interaction == pytest.approx(anova.ss_interaction, rel=1e-8)
    assert permuted.ss_interaction == pytest.approx(anova.ss_interaction, rel=1e-8)
    assert permuted.ss_optimizer == pytest.approx(anova.ss_optimizer, rel=1e-8)
    assert scaled.ss_interaction == pytest.approx(1e-4 * anova.ss_interaction, rel=1e-8)
    turned = analysed(scores.transpose(1, 0, 2))
    assert (turned.ss_backbone, turned.ss_optimizer) == pytest.approx(
        (anova.ss_optimizer, anova.ss_backbone), rel=1e-8
    )
