"""The score that n random trials lead one to expect, from trials that were drawn without regard to each other.

Only for random or quasi-random designs. From trials that a sampler placed, the same formulas are several times too
good, because each trial knows the ones before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from opda.nonparametric import EmpiricalDistribution

BAND_LIMIT = 64
"""Trials up to which a band is calibrated by simulation; beyond, the Kolmogorov-Smirnov band is exact as well and as
tight in the middle, and takes no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CdfBand:
    """A simultaneous band for a distribution function, which depends on the number of trials alone."""

    confidence: float
    lower: NDArray[np.float64]
    """Shape (B + 1,): the least the distribution function can be where j = 0..B trials lie at or below."""
    upper: NDArray[np.float64]
    """Shape (B + 1,): the most it can be there."""

    @property
    def size(self) -> int:
        """B, the number of trials."""
        return len(self.lower) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningCurve:
    """Expected and median best of n trials, in the unit of the scores, with the band's ends."""

    budgets: tuple[int, ...]
    mean: NDArray[np.float64]
    """The unbiased estimate; see `expected_best`."""
    mean_low: NDArray[np.float64]
    mean_high: NDArray[np.float64]
    median: NDArray[np.float64]
    median_low: NDArray[np.float64]
    median_high: NDArray[np.float64]
    flagged: tuple[bool, ...]
    """True beyond half the trials, where the unbiased estimate rests on few of them and varies most."""


def expected_best(scores: NDArray[np.float64], budgets: Sequence[int]) -> NDArray[np.float64]:
    """The mean of the best over all subsets of n trials: unbiased for the expected best of n, ties or not.

    Source: the U-statistic of Tang et al. (2020), "Showing Your Work Doesn't Always Work", section 3.

    Args:
        scores: Shape (..., B), finite; higher is better.
        budgets: Values of n, from 1 to B.

    Returns:
        Shape (..., len(budgets)).

    Raises:
        ValueError: A budget lies outside 1..B, or a score is not finite.
    """
    size = _checked_size(scores, budgets)
    n = np.asarray(budgets, dtype=float)[:, None]
    j = np.arange(2, size + 1)
    # C(j-1, n-1) / C(B, n), from the largest order statistic (n / B) downwards: no large number occurs.
    steps = np.clip((j - n) / (j - 1), 0.0, None)[:, ::-1]
    shares = np.cumprod(np.concatenate([n / size, steps], axis=1), axis=1)[:, ::-1]
    means: NDArray[np.float64] = np.sort(scores, axis=-1) @ shares.T
    return means


def cdf_band(size: int, confidence: float, rng: np.random.Generator) -> CdfBand:
    """The band for any `size` independent trials of a continuous score.

    With ties it covers at least as often: break them at random by less than any gap, and the band of the broken ones
    is exact and lies inside.

    Source: equal-tailed Learned-Miller-DeStefano band as in Lourie, Cho and He (2024), from opda.

    Args:
        size: Number of trials, at least 1.
        confidence: Probability that the whole distribution function lies inside.
        rng: Draws the samples that calibrate the band.

    Raises:
        ValueError: The size or the confidence is impossible.
    """
    if size < 1 or not 0 < confidence < 1:
        raise ValueError(f"a band needs a trial and a confidence between 0 and 1; got {size} and {confidence}")
    method = "ld_equal_tailed" if size <= BAND_LIMIT else "ks"
    # A band depends on ranks alone; one process, because a pool takes longer to start than the work.
    low, _, high = EmpiricalDistribution.confidence_bands(
        np.arange(1.0, size + 1), confidence, a=0.0, b=size + 1.0, generator=rng, method=method, n_jobs=1
    )
    between = np.arange(size + 1) + 0.5
    return CdfBand(confidence=confidence, lower=np.asarray(low.cdf(between)), upper=np.asarray(high.cdf(between)))


def tuning_curve(
    scores: NDArray[np.float64], band: CdfBand, *, support: tuple[float, float] = (0.0, 100.0)
) -> TuningCurve:
    """The tuning curve at n = 1..B with its simultaneous band.

    Every distribution inside the band gives a curve between `low` and `high`, so these hold for all n at once.

    Args:
        scores: Shape (B,), finite.
        band: For B trials.
        support: The least and the most that a score can be; a mean has no band without it.

    Raises:
        ValueError: The band is for another number of trials, or a score lies outside the support.
    """
    budgets = tuple(range(1, len(scores) + 1))
    mean = expected_best(scores, budgets)
    low, high = support
    if band.size != len(scores) or scores.min() < low or scores.max() > high:
        raise ValueError(
            f"{len(scores)} scores from {scores.min()} to {scores.max()} do not fit a band of {band.size} trials "
            f"with scores from {low} to {high}"
        )
    n = np.arange(1.0, len(scores) + 1)[:, None]
    ordered = np.sort(scores)
    pessimistic, optimistic = np.append(low, ordered), np.append(ordered, high)
    most, least = band.upper**n, np.concatenate([band.lower[1:], [1.0]]) ** n
    middle = (np.arange(1, len(scores) + 1) / len(scores)) ** n
    return TuningCurve(
        budgets=budgets,
        mean=mean,
        mean_low=np.diff(most, prepend=0.0, axis=1) @ pessimistic,
        mean_high=np.diff(least, prepend=0.0, axis=1) @ optimistic,
        median=ordered[_reaches_half(middle)],
        median_low=pessimistic[_reaches_half(most)],
        median_high=optimistic[_reaches_half(least)],
        flagged=tuple(2 * budget > len(scores) for budget in budgets),
    )


def _reaches_half(cumulative: NDArray[np.float64]) -> NDArray[np.intp]:
    """Index of the median of each row's distribution; the last value is 1 up to rounding."""
    places: NDArray[np.intp] = np.argmax(cumulative >= 0.5 - 1e-12, axis=1)
    return places


def _checked_size(scores: NDArray[np.float64], budgets: Sequence[int]) -> int:
    size = scores.shape[-1] if scores.ndim else 0
    if not budgets or min(budgets) < 1 or max(budgets) > size:
        raise ValueError(f"{size} trials say nothing about the best of {list(budgets)}; n must lie in 1..{size}")
    if not np.isfinite(scores).all():
        raise ValueError("a tuning curve needs finite scores; a diverged trial counts at chance")
    return size
