"""Layer statistics against accuracy: against statsmodels and scipy, and a planted reversal."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from orchestrator.analysis.statistics.robustness.weight_spectra import grouped_correlation, summarise_layers

NAN = float("nan")


def points(seed: int = 0, sizes: tuple[int, ...] = (6, 4, 7)) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    x = rng.normal(size=group.size) + 3 * group
    w = rng.normal(size=group.size)
    return pd.DataFrame({"x": x, "w": w, "group": group, "y": -0.8 * x + 6 * group + w + rng.normal(size=x.size)})


def columns(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(frame[name].to_numpy().copy() for name in ("x", "y", "group"))


@pytest.mark.parametrize("with_covariate", [False, True])
def test_the_correlation_within_groups_is_the_partial_one(with_covariate: bool) -> None:
    frame = points()
    found = grouped_correlation(*columns(frame), frame[["w"]].to_numpy() if with_covariate else None)
    model = smf.ols(f"y ~ x + C(group){' + w' if with_covariate else ''}", frame).fit()
    t = model.tvalues["x"]
    assert found.df == model.df_resid
    # The partial correlation follows from the t value of its coefficient.
    assert found.within == pytest.approx(t / math.sqrt(t**2 + model.df_resid), rel=1e-9)
    assert found.p == pytest.approx(model.pvalues["x"], rel=1e-8)


def test_simpsons_reversal_is_seen() -> None:
    frame = points()
    found = grouped_correlation(*columns(frame))
    assert found.within is not None
    assert found.within < -0.4
    assert found.pooled == pytest.approx(stats.pearsonr(frame.x, frame.y).statistic, rel=1e-9)
    assert found.pooled is not None
    assert found.pooled > 0.5
    means = frame.groupby("group")[["x", "y"]].mean()
    assert found.between == pytest.approx(stats.pearsonr(means.x, means.y).statistic, rel=1e-9)
    assert found.reverses
    assert (found.n, found.groups) == (17, 3)


def test_with_one_group_it_is_the_ordinary_correlation() -> None:
    x, y, group = columns(points(1, (9,)))
    found = grouped_correlation(x, y, group)
    expected = stats.pearsonr(x, y)
    assert found.within == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8)
    assert found.within_ranks == pytest.approx(stats.spearmanr(x, y).statistic, rel=1e-9)
    assert found.between is None


def test_constants_of_a_group_do_not_matter() -> None:
    x, y, group = columns(points(2))
    moved = grouped_correlation(x + 10.0 * group, y - 7.0 * group, group)
    there = grouped_correlation(x, y, group)
    assert moved.within == pytest.approx(there.within, rel=1e-9)
    assert moved.within_ranks == pytest.approx(there.within_ranks, rel=1e-9)


def test_what_does_not_vary_has_no_correlation() -> None:
    group = np.array([0, 0, 1, 1, 2])
    y = np.arange(5.0)
    constant = grouped_correlation(np.array([1.1, 1.1, 2.2, 2.2, 3.0]), y, group)
    assert (constant.within, constant.p, constant.within_ranks) == (None, None, None)
    assert (constant.groups, constant.n) == (2, 5)
    single = grouped_correlation(y, y, np.arange(5))
    assert (single.within, single.groups, single.df) == (None, 0, 0)
    empty = grouped_correlation(np.array([NAN]), np.array([1.0]), np.array([0]))
    assert (empty.n, empty.pooled, empty.between) == (0, None, None)
    perfect = grouped_correlation(y, 2 * y, np.zeros(5, dtype=int))
    assert perfect.within == pytest.approx(1.0)
    with pytest.raises(ValueError, match="one length"):
        grouped_correlation(y, y, np.arange(4))


def test_small_layers_are_left_out_and_counted() -> None:
    values = np.array([2.0, 4.0, NAN, 3.0, 100.0])
    found = summarise_layers(values, np.array([64, 50, 512, 128, 49]))
    assert (found.median, found.n, found.dropped_small, found.dropped_undefined) == (3.0, 3, 1, 1)
    every = summarise_layers(values, np.array([64, 50, 512, 128, 49]), least=1)
    assert (every.median, every.dropped_small) == (3.5, 0)
    none = summarise_layers(np.array([]), np.array([], dtype=int))
    assert (none.median, none.n) == (None, 0)
    with pytest.raises(ValueError, match="one length"):
        summarise_layers(values, np.array([1]))
