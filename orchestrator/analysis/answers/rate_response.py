"""How a cell's score depends on its learning rate, the other hyper-parameters tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.sensitivity.lr_response import (
    RateProfile,
    rate_profile,
    rate_slopes,
    rate_width,
    score_sensitivity,
)
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.design_points import Design

POINTS_PER_BIN = 4
"""Points that the best of a bin is picked from, on average. More blur the bins, fewer leave the others untuned."""
FEWEST_BINS, MOST_BINS = 8, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RateBin:
    """One bin of learning rates; scores in percentage points."""

    log10_lr: float
    """Of its best point."""
    best: float
    median: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateResponse:
    """Summary of the best score in bins of equal width in log learning rate."""

    bins: tuple[RateBin, ...]
    decades: float
    """Decades from the smallest to the largest rate tried: what `sensitivity` is relative to."""
    sensitivity: float | None
    """Mean over the bins of the best score of all minus that of the bin, none counting as less than chance; None, as
    `width`, where none is above it."""
    epsilon: float
    """Regret that counts as good enough for `width`, in percentage points."""
    width: float | None
    """Decades around the best rate with at most this regret; at least this where it is censored. Too narrow where the
    noise is as large as `epsilon`, by a quarter in a simulation of 32 points: the best is picked for its luck too."""
    width_low: float | None
    """log10 of the rates at its ends."""
    width_high: float | None
    censored: str | None
    """`low`, `high` or `both`: the ends at which the rates tried stop before the score gets worse."""
    left_slope: float | None
    """Points lost per decade towards smaller rates."""
    right_slope: float | None
    asymmetry: float | None
    """(right - left) / (right + left)."""

    @property
    def best_rate(self) -> float:
        """The learning rate of the best point."""
        return float(10 ** max(self.bins, key=lambda one: one.best).log10_lr)

    @property
    def good_rates(self) -> tuple[float, float] | None:
        """The lowest and the highest learning rate of the width; None without one."""
        if self.width_low is None or self.width_high is None:
            return None
        return float(10**self.width_low), float(10**self.width_high)


def rate_response(design: Design, key: CellKey, scores: Mapping[int, float], epsilon: float) -> RateResponse | None:
    """The response of one cell; None without two points that have a learning rate.

    Args:
        design: The sweep's design.
        key: The cell.
        scores: Percentage points by number of the point.
        epsilon: Regret that is good enough, in percentage points.
    """
    points = design.points[key]
    rated = [(number, rate) for number in scores if (rate := points[number].log_rate) is not None]
    if len(rated) < 2:
        return None
    rates = np.array([rate for _, rate in rated])
    if not rates.max() > rates.min():
        return None
    coordinates = [points[number].coordinates.get("lr") for number, _ in rated]
    positions = (rates - rates.min()) / (rates.max() - rates.min())
    if all(coordinate is not None for coordinate in coordinates):
        positions = np.array(coordinates, dtype=float)
    values = np.array([scores[number] for number, _ in rated])
    bins = min(MOST_BINS, max(FEWEST_BINS, len(rated) // POINTS_PER_BIN))
    profile = rate_profile(positions, rates, values, bins)
    return _summary(profile, rates, design.chance, epsilon)


def _summary(profile: RateProfile, rates: NDArray[np.float64], chance: float | None, epsilon: float) -> RateResponse:
    # Where chance is not known, no score counts as chance.
    floor = 0.0 if chance is None else chance
    width = rate_width(profile.log_rates, profile.best, epsilon, chance=floor)
    slopes = rate_slopes(profile.log_rates, profile.best)
    columns = (profile.log_rates, profile.best, profile.median, profile.points)
    return RateResponse(
        bins=tuple(
            RateBin(log10_lr=rate, best=best, median=median, n=n)
            for rate, best, median, n in zip(*(column.tolist() for column in columns), strict=True)
        ),
        decades=float(rates.max() - rates.min()),
        sensitivity=score_sensitivity(profile.best, floor),
        epsilon=epsilon,
        width=width.decades if width else None,
        width_low=width.low if width else None,
        width_high=width.high if width else None,
        censored=width.censored if width else None,
        left_slope=slopes.left,
        right_slope=slopes.right,
        asymmetry=slopes.asymmetry,
    )
