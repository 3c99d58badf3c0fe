"""A sweep by the paper's own statistics, each beside a sentence on how it differs from its description."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from orchestrator.analysis.answers.paper_way_records import (
    EQ1_DIFFERS,
    RANKING_DIFFERS,
    SUMMARY_DIFFERS,
    FlaggedCell,
    PaperFailures,
    PaperRank,
    PaperSummary,
    PaperWay,
)
from orchestrator.analysis.statistics.paper_way import (
    Eq1Variant,
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
    # An optimizer that was planned may not have a trial yet.
    return np.array([np.nan if (one := found.get(name)) is None else one.mean_ordinal for name in table.optimizers])


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
