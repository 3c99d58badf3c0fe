"""A mean with its uncertainty: pure functions on arrays, which every reported number goes through."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

CONFIDENCE = 0.95
"""Level of every interval on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean of accuracies, as fractions, with how far it can be trusted.

    `sd` (divisor n - 1), `low` and `high` are None for a single value: one value says nothing about spread. Equal
    values have an `sd` of 0 and no interval.
    """

    mean: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None


def mean_interval(values: Sequence[float]) -> Estimate:
    """The mean of accuracies with Student's t interval at `CONFIDENCE`, cut to [0, 1].

    Args:
        values: At least one finite fraction; independent repetitions of one thing.
    """
    assert values, "a mean needs at least one value"  # noqa: S101 - our own invariant
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Estimate(mean=mean, n=1)
    sd = statistics.stdev(values)
    if sd == 0:
        # Equal counts of right answers on one data set: an interval of no width would claim certainty.
        return Estimate(mean=mean, n=n, sd=0.0)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * sd / math.sqrt(n)
    return Estimate(mean=mean, n=n, sd=sd, low=max(0.0, mean - half), high=min(1.0, mean + half))
