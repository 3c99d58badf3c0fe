"""The exponent of a tail against the package `powerlaw`, which shares no code with it."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers.power_law import PowerLaw, fit_power_law

with warnings.catch_warnings(action="ignore"):  # of its own plotting and of numpy's older names
    import powerlaw


def their_fit(values: np.ndarray, xmin: float | None = None) -> PowerLaw:
    with warnings.catch_warnings(action="ignore"):
        fit = powerlaw.Fit(values, xmin=xmin, parameter_ranges={"alpha": [1, None]}, verbose=False)
        law = fit.power_law
        return PowerLaw(alpha=law.alpha, xmin=float(fit.xmin), ks=law.D, tail=int((values >= fit.xmin).sum()))


def pareto(seed: int, count: int, alpha: float) -> np.ndarray:
    """Half a power law from 1 on, half something else below."""
    generator = np.random.default_rng(seed)
    tail = (1 - generator.random(count // 2)) ** (-1 / (alpha - 1))
    return np.concatenate([tail, generator.random(count - count // 2)])


@pytest.mark.parametrize(("seed", "alpha"), [(0, 1.7), (1, 2.5), (2, 4.0)])
@pytest.mark.parametrize("xmin", [1.0, 1.3])
def test_at_a_given_xmin_it_is_the_packages_exponent_and_distance(seed: int, alpha: float, xmin: float) -> None:
    values = pareto(seed, 300, alpha)
    ours, theirs = fit_power_law(values, xmin), their_fit(values, xmin)
    assert ours is not None
    assert (ours.xmin, ours.tail) == (xmin, theirs.tail)
    # Both are sums of some hundred logarithms in double precision.
    assert ours.alpha == pytest.approx(theirs.alpha, abs=1e-9)
    assert ours.ks == pytest.approx(theirs.ks, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_xmin_that_the_package_finds(seed: int) -> None:
    values = pareto(seed, 120, 2.2 + seed / 2)
    ours, theirs = fit_power_law(values), their_fit(values)
    assert ours is not None
    assert (ours.xmin, ours.tail) == (theirs.xmin, theirs.tail)
    assert ours.alpha == pytest.approx(theirs.alpha, abs=1e-9)
    assert ours.ks == pytest.approx(theirs.ks, abs=1e-9)


def test_it_recovers_a_planted_exponent() -> None:
    """Within four standard errors, (alpha - 1) / sqrt(tail)."""
    fit = fit_power_law(pareto(7, 4000, 3.0))
    assert fit is not None
    assert abs(fit.alpha - 3) < 4 * 2 / math.sqrt(fit.tail)
    assert 0.9 < fit.xmin < 2


@given(
    values=st.lists(st.integers(1, 60), min_size=2, max_size=40),
    scale=st.sampled_from([1e-12, 0.125, 3.0, 1e9]),
)
def test_the_exponent_is_that_of_any_unit_and_order_and_the_least_distance_counts(
    values: list[int], scale: float
) -> None:
    numbers = np.array(values, dtype=np.float64)
    fit = fit_power_law(numbers)
    if len(set(values)) < 2:
        assert fit is None
        return
    assert fit is not None
    best = min(their.ks for x in sorted(set(values))[:-1] if (their := fit_power_law(numbers, float(x))) is not None)
    assert fit.ks == pytest.approx(best, abs=1e-12)
    scaled = fit_power_law(numbers[::-1] * scale, fit.xmin * scale)
    assert scaled is not None
    # Rounding of the logarithms of scaled values, divided by the smallest possible sum of them, ln(60/59).
    assert scaled.alpha - 1 == pytest.approx(fit.alpha - 1, rel=1e-9)


def test_what_has_no_tail_has_no_exponent() -> None:
    assert fit_power_law(np.array([])) is None
    assert fit_power_law(np.array([2.0, 2.0])) is None
    assert fit_power_law(np.array([1.0, 2.0]), 2.0) is None
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive, finite"):
            fit_power_law(np.array([1.0, bad]))
