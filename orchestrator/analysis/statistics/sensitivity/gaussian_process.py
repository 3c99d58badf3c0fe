"""A smooth surrogate of the score over the unit cube, fitted to many cells at once because they share a design.

A Gaussian process whose kernel is a product of Matern kernels of smoothness 3/2, one length scale for each
hyper-parameter, chosen from a fixed set by marginal likelihood. (Smoother kernels ring at the edge beyond which
trials diverge.) With a shared design the kernels of all cells are the same, so that each is inverted only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.replicates import rounding_floor

LENGTH_SCALES = (0.15, 0.5, 1.5, 6.0)
"""From a cliff within the range to almost linear (6 times the range)."""
NOISE_RATIOS = (1e-4, 1e-2, 0.1)
"""Variance of the noise over that of the signal."""
MAX_SCALES = 64
"""Combinations of length scales that are tried; of more, some are drawn."""
FOLDS = 8
MAX_POINTS = 256
"""Points that a surrogate is fitted to: inverting more takes long and says little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One candidate: its length scales and noise, with what it makes of a design."""

    scales: tuple[float, ...]
    noise: float
    inverse: NDArray[np.float64]
    """Shape (n, n): inverse of the correlation matrix of the design with the noise on its diagonal."""
    log_determinant: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogates:
    """Fitted surrogates of m cells over one design."""

    points: NDArray[np.float64]
    """Shape (n, d)."""
    kernels: tuple[Kernel, ...]
    choice: NDArray[np.intp]
    """Shape (m,): the kernel of each cell."""
    offsets: NDArray[np.float64]
    """Shape (m,): its mean score."""
    weights: NDArray[np.float64]
    """Shape (m, n): the prediction is offset + sum of weight x correlation with each design point."""

    def predict(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (m, q): the expected score of each cell at `places` of shape (q, d)."""
        predictions = np.empty((len(self.choice), len(places)))
        for number in np.unique(self.choice):
            cells = self.choice == number
            across = matern(places, self.points, self.kernels[number].scales)
            predictions[cells] = self.offsets[cells, None] + self.weights[cells] @ across.T
        return predictions


def matern(first: NDArray[np.float64], second: NDArray[np.float64], scales: tuple[float, ...]) -> NDArray[np.float64]:
    """Shape (p, q): the correlation of points of shapes (p, d) and (q, d).

    The product over coordinates of (1 + t) exp(-t), where t is sqrt(3) times the distance over the length scale
    (Rasmussen and Williams 2006, equation 4.17).
    """
    distances = np.abs(first[:, None, :] - second[None, :, :]) * (np.sqrt(3.0) / np.asarray(scales))
    correlations: NDArray[np.float64] = ((1 + distances) * np.exp(-distances)).prod(axis=2)
    return correlations


def candidate_kernels(points: NDArray[np.float64], rng: np.random.Generator) -> tuple[Kernel, ...]:
    """Every combination of length scales and noise over a design.

    Args:
        points: Shape (n, d), in the unit cube.
        rng: Draws the combinations where there are more than `MAX_SCALES`; equal scales are always among them.
    """
    dimensions = points.shape[1]
    if len(LENGTH_SCALES) ** dimensions <= MAX_SCALES:
        combinations = list(product(LENGTH_SCALES, repeat=dimensions))
    else:
        drawn = rng.choice(LENGTH_SCALES, size=(MAX_SCALES - len(LENGTH_SCALES), dimensions))
        rows = [(scale,) * dimensions for scale in LENGTH_SCALES] + [tuple(map(float, row)) for row in drawn]
        combinations = list(dict.fromkeys(rows))
    kernels = []
    noises = np.array(NOISE_RATIOS)[:, None, None] * np.eye(len(points))
    for scales in combinations:
        matrices = matern(points, points, scales) + noises
        inverses, determinants = np.linalg.inv(matrices).astype(np.float64), np.linalg.slogdet(matrices)[1]
        kernels += [
            Kernel(scales=scales, noise=noise, inverse=inverse, log_determinant=float(determinant))
            for noise, inverse, determinant in zip(NOISE_RATIOS, inverses, determinants, strict=True)
        ]
    return tuple(kernels)


def fit_surrogates(
    points: NDArray[np.float64], scores: NDArray[np.float64], kernels: tuple[Kernel, ...]
) -> Surrogates:
    """The most likely of some kernels for each cell, with the variance of the signal profiled out.

    Source: Rasmussen and Williams (2006), "Gaussian Processes for Machine Learning", equations 2.25 and 5.8.

    Args:
        points: Shape (n, d), in the unit cube.
        scores: Shape (m, n), finite.
        kernels: Of `candidate_kernels` for these points.
    """
    offsets = scores.mean(axis=1)
    centred = scores - offsets[:, None]
    n = len(points)
    likelihoods = np.empty((len(kernels), len(scores)))
    for number, kernel in enumerate(kernels):
        squares = np.einsum("mi,mi->m", centred @ kernel.inverse, centred)
        # A cell of equal scores fits every kernel perfectly: any will do.
        likelihoods[number] = -0.5 * (n * np.log(np.maximum(squares, 1e-300) / n) + kernel.log_determinant)
    choice = likelihoods.argmax(axis=0)
    weights = np.empty_like(centred)
    for number in np.unique(choice):
        cells = choice == number
        weights[cells] = centred[cells] @ kernels[number].inverse
    return Surrogates(points=points, kernels=kernels, choice=choice, offsets=offsets, weights=weights)


def cross_validated(
    points: NDArray[np.float64], scores: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Shape (m, n): each score as predicted by a surrogate that was chosen and fitted without it.

    Args:
        points: Shape (n, d), n >= 4.
        scores: Shape (m, n), finite.
        rng: Draws the folds. (Every 8th point of a Sobol design would be a slab of the cube, not a sample.)
    """
    n = len(points)
    predictions = np.empty_like(scores)
    for fold in np.array_split(rng.permutation(n), min(FOLDS, n // 2)):
        rest = np.setdiff1d(np.arange(n), fold)
        fitted = fit_surrogates(points[rest], scores[:, rest], candidate_kernels(points[rest], rng))
        predictions[:, fold] = fitted.predict(points[fold])
    return predictions


def explained_variance(scores: NDArray[np.float64], predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (m,): R^2 of predictions, negative where the mean would do better; NaN for a cell of equal scores."""
    left = ((scores - predictions) ** 2).sum(axis=1)
    total = ((scores - scores.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    there = total > np.array([rounding_floor(cell) for cell in scores])
    shares: NDArray[np.float64] = np.where(there, 1 - left / np.where(there, total, 1.0), np.nan)
    return shares
