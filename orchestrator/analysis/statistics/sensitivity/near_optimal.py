"""How much of a search space is good enough, and how far from the default the nearest such setting lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.intervals import CONFIDENCE, exact_rates

BOUNDARY = 0.1
"""Share of a range at each end in which an optimum says that the range may be too narrow (Choi et al. 2019)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearOptimalVolume:
    """The share of a space with a regret of at most `epsilon`."""

    epsilon: float
    points: int
    """Points of the design with a score."""
    near: int
    """Of them, those with a regret of at most `epsilon`."""
    share: float
    low: float
    """Ends of the Clopper-Pearson interval, which is exact for random points and wider than need be for Sobol's."""
    high: float
    n95: int | None
    """Random trials that hit the volume with probability 0.95; None where no point of the design did."""
    n95_low: int
    """The same at the interval's upper end: the fewest trials that are compatible with the design."""
    n95_high: int | None
    """The same at its lower end; None where that is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpsOptimalDistance:
    """How far one must go from the default learning rate for a result within eps of the best one."""

    eps: float
    """In the unit of the scores."""
    optimum: float
    decades: float | None
    """|log10(nearest good rate / default rate)|: 0 if the default itself is within eps; None if no point is."""
    nearest_lr: float | None
    """The rate it was measured to."""
    default_is_optimal: bool | None
    """None where the default was not run: `decades` is then that of the nearest point of the design."""
    within: int
    """Points of the design within eps of the optimum."""
    n: int
    """Points of the design with a score."""


def near_optimal_volume(
    regrets: NDArray[np.float64], epsilon: float, *, confidence: float = CONFIDENCE
) -> NearOptimalVolume:
    """The near-optimal volume from the points of a design that is uniform in the space.

    Args:
        regrets: Shape (N,), finite, N >= 1; negative where a point beats the optimum it is compared with.
        epsilon: Regret that is good enough, in the same unit, not negative.
        confidence: Of the Clopper-Pearson interval.

    Raises:
        ValueError: There is no regret, or one is not finite.
    """
    if regrets.ndim != 1 or not regrets.size or not np.isfinite(regrets).all():
        raise ValueError("a volume needs at least one regret, all finite")
    near, points = int(is_near(regrets, epsilon).sum()), len(regrets)
    rates = exact_rates(np.array(near), np.array(points), confidence=confidence)
    low, high = float(rates.low), float(rates.high)
    most = trials_to_hit(high)
    assert most is not None, "the upper end is above 0"  # noqa: S101 - our own invariant
    return NearOptimalVolume(
        epsilon=epsilon,
        points=points,
        near=near,
        share=near / points,
        low=low,
        high=high,
        n95=trials_to_hit(near / points),
        n95_low=most,
        n95_high=trials_to_hit(low),
    )


def is_near(regrets: NDArray[np.float64], epsilon: float) -> NDArray[np.bool_]:
    """Which regrets are at most epsilon; scores are shares of a count, and equal ones must not hang on a bit."""
    near: NDArray[np.bool_] = regrets <= epsilon + 1e-9
    return near


def trials_to_hit(share: float, probability: float = 0.95) -> int | None:
    """Random trials needed to hit a volume at least once with some probability; None for an empty volume."""
    if share <= 0:
        return None
    if share >= 1:
        return 1
    return max(1, math.ceil(math.log1p(-probability) / math.log1p(-share) - 1e-9))


def eps_optimal_distance(
    lr: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    default_lr: float,
    default_score: float | None,
    eps: float,
    optimum: float | None = None,
) -> EpsOptimalDistance | None:
    """The distance from the default learning rate to the nearest setting within eps of the optimum, in decades.

    Args:
        lr: Shape (N,): learning rates of the design, positive.
        scores: Shape (N,): their scores, higher is better; NaN where a point has none.
        default_lr: The optimizer's default.
        default_score: Its score, None where it was not run.
        eps: What still counts as being at the optimum, in the unit of the scores.
        optimum: The best score there is to be had, from fresh seeds. Without it the best one of the design and the
            default is taken, which is too high where scores are noisy.

    Returns:
        None if no point has a score.

    Raises:
        ValueError: The vectors differ in shape, a learning rate is not positive, or eps is negative.
    """
    if lr.ndim != 1 or lr.shape != scores.shape:
        raise ValueError(f"lr and scores must be vectors of one length; got {lr.shape} and {scores.shape}")
    if bool((lr <= 0).any()) or default_lr <= 0 or eps < 0:
        raise ValueError("learning rates must be positive and eps at least 0")
    there = np.isfinite(scores)
    if not there.any():
        return None
    known = scores[there]
    best = (
        optimum
        if optimum is not None
        else max(float(known.max()), -math.inf if default_score is None else default_score)
    )
    good = lr[there][is_near(best - known, eps)]
    at_default = None if default_score is None else bool(is_near(np.array(best - default_score), eps))
    decades = np.abs(np.log10(good / default_lr))
    nearest = default_lr if at_default else float(good[int(decades.argmin())]) if good.size else None
    return EpsOptimalDistance(
        eps=eps,
        optimum=best,
        decades=None if nearest is None else abs(math.log10(nearest / default_lr)),
        nearest_lr=nearest,
        default_is_optimal=at_default,
        within=int(good.size),
        n=int(there.sum()),
    )


def at_boundary(coordinate: float, *, has_floor: bool = False) -> bool:
    """Whether an optimum lies so near an end of its range that a wider range might hold a better one.

    Args:
        coordinate: In [0, 1], on the scale of the search space.
        has_floor: Whether the lower end cannot be widened: a weight decay of exactly 0.
    """
    return coordinate > 1 - BOUNDARY or (coordinate < BOUNDARY and not has_floor)
