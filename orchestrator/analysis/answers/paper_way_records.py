"""What a sweep says by the paper's own statistics, and how each of them differs from its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.analysis.statistics.paper_way import Eq1Variant, TrimmedSummary

SUMMARY_DIFFERS = (
    "The paper's caption says that the worst result is removed; its printed mean and standard deviation are those "
    "without the worst and the two best (17 of 20), in 19 and 18 of its 20 rows.",
    "The standard deviation has divisor n, not n - 1; the range drops the worst alone.",
    "Of other numbers of optimizers the same shares are dropped, 1/20 at the bottom and 2/20 at the top, rounded and "
    "at least one each.",
    "Spread over optimizers mixes their general quality with coupling; `coupling.ecovalence` keeps them apart.",
)
EQ1_DIFFERS: Mapping[Eq1Variant, str] = {
    Eq1Variant.LITERAL: "As printed. On the paper's own table it flags 258 cells of 400, where 50 are shaded.",
    Eq1Variant.WIDER: "The minimum is read as a maximum. On the paper's table it flags 136 cells; 50 are shaded.",
    Eq1Variant.MEDIAN: "Not in the paper: below the median by gamma. On its table it flags 42 cells, all of them "
    "shaded, and misses 8.",
    Eq1Variant.MEDIAN_NARROWER: "Not in the paper: the median in place of the maximum. On its table it flags 54 "
    "cells and differs from the shading in 10.",
    Eq1Variant.QUARTILE_WIDER: "Not in the paper: the upper quartile in place of the maximum, and a maximum in place "
    "of the minimum. On its table it flags 54 cells and differs from the shading in 10.",
}
RANKING_DIFFERS = (
    "0.4 performance + 0.2 hyper-parameter + 0.2 BOCB + 0.2 computation on ranks as they are; lower is better. On "
    "the columns of the paper's Table 4 it gives all 20 printed ranks; three pairs have equal scores, for which "
    "the paper gives no rule.",
    "Performance: rank of the mean over all backbones. The paper does not say how its column was made; this agrees "
    "with it to a rank correlation of 0.97. An optimizer without a result in every row is not ranked.",
    "Hyper-parameter: rank, without gaps, of the mean distance to the mode in places of the optimizer's own list of "
    "tuned values. On the paper's tuned settings it agrees with its column to a rank correlation of 0.87.",
    "BOCB: 1 where the median reading of Eq. (1) flags the optimizer on any backbone. From the paper's shaded cells "
    "that rule gives its column in 19 of 20 rows (AdaBelief has none and is given a 1).",
    "Computation: rank of the mean training time, each backbone's relative to its mean over optimizers. The paper's "
    "caption says hours, its appendix memory, and its column has only 6 ranks.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSummary:
    """One row as the paper's Table 1 summarises it."""

    backbone: str
    recipe: str
    summary: TrimmedSummary | None
    """In points; None with too few results."""
    why_none: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaggedCell:
    """A cell that one reading of Eq. (1) calls a failure."""

    backbone: str
    recipe: str
    optimizer: str
    score: float
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFailures:
    """One reading of Eq. (1)."""

    variant: Eq1Variant
    gamma: float
    """In points."""
    count: int
    cells: int
    """Cells with a result."""
    flagged: tuple[FlaggedCell, ...]
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRank:
    """One optimizer in the paper's ranking; None where something needed is missing."""

    optimizer: str
    performance_rank: float | None
    hyperparameter_rank: float | None
    bocb: int
    computation_rank: float | None
    score: float | None
    overall_rank: int | None
    """Among the optimizers that have all four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperWay:
    """What `bocb analyze --method paper` says."""

    response: str
    gamma_source: str
    summary: tuple[PaperSummary, ...]
    summary_differs: tuple[str, ...]
    failures: tuple[PaperFailures, ...]
    ranking: tuple[PaperRank, ...]
    ranking_differs: tuple[str, ...]
    ranking_missing: tuple[str, ...]
    """Why columns of the ranking are empty."""
