"""Which hyper-parameters move the score: Sobol' shares of its variance over the search space, behind a surrogate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.intervals import TAILS
from orchestrator.analysis.statistics.sensitivity.gaussian_process import (
    MAX_POINTS,
    Surrogates,
    candidate_kernels,
    cross_validated,
    explained_variance,
    fit_surrogates,
    matern,
)

LEAST_R_SQUARED = 0.5
"""Below this the surrogate does not know the landscape, and its shares would describe the surrogate."""
LEAST_POINTS = 8
REFITS = 40
"""Surrogates refitted for the intervals."""
NODES = 64
"""Gauss-Legendre nodes per coordinate: integrals of the shortest kernels are exact to 1e-5."""
_PLACES, _PLACE_WEIGHTS = np.polynomial.legendre.leggauss(NODES)


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceShares:
    """Shares of the score's variance for d hyper-parameters, each shape (d,), with 95 % intervals.

    The intervals say how far the shares move when the surrogate is fitted to other noise; not what a landscape that
    no such surrogate can follow would add.
    """

    first: NDArray[np.float64]
    """First order: alone."""
    first_low: NDArray[np.float64]
    first_high: NDArray[np.float64]
    total: NDArray[np.float64]
    """Total: alone or together with others."""
    total_low: NDArray[np.float64]
    total_high: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateShares:
    """The shares of one cell, or why there are none."""

    r_squared: float | None
    """Cross-validated R^2 of the surrogate."""
    shares: VarianceShares | None
    reason: str | None
    """Why `shares` is None."""


def surrogate_shares(
    points: NDArray[np.float64], scores: NDArray[np.float64], rng: np.random.Generator
) -> tuple[SurrogateShares, ...]:
    """Sobol' shares of some cells that have the same design.

    Args:
        points: Shape (n, d): the design in the unit cube, on the scale in which the space is sampled; the first
            `MAX_POINTS` are used.
        scores: Shape (m, n), finite.
        rng: Draws folds and refits.

    Returns:
        One record for each of the m cells.
    """
    points, scores = points[:MAX_POINTS], scores[:, :MAX_POINTS]
    n = len(points)
    if n < LEAST_POINTS:
        few = SurrogateShares(
            r_squared=None, shares=None, reason=f"a surrogate needs {LEAST_POINTS} points; there are {n}"
        )
        return (few,) * len(scores)
    predictions = cross_validated(points, scores, rng)
    quality = explained_variance(scores, predictions)
    good = np.nan_to_num(quality, nan=-1.0) >= LEAST_R_SQUARED
    found = iter(_shares_with_intervals(points, scores[good], (scores - predictions)[good], rng))
    return tuple(
        SurrogateShares(r_squared=float(r_squared), shares=next(found), reason=None)
        if is_good
        else _without_shares(float(r_squared))
        for r_squared, is_good in zip(quality, good, strict=True)
    )


def _without_shares(r_squared: float) -> SurrogateShares:
    if not np.isfinite(r_squared):
        return SurrogateShares(r_squared=None, shares=None, reason="the scores do not vary")
    reason = f"the surrogate's cross-validated R^2 is {r_squared:.2f}, below {LEAST_R_SQUARED}"
    return SurrogateShares(r_squared=r_squared, shares=None, reason=reason)


def _shares_with_intervals(
    points: NDArray[np.float64], scores: NDArray[np.float64], errors: NDArray[np.float64], rng: np.random.Generator
) -> list[VarianceShares]:
    """The shares of m cells, with percentile intervals over surrogates refitted to resampled errors."""
    if not len(scores):
        return []
    kernels = candidate_kernels(points, rng)
    fitted = fit_surrogates(points, scores, kernels)
    m, n = scores.shape
    drawn = rng.integers(0, n, size=(REFITS, m, n))
    noise = np.take_along_axis((errors - errors.mean(axis=1, keepdims=True))[None], drawn, axis=2)
    again = fit_surrogates(points, (fitted.predict(points) + noise).reshape(REFITS * m, n), kernels)
    estimate = sobol_shares(fitted)
    # A refit without any variance has no shares; it says nothing about them.
    refits = sobol_shares(again).reshape(2, REFITS, m, -1)
    low, high = np.nanquantile(refits, TAILS, axis=1)
    # The refits see the errors twice; the interval holds the estimate nonetheless.
    low, high = np.minimum(low, estimate), np.maximum(high, estimate)
    return [
        VarianceShares(
            first=estimate[0, cell],
            first_low=low[0, cell],
            first_high=high[0, cell],
            total=estimate[1, cell],
            total_low=low[1, cell],
            total_high=high[1, cell],
        )
        for cell in range(m)
    ]


def sobol_shares(surrogates: Surrogates) -> NDArray[np.float64]:
    """First-order and total shares of the surrogates' predictions under the uniform distribution on the cube.

    The kernel is a product over coordinates, so every conditional variance is a quadratic form in the weights whose
    matrix is a product of one-dimensional integrals: no sampling error.

    Source: Sobol' (1993); closed form for Gaussian processes as in Oakley and O'Hagan (2004), section 4.

    Returns:
        Shape (2, m, d): first-order, then total; NaN for predictions without variance.
    """
    m, d = len(surrogates.choice), surrogates.points.shape[1]
    shares = np.full((2, m, d), np.nan)
    for number in np.unique(surrogates.choice):
        cells = np.flatnonzero(surrogates.choice == number)
        weights = surrogates.weights[cells]
        means, products = _integrals(surrogates.points, surrogates.kernels[number].scales)
        mean = weights @ means.prod(axis=0)
        variance = _form(weights, products.prod(axis=0)) - mean**2
        there = variance > 1e-12 * np.maximum(1e-12, (weights**2).sum(axis=1))
        for j in range(d):
            others = np.arange(d) != j
            rest = means[others].prod(axis=0)
            alone = _form(weights, products[j] * np.outer(rest, rest)) - mean**2
            without = _form(weights, products[others].prod(axis=0) * np.outer(means[j], means[j])) - mean**2
            for kind, part in enumerate((alone, variance - without)):
                shares[kind, cells[there], j] = np.clip(part[there] / variance[there], 0.0, 1.0)
    return shares


def _integrals(
    points: NDArray[np.float64], scales: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each coordinate's correlation with the points, (d, n), and of its products in pairs, (d, n, n)."""
    nodes, node_weights = (_PLACES[:, None] + 1) / 2, _PLACE_WEIGHTS / 2
    along = [matern(nodes, points[:, j : j + 1], (scale,)) for j, scale in enumerate(scales)]
    means = np.stack([node_weights @ values for values in along])
    products = np.stack([values.T @ (node_weights[:, None] * values) for values in along])
    return means, products


def _form(weights: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    forms: NDArray[np.float64] = np.einsum("mi,mi->m", weights @ matrix, weights)
    return forms
