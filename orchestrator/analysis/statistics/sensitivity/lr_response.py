"""How the score depends on the learning rate alone: sensitivity, width of the good range, slopes of its sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.replicates import is_constant
from orchestrator.analysis.statistics.sensitivity.near_optimal import is_near

Censoring = Literal["low", "high", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateProfile:
    """Best score in each of some bins of equal width on the scale of the learning rate, empty bins left out.

    In a design that moves the other hyper-parameters too, the best score of a bin is what the rate can reach with
    the others tuned (by as many random trials as the bin has points); the scores at a rate are not otherwise
    comparable. With one point per bin it is the response itself.
    """

    log_rates: NDArray[np.float64]
    """Shape (k,): log10 of the learning rate of each bin's best point, ascending."""
    best: NDArray[np.float64]
    """Shape (k,): the score there."""
    median: NDArray[np.float64]
    """Shape (k,): median score of the bin's points: the others left to chance."""
    points: NDArray[np.int64]
    """Shape (k,): points in the bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateWidth:
    """The contiguous range of learning rates around the optimum with a regret of at most epsilon."""

    decades: float
    """Its width; where it is censored, at least this."""
    low: float
    """log10 of its ends."""
    high: float
    censored: Censoring | None
    """The ends at which the range that was searched stops before the regret exceeds epsilon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSlopes:
    """Regret per decade of learning rate on each side of the optimum, in the unit of the scores."""

    left: float | None
    """Towards smaller rates; None where the optimum is the smallest rate."""
    right: float | None
    asymmetry: float | None
    """(right - left) / (right + left): 1 where only too large a rate hurts, -1 where only too small a one does."""


def loss_sensitivity(losses: NDArray[np.float64], initial_loss: float) -> float | None:
    """Mean excess over the best loss, each loss capped at the one at initialisation.

    Source: LR sensitivity of Wortsman et al. (2023), arXiv 2309.14322, section 2.2: equal weight on each rate of a
    grid that is even in log rate; a run that diverged (NaN or infinite) has the initial loss.

    Args:
        losses: Shape (k,), one per learning rate.
        initial_loss: Loss at initialisation.

    Returns:
        In the unit of the loss; None where no rate does better than at initialisation: what learnt nothing anywhere
        is not insensitive.
    """
    capped = np.minimum(np.where(np.isfinite(losses), losses, np.inf), initial_loss)
    if not (capped < initial_loss).any():
        return None
    return float((capped - capped.min()).mean())


def score_sensitivity(scores: NDArray[np.float64], chance: float) -> float | None:
    """`loss_sensitivity` for accuracies: the mean shortfall from the best, no score counting as less than chance."""
    return loss_sensitivity(-scores, -chance)


def rate_profile(
    positions: NDArray[np.float64], log_rates: NDArray[np.float64], scores: NDArray[np.float64], bins: int
) -> RateProfile:
    """The profile over bins of equal width.

    Args:
        positions: Shape (N,): where in its range each rate lies, in [0, 1], on the scale of the search space.
        log_rates: Shape (N,): log10 of the learning rates.
        scores: Shape (N,), finite.
        bins: How many.
    """
    bin_of = np.minimum((positions * bins).astype(int), bins - 1)
    used = np.unique(bin_of)
    members = [np.flatnonzero(bin_of == number) for number in used]
    best = np.array([found[scores[found].argmax()] for found in members], dtype=int)
    return RateProfile(
        log_rates=log_rates[best],
        best=scores[best],
        median=np.array([np.median(scores[found]) for found in members]),
        points=np.array([len(found) for found in members], dtype=np.int64),
    )


def rate_width(
    log_rates: NDArray[np.float64], scores: NDArray[np.float64], epsilon: float, *, chance: float = -np.inf
) -> RateWidth | None:
    """Decades of learning rate around the best one with a regret of at most epsilon.

    Where the regret crosses epsilon is interpolated linearly in log10 rate. Of equal optima the smallest rate counts.

    Args:
        log_rates: Shape (k,): log10, ascending.
        scores: Shape (k,), finite.
        epsilon: Regret that is good enough, in the unit of the scores.
        chance: Score of what has learnt nothing.

    Returns:
        None for fewer than two rates, which have no width, and where none scores above chance.
    """
    if len(log_rates) < 2 or scores.max() <= chance:
        return None
    regrets = scores.max() - scores
    best = int(scores.argmax())
    high = _crossing(log_rates[best:], regrets[best:], epsilon)
    low = _crossing(log_rates[best::-1], regrets[best::-1], epsilon)
    left, right = (float(log_rates[0]) if low is None else low), (float(log_rates[-1]) if high is None else high)
    censored: Censoring | None = None
    if low is None or high is None:
        censored = "high" if low is not None else "low" if high is not None else "both"
    return RateWidth(decades=right - left, low=left, high=right, censored=censored)


def rate_slopes(log_rates: NDArray[np.float64], scores: NDArray[np.float64]) -> RateSlopes:
    """Least-squares slopes of the regret against the distance from the best rate, through the optimum.

    Args:
        log_rates: Shape (k,): log10, ascending.
        scores: Shape (k,), finite.

    Returns:
        A side without a rate has no slope, and neither side has one where all scores are equal.
    """
    if is_constant(scores):
        return RateSlopes(left=None, right=None, asymmetry=None)
    best = int(scores.argmax())
    distance, regrets = np.abs(log_rates - log_rates[best]), scores.max() - scores
    left = _slope(distance[:best], regrets[:best])
    right = _slope(distance[best + 1 :], regrets[best + 1 :])
    total = None if left is None or right is None else left + right
    asymmetry = (right - left) / total if left is not None and right is not None and total else None
    return RateSlopes(left=left, right=right, asymmetry=asymmetry)


def _crossing(log_rates: NDArray[np.float64], regrets: NDArray[np.float64], epsilon: float) -> float | None:
    """Where the regret first exceeds epsilon on the way from the optimum; None where it never does."""
    over = np.flatnonzero(~is_near(regrets, epsilon))
    if not over.size:
        return None
    after = int(over[0])
    before = after - 1
    share = max(0.0, epsilon - regrets[before]) / (regrets[after] - regrets[before])
    return float(log_rates[before] + share * (log_rates[after] - log_rates[before]))


def _slope(distance: NDArray[np.float64], regrets: NDArray[np.float64]) -> float | None:
    squares = float(distance @ distance)
    return float(distance @ regrets) / squares if squares > 0 else None
