"""A sweep by the paper's own statistics, each beside a sentence on how it differs from its description."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from orchestrator.analysis.statistics.paper_way import (
    Eq1Variant,
    TrimmedSummary,
    eq1_failures,
    overall_ranking,
    trimmed_summary,
)
from orchestrator.analysis.statistics.robustness.hp_distance import Ties, hp_distances, own_list_steps
from orchestrator.analysis.trials.score_table import ROLE_OF, ScoreTable, ScoreTables
from orchestrator.analysis.trials.tuned_settings import setting_table
from orchestrator.store.schema import TrialRow

GAMMAS: Mapping[str, float] = {"imagenet": 1.0}
USUAL_GAMMA = 3.0
"""The paper's gamma on CIFAR-100, detection and pose, in points; taken for every data set not in `GAMMAS`."""

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


def paper_way(trials: Sequence[TrialRow], tables: ScoreTables) -> PaperWay | None:
    """The paper's summary, failures and ranking of the headline response; None while there is none.

    Args:
        trials: Those of one sweep that ended.
        tables: Their responses.
    """
    table = tables.headline
    if table is None:
        return None
    dataset = Counter(trial.dataset for trial in trials).most_common(1)[0][0]
    gamma = GAMMAS.get(dataset, USUAL_GAMMA)
    failures = tuple(_failures(table, gamma, variant) for variant in Eq1Variant)
    ranking, missing = _ranking(trials, table, gamma)
    return PaperWay(
        response=table.response,
        gamma_source=f"{gamma:g} points: the paper has 1 on ImageNet and 3 elsewhere; the data set is {dataset}",
        summary=tuple(_summary(table, row) for row in range(len(table.rows))),
        summary_differs=SUMMARY_DIFFERS,
        failures=failures,
        ranking=ranking,
        ranking_differs=RANKING_DIFFERS,
        ranking_missing=missing,
    )


def _summary(table: ScoreTable, row: int) -> PaperSummary:
    key = table.rows[row]
    summary, why = None, None
    try:
        summary = trimmed_summary(table.means[row])
    except ValueError as error:
        why = str(error)
    return PaperSummary(backbone=key.backbone, recipe=key.recipe, summary=summary, why_none=why)


def _failures(table: ScoreTable, gamma: float, variant: Eq1Variant) -> PaperFailures:
    means = table.means
    found = eq1_failures(means, gamma, variant)
    flagged = [
        FlaggedCell(
            backbone=table.rows[row].backbone,
            recipe=table.rows[row].recipe,
            optimizer=table.optimizers[column],
            score=float(means[row, column]),
            threshold=threshold,
        )
        for row, column in np.argwhere(found.flagged).tolist()
        if (threshold := found.thresholds[row]) is not None  # nothing is flagged without one
    ]
    return PaperFailures(
        variant=variant,
        gamma=gamma,
        count=found.count,
        cells=int(np.isfinite(means).sum()),
        flagged=tuple(flagged),
        differs=EQ1_DIFFERS[variant],
    )


def _ranking(
    trials: Sequence[TrialRow], table: ScoreTable, gamma: float
) -> tuple[tuple[PaperRank, ...], tuple[str, ...]]:
    bocb = eq1_failures(table.means, gamma, Eq1Variant.MEDIAN).flagged.any(axis=0).astype(np.float64)
    performance = _ranks(-table.means.mean(axis=0), "min")
    distance, cost = _distances(trials, table), _costs(trials, table)
    columns = np.stack([performance, _ranks(distance, "dense"), bocb, _ranks(cost, "dense")])
    ranked = np.isfinite(columns).all(axis=0)
    overall = overall_ranking(*columns[:, ranked])
    places = dict(zip(np.flatnonzero(ranked).tolist(), zip(overall.score, overall.rank, strict=True), strict=True))
    entries = []
    for index, name in enumerate(table.optimizers):
        first, second, flag, third = (None if np.isnan(value) else float(value) for value in columns[:, index])
        score, rank = places.get(index, (None, None))
        entries.append(
            PaperRank(
                optimizer=name, performance_rank=first, hyperparameter_rank=second, bocb=int(flag or 0),
                computation_rank=third, score=score, overall_rank=rank,
            )
        )  # fmt: skip
    named = {
        "performance: no optimizer has a result in every row": performance,
        "hyper-parameter: no optimizer has tuned settings on two backbones": distance,
        "computation: no optimizer has training times in every row, on one kind of device": cost,
    }
    return tuple(entries), tuple(why for why, values in named.items() if not np.isfinite(values).any())


def _ranks(values: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    """1 for the smallest; NaN stays NaN."""
    there = np.isfinite(values)
    ranks = np.full(values.shape, np.nan)
    ranks[there] = rankdata(values[there], method=method)
    return ranks


def _distances(trials: Sequence[TrialRow], table: ScoreTable) -> NDArray[np.float64]:
    """Shape (b,): mean distance of each optimizer's tuned settings to their mode, in places of its own list."""
    settings = setting_table(trials)
    steps = own_list_steps(settings.lr), own_list_steps(settings.weight_decay)
    # The lowest of equally common values, as a histogram's first highest bar: nearest to what the paper describes.
    found = dict(zip(settings.optimizers, hp_distances(*steps, Ties.LOWEST).optimizers, strict=True))
    return np.array([np.nan if (one := found[name]) is None else one.mean_ordinal for name in table.optimizers])


def _costs(trials: Sequence[TrialRow], table: ScoreTable) -> NDArray[np.float64]:
    """Shape (b,): mean training time over rows, each row's relative to its mean; NaN without a whole column."""
    role = ROLE_OF[table.response]
    timed = [t for t in trials if t.role == role and t.state == "COMPLETE" and (t.train_seconds or 0.0) > 0]
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for trial in timed:
        seconds[trial.backbone, trial.recipe, trial.optimizer].append(trial.train_seconds or 0.0)
    if len({trial.device for trial in timed}) > 1:
        return np.full(len(table.optimizers), np.nan)
    times = np.array(
        [
            [np.mean(seconds.get((row.backbone, row.recipe, name), [np.nan])) for name in table.optimizers]
            for row in table.rows
        ]
    )
    whole = np.isfinite(times).all(axis=0)
    relative = np.full(times.shape[1], np.nan)
    if whole.any():
        relative[whole] = (times[:, whole] / times[:, whole].mean(axis=1, keepdims=True)).mean(axis=0)
    return relative
