"""Leads, claims and residual maps against loops, statsmodels and simulations with unequal variances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from orchestrator.analysis.statistics.ranking.best_columns import beats, leads, probability_best, residual_map
from orchestrator.analysis.statistics.ranking.moderated_variance import moderated_variances


def unequal(rng: np.random.Generator, a: int, b: int, r: int) -> np.ndarray:
    """No differences at all, standard deviations over more than a decade."""
    return 70 + 10 ** rng.uniform(-1, 0.5, (a, b, 1)) * rng.normal(size=(a, b, r))


def test_variances_of_one_kind_are_pooled_and_others_keep_their_own() -> None:
    rng = np.random.default_rng(8)
    alike = next(
        found
        for _ in range(50)
        if (found := moderated_variances(scores := rng.normal(size=(6, 5, 3)))) and np.isinf(found.prior_degrees)
    )
    np.testing.assert_allclose(alike.mean_variances, scores.var(axis=2, ddof=1).mean() / 3)
    assert (alike.degrees == 60).all()
    scores = rng.normal(size=(20, 20, 3))
    scores[3, 4] *= 100
    found = moderated_variances(scores)
    assert found is not None
    assert found.mean_variances[3, 4] == pytest.approx(scores[3, 4].var(ddof=1) / 3)
    assert found.degrees[3, 4] == 2
    assert (found.degrees > 10).sum() > 390


def test_a_cell_borrows_nothing_from_one_in_a_hundred_on() -> None:
    scores = np.random.default_rng(8).normal(size=(20, 20, 3))
    # Of two degrees of freedom, a variance of 4.6 times the common one has an upper tail of 1 %.
    scores[3, 4], scores[5, 6] = 2.5 * np.array([-1, 0, 1]), 1.7 * np.array([-1, 0, 1])
    found = moderated_variances(scores)
    assert found is not None
    assert (found.degrees[3, 4], found.mean_variances[3, 4]) == (2, pytest.approx(6.25 / 3))
    assert found.degrees[5, 6] > 100
    # In a hundred ordinary cells one is taken for unstable by chance: binomial(398, 0.01) is 4 with deviation 2.
    assert (found.degrees == 2).sum() <= 12


def test_the_prior_of_planted_variances_is_recovered() -> None:
    rng = np.random.default_rng(9)
    d0, scale = 4.0, 0.09
    sd = np.sqrt(scale * d0 / rng.chisquare(d0, (60, 60, 1)))
    found = moderated_variances(sd * rng.normal(size=(60, 60, 3)))
    assert found is not None
    assert found.prior_degrees == pytest.approx(d0, rel=0.2)
    own = (sd**2)[:, :, 0] / 3
    # Given a cell's estimate on D degrees of freedom, the mean of its variance is D / (D - 2) times it.
    order = np.argsort(found.mean_variances.ravel())[:1800]
    estimates, degrees = found.mean_variances.ravel()[order], found.degrees.ravel()[order]
    assert (estimates * degrees / (degrees - 2)).mean() == pytest.approx(own.ravel()[order].mean(), rel=0.1)


def test_variances_are_none_without_spread_and_nan_where_missing() -> None:
    assert moderated_variances(np.ones((3, 3, 1))) is None
    assert moderated_variances(np.full((3, 3, 3), 70.1)) is None
    scores = np.random.default_rng(10).normal(size=(3, 3, 3))
    scores[0, 0] = np.nan
    scores[1, 1, 1:] = np.nan
    scores[2, 2] = 5.0
    found = moderated_variances(scores)
    assert found is not None
    assert np.isnan(found.means[0, 0])
    assert np.isnan(found.mean_variances[0, 0])
    assert np.isfinite(np.delete(found.mean_variances.ravel(), 0)).all()
    with pytest.raises(ValueError, match="rows, columns, replicates"):
        moderated_variances(np.ones(3))


def test_a_lead_is_compared_with_every_rival() -> None:
    scores = np.random.default_rng(11).normal(0, 0.5, (4, 4, 3)) + np.array([0.0, 3.0, 1.0, 0.0])[:, None]
    variances = moderated_variances(scores)
    assert variances is not None
    for lead in leads(scores):
        means, parts = variances.means[lead.row], variances.mean_variances[lead.row]
        bounds = []
        for rival in range(4):
            if rival != lead.best:
                df = variances.degrees[lead.row, [lead.best, rival]].min()
                half = stats.t.ppf(1 - 0.05 / 6, df) * np.sqrt(parts[lead.best] + parts[rival])
                gap = means[lead.best] - means[rival]
                bounds.append((gap - half, gap + half))
        assert lead.best == means.argmax()
        assert lead.lead == pytest.approx(np.sort(means)[-1] - np.sort(means)[-2])
        assert (lead.low, lead.high) == pytest.approx(tuple(np.min(bounds, axis=0)))
        assert lead.separated == (min(bounds)[0] > 0)


def test_leads_without_replicates_and_with_missing_cells() -> None:
    first, second = leads(np.array([[[1.0], [3.0], [np.nan]], [[2.0], [2.0], [1.0]], [[np.nan], [np.nan], [5.0]]]))
    assert (first.row, first.best, first.second, first.lead, first.low, first.separated) == (0, 1, 0, 2.0, None, None)
    assert (second.best, second.lead) == (0, 0.0)


def test_the_luckiest_column_is_rarely_called_separated() -> None:
    rng = np.random.default_rng(12)
    found = [lead.separated for _ in range(15) for lead in leads(unequal(rng, 20, 10, 3))]
    assert np.mean(found) < 0.05  # at most 0.025 nominally; 300 rows: three standard errors are 0.027


def test_probability_best_sums_to_one_and_is_even_for_equal_columns() -> None:
    rng = np.random.default_rng(13)
    scores = np.tile(np.array([69.9, 70.0, 70.1]), (2, 4, 1))
    scores[1, 2] += 10
    scores[0, 3] = np.nan
    found = probability_best(scores, rng=rng, draws=20_000)
    assert found is not None
    assert found[0, :3] == pytest.approx(np.full(3, 1 / 3), abs=0.015)  # 4 standard errors
    assert np.isnan(found[0, 3])
    assert found[1, 2] > 0.999
    assert np.nansum(found, axis=1) == pytest.approx([1.0, 1.0])
    assert probability_best(scores[:, :, :1], rng=rng) is None


def test_claims_are_t_tests_with_holm() -> None:
    rng = np.random.default_rng(14)
    scores = rng.normal(size=(3, 3, 4))
    scores[0, 1] += 8
    scores[2, 0] = np.nan
    variances, found = moderated_variances(scores), beats(scores)
    assert variances is not None
    assert found is not None
    p_values, names = [], []
    pairs = [(0, 1), (0, 2), (1, 2)]
    for i, (j, k) in [(i, pair) for i in range(3) for pair in pairs if i < 2 or pair == (1, 2)]:
        v, w = variances.mean_variances[i, j], variances.mean_variances[i, k]
        df = min(variances.degrees[i, j], variances.degrees[i, k])
        gap = variances.means[i, j] - variances.means[i, k]
        p_values.append(2 * stats.t.sf(abs(gap) / np.sqrt(v + w), df))
        names.append((i, j, k) if gap > 0 else (i, k, j))
    corrected = multipletests(p_values, method="holm")[1]
    expected = {name: p for name, p in zip(names, corrected, strict=True) if p < 0.05}
    assert found.tested == 7
    assert {(c.row, c.better, c.worse): c.p_holm for c in found.claims} == pytest.approx(expected)
    assert (0, 1, 0) in expected
    assert beats(scores[:, :, :1]) is None


def test_false_claims_and_discoveries_stay_rare_with_unequal_variances() -> None:
    rng = np.random.default_rng(15)
    tables = [unequal(rng, 10, 10, 3) for _ in range(60)]
    claimed = [bool(found.claims) for table in tables if (found := beats(table))]
    mapped = [bool((found.p_adjusted < 0.05).any()) for table in tables if (found := residual_map(table))]
    # Nominal 0.05 each; binomial(60, 0.05) is at most 8 with probability 0.995.
    assert sum(claimed) <= 8
    assert sum(mapped) <= 8


def test_residual_variance_is_that_of_the_weighted_sum() -> None:
    rng = np.random.default_rng(16)
    scores = rng.normal(size=(4, 3, 3)) * rng.uniform(0.1, 3, (4, 3, 1))
    variances, found = moderated_variances(scores), residual_map(scores)
    assert variances is not None
    assert found is not None
    for i in range(4):
        for j in range(3):
            weights = np.outer(np.eye(4)[i] - 1 / 4, np.eye(3)[j] - 1 / 3)
            variance = (weights**2 * variances.mean_variances).sum()
            squares = (weights**4 * variances.mean_variances**2 / variances.degrees).sum()
            residual = (weights * variances.means).sum()
            assert found.residual[i, j] == pytest.approx(residual)
            t = abs(residual) / np.sqrt(variance)
            assert found.p[i, j] == pytest.approx(
                2 * stats.t.sf(t, min(variance**2 / squares, variances.degrees[i, j]))
            )
    expected = multipletests(found.p.ravel(), method="fdr_bh")[1]
    np.testing.assert_allclose(found.p_adjusted.ravel(), expected)
    assert residual_map(scores[:, :, :1]) is None
    scores[0, 0] = np.nan
    assert residual_map(scores) is None
