"""The statistics of the BOCB paper as its tables show them, so that they can be compared with ours.

Paper: Li et al., "Unveiling the Backbone-Optimizer Coupling Bias in Visual Representation Learning", arXiv 2410.06373
v1. What its text describes and what its tables hold are not the same: every function here computes what the tables
hold, or a named reading of the text, and says which. None of these is a statistic to rest a claim on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

PAPER_COLUMNS = 20
"""Optimizers behind each row of the paper's Table 1."""
LEAST_KEPT = 3
"""Results that must be left after trimming: the spread of fewer says nothing."""


class TrimRule(StrEnum):
    """How many results are dropped from a row that has not the paper's twenty."""

    SHARE = "share"
    """The paper's shares, 1/20 at the bottom and 2/20 at the top, rounded to whole results and at least one."""
    COUNT = "count"
    """The paper's numbers: one at the bottom and two at the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimmedSummary:
    """One row of results as the two bottom rows of the paper's Table 1 summarise it, in the unit of the results."""

    mean: float
    """Of the kept results."""
    std: float
    """Standard deviation of the kept results with divisor n."""
    range: float
    """Highest result minus the lowest one that is left when only the bottom is trimmed."""
    n: int
    """Results there were."""
    dropped_worst: int
    dropped_best: int


class Eq1Variant(StrEnum):
    """Readings of the paper's Eq. (1): a result fails if it lies below a threshold made from its row.

    Q75 is the 75 % quantile of the row (linear interpolation between order statistics), IQR = Q75 - Q25.
    """

    LITERAL = "literal"
    """max - min(IQR, gamma): the equation as printed."""
    WIDER = "max"
    """max - max(IQR, gamma): with the minimum taken for a slip."""
    MEDIAN = "median"
    """median - gamma."""
    MEDIAN_NARROWER = "median_min"
    """median - min(IQR, gamma)."""
    QUARTILE_WIDER = "q75_max"
    """Q75 - max(IQR, gamma)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eq1Failures:
    """Which results one reading of Eq. (1) calls failures."""

    variant: Eq1Variant
    gamma: float
    """In the unit of the results."""
    thresholds: tuple[float | None, ...]
    """One for each row; None for a row without results."""
    flagged: NDArray[np.bool_]
    """Shape (a, b); False where there is no result."""

    @property
    def count(self) -> int:
        """Results that are called failures."""
        return int(self.flagged.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallRanking:
    """The paper's Table 4: its four columns in one."""

    score: tuple[float, ...]
    """0.4 performance + 0.2 hyper-parameter + 0.2 BOCB + 0.2 computation; lower is better."""
    rank: tuple[int, ...]
    """1 is best; equal scores are told apart as `overall_ranking` says, and share the rank where that ties too."""


def trims(n: int, rule: TrimRule = TrimRule.SHARE) -> tuple[int, int]:
    """How many of n results are dropped at the bottom and at the top; (1, 2) of twenty under either rule.

    Raises:
        ValueError: Fewer than `LEAST_KEPT` results would be left.
    """
    worst, best = 1, 2
    if rule is TrimRule.SHARE:
        # Halves are rounded up: Python rounds them to even numbers.
        worst = max(1, math.floor(n / PAPER_COLUMNS + 0.5))
        best = max(1, math.floor(2 * n / PAPER_COLUMNS + 0.5))
    if n - worst - best < LEAST_KEPT:
        raise ValueError(
            f"the paper's trimmed summary drops {worst} at the bottom and {best} at the top of {n} results, and at "
            f"least {LEAST_KEPT} must be left"
        )
    return worst, best


def trimmed_summary(results: NDArray[np.float64], rule: TrimRule = TrimRule.SHARE) -> TrimmedSummary:
    """Mean, standard deviation and range of one backbone's results as the paper prints them.

    The caption says "removing the worst result". The printed numbers are those of 17 of 20 results, without the worst
    and the two best, for the mean (19 of 20 rows of Table 1) and for the standard deviation (18 of 20, divisor n);
    only the range drops the worst alone.

    Args:
        results: Shape (b,): one for each optimizer, higher is better; NaN is left out.
        rule: What to drop where there are not twenty results.

    Raises:
        ValueError: Not a vector, or too few results.
    """
    if results.ndim != 1:
        raise ValueError(f"results of one row must be a vector; got shape {results.shape}")
    ordered = np.sort(results[np.isfinite(results)])
    worst, best = trims(ordered.size, rule)
    kept = ordered[worst : ordered.size - best]
    return TrimmedSummary(
        mean=float(kept.mean()),
        std=float(kept.std()),
        range=float(ordered[-1] - ordered[worst]),
        n=ordered.size,
        dropped_worst=worst,
        dropped_best=best,
    )


def eq1_failures(results: NDArray[np.float64], gamma: float, variant: Eq1Variant) -> Eq1Failures:
    """The cells that fail by one reading of the paper's Eq. (1).

    The paper sets gamma to 3 points on CIFAR-100, detection and pose and to 1 on ImageNet. The printed equation flags
    258 of the 400 cells of Table 1, where 50 are shaded; no reading gives exactly those 50.

    Args:
        results: Shape (a, b), higher is better; NaN where there is none.
        gamma: In the unit of the results.
        variant: Which reading.

    Raises:
        ValueError: Not a table, or gamma is not positive.
    """
    if results.ndim != 2:
        raise ValueError(f"results must have shape (backbones, optimizers); got {results.shape}")
    if not (math.isfinite(gamma) and gamma > 0):
        raise ValueError(f"gamma must be positive and finite; got {gamma}")
    thresholds = tuple(_threshold(row[np.isfinite(row)], gamma, variant) for row in results)
    limits = np.array([-np.inf if limit is None else limit for limit in thresholds]).reshape(-1, 1)
    # NaN is below nothing.
    return Eq1Failures(variant=variant, gamma=gamma, thresholds=thresholds, flagged=results < limits)


def _threshold(row: NDArray[np.float64], gamma: float, variant: Eq1Variant) -> float | None:
    if not row.size:
        return None
    lower, median, upper = (float(value) for value in np.quantile(row, (0.25, 0.5, 0.75)))
    spread = upper - lower
    match variant:
        case Eq1Variant.LITERAL:
            return float(row.max()) - min(spread, gamma)
        case Eq1Variant.WIDER:
            return float(row.max()) - max(spread, gamma)
        case Eq1Variant.MEDIAN:
            return median - gamma
        case Eq1Variant.MEDIAN_NARROWER:
            return median - min(spread, gamma)
        case Eq1Variant.QUARTILE_WIDER:
            return upper - max(spread, gamma)


def overall_ranking(
    performance: NDArray[np.float64],
    hyperparameter: NDArray[np.float64],
    bocb: NDArray[np.float64],
    computation: NDArray[np.float64],
) -> OverallRanking:
    """The paper's ranking of optimizers from the four columns of its Table 4 (its section C.5).

    The columns enter as they are printed: `performance` runs from 1 to 20 and `bocb` is 0 or 1, so the weights 0.4
    and 0.2 are not the shares of the columns in the outcome.

    The paper gives no rule for equal scores, of which its table has three pairs. Here the lower sum of performance
    and hyper-parameter part comes first, then the optimizer without the bias: so all 20 printed ranks come out.

    Args:
        performance: Shape (b,): rank of the accuracy, 1 is best.
        hyperparameter: Shape (b,): rank of the hyper-parameter distance.
        bocb: Shape (b,): 1 where the optimizer shows the bias, else 0.
        computation: Shape (b,): rank of the cost.

    Raises:
        ValueError: The columns differ in length, or hold NaN.
    """
    columns = (performance, hyperparameter, bocb, computation)
    if any(column.ndim != 1 or column.shape != performance.shape for column in columns):
        raise ValueError("the four columns must be vectors of one length")
    if not all(bool(np.isfinite(column).all()) for column in columns):
        raise ValueError("every optimizer needs all four columns to be ranked")
    # Fifths are exact in whole and half ranks; sums of 0.4 and 0.2 would tell equal scores apart in the last bit.
    merit = 2 * performance + hyperparameter
    fifths = merit + bocb + computation
    order = list(zip(fifths.tolist(), merit.tolist(), bocb.tolist(), strict=True))
    return OverallRanking(
        score=tuple((fifths / 5).tolist()), rank=tuple(1 + sum(other < own for other in order) for own in order)
    )
