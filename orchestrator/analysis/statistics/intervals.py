"""How sure a number is: intervals of means and of rates, at one level for the whole page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from orchestrator.analysis.statistics.replicates import is_constant

CONFIDENCE = 0.95
"""Level of every interval on the page, two-sided."""
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""Probabilities below the ends of such an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Ends of a confidence interval, as they come out: an end below 0 stays below 0."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with how far it can be trusted, in the unit of its values.

    `sd` (divisor n - 1), `low` and `high` are None for a single value: one value says nothing about spread. Equal
    values have an `sd` of 0 and no interval: one of no width would claim certainty.
    """

    mean: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactRates:
    """Shares of events with Clopper-Pearson intervals, as fractions; NaN where there were no trials."""

    rate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def student_half_width(standard_error: float, df: int) -> float:
    """Half the width of Student's t interval at `CONFIDENCE`, in the unit of the standard error."""
    return float(stdtrit(df, TAILS[1])) * standard_error


def mean_interval(values: Sequence[float], *, support: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """The mean with Student's t interval at `CONFIDENCE`.

    Args:
        values: At least one, finite; independent repetitions of one thing.
        support: The least and the most that a mean can be: 0 and 1 for accuracies as fractions. The interval is cut
            to it.
    """
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return Estimate(mean=mean, n=1)
    if is_constant(np.asarray(values)):
        return Estimate(mean=mean, n=n, sd=0.0)
    sd = statistics.stdev(values)
    half = student_half_width(sd / math.sqrt(n), n - 1)
    return Estimate(mean=mean, n=n, sd=sd, low=max(support[0], mean - half), high=min(support[1], mean + half))


def exact_rates(
    events: NDArray[np.int64], trials: NDArray[np.int64], *, confidence: float = CONFIDENCE
) -> ExactRates:
    """Rates with Clopper-Pearson intervals (Clopper and Pearson 1934): never too short, whatever the rate.

    Args:
        events: Of any shape.
        trials: Of the same shape.
        confidence: Level of the two-sided interval.

    Raises:
        ValueError: The shapes differ, or there are more events than trials or fewer than none.
    """
    if np.shape(events) != np.shape(trials) or np.any(np.asarray(events) > trials) or np.any(np.asarray(events) < 0):
        raise ValueError("events and trials need one shape, and events lie between 0 and trials")
    k, n = np.asarray(events, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    tail = (1 - confidence) / 2
    # The beta quantiles need positive parameters: the ends 0 and 1 are exact where an event count is at its end.
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    rate, low, high = (np.where(n > 0, values, np.nan) for values in (k / np.maximum(n, 1), low, high))
    return ExactRates(rate=rate, low=low, high=high)
