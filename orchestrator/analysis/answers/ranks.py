"""Whether backbones agree on the order of optimizers, over all of them and within families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.ranking.decisions import regrets
from orchestrator.analysis.statistics.ranking.paired_columns import EQUIVALENCE_MARGIN, ColumnPair, compare_columns
from orchestrator.analysis.statistics.ranking.ranks import (
    GroupAgreement,
    agreement,
    agreement_by_group,
    between_groups,
    critical_difference,
    groups_not_separated,
)
from orchestrator.analysis.trials.complete_table import LeftOut, complete_part
from orchestrator.analysis.trials.groups import CLASSICAL, eras, families
from orchestrator.analysis.trials.score_table import ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnswer:
    """One optimizer against another over the backbones that have both."""

    first: str
    second: str
    n: int
    mean_difference: float | None
    """First minus second, in percentage points."""
    median_difference: float | None
    p: float | None
    """Exact Wilcoxon signed-rank test, two-sided."""
    p_holm: float | None
    """After Holm's correction over all pairs of the list it is in."""
    p_equivalence: float | None
    """Of two one-sided t tests: small if the mean difference lies within `RankAnswer.equivalence_margin`."""
    p_equivalence_holm: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankAnswer:
    """Ranks of optimizers within rows (a row is a backbone under one recipe), 1 is best.

    Rows are blocks and no sample of architectures, and those of one family are alike: the p-values speak of these
    rows as if they were independent, so agreement by family is the better evidence. Several recipes of one backbone
    are rows of their own, which makes the p-values smaller still.
    """

    response: str
    friedman_chi2: float | None
    p: float | None
    iman_davenport_f: float | None
    iman_davenport_p: float | None
    kendall_w: float | None
    kendall_w_by_family: Mapping[str, float | None]
    """Families of the catalogue, and `primary+classical` taken together where there are both; None for one row."""
    kendall_w_without_family: Mapping[str, float | None]
    """Of all rows outside the family."""
    spearman_between_families: float | None
    """Between mean ranks of `primary+classical` and `modern`; where these are not both there, the mean over all pairs
    of families."""
    mean_rank: Mapping[str, float]
    critical_difference: float | None
    """Nemenyi's at 0.05."""
    groups: tuple[tuple[str, ...], ...]
    """Largest groups of optimizers that it does not separate, for a critical-difference diagram."""
    generalist_pairs: tuple[PairAnswer, ...]
    """The generalist against each other optimizer. It is the generalist in these data, so p is a little too small."""
    pairs: tuple[PairAnswer, ...]
    """All pairs."""
    equivalence_margin: float
    """Percentage points."""
    n_rows: int
    n_backbones: int
    n_without_family: int
    """Rows whose backbone is in no family of the catalogue: they count overall and in no family."""
    left_out: tuple[LeftOut, ...]


def rank_answer(table: ScoreTable) -> RankAnswer | None:
    """Ranks on the complete rows of one response; None with fewer than two of them, or one optimizer."""
    complete = complete_part(table)
    found = agreement(complete.means)
    best = regrets(complete.means)
    if found is None or best is None:
        return None
    names = complete.optimizers
    known = families(row.backbone for row in complete.rows)
    by_family = _by_family(complete.means, known)
    difference = critical_difference(len(names), found.n_rows)
    bars = groups_not_separated(found.mean_ranks, difference) if difference is not None else ()
    others = [(best.generalist, other) for other in range(len(names)) if other != best.generalist]
    return RankAnswer(
        response=table.response,
        friedman_chi2=found.friedman_chi2,
        p=found.p,
        iman_davenport_f=found.iman_davenport_f,
        iman_davenport_p=found.iman_davenport_p,
        kendall_w=found.kendall_w,
        kendall_w_by_family={group.group: group.kendall_w for group in by_family},
        kendall_w_without_family={group.group: group.kendall_w_without for group in by_family},
        spearman_between_families=_spearman_between(complete.means, known),
        mean_rank={name: float(rank) for name, rank in zip(names, found.mean_ranks, strict=True)},
        critical_difference=difference,
        groups=tuple(tuple(names[column] for column in bar) for bar in bars),
        generalist_pairs=_named(compare_columns(_means_of(table, names), others), names),
        pairs=_named(compare_columns(_means_of(table, names), list(combinations(range(len(names)), 2))), names),
        equivalence_margin=EQUIVALENCE_MARGIN,
        n_rows=found.n_rows,
        n_backbones=complete.n_backbones,
        n_without_family=sum(family is None for family in known),
        left_out=complete.left_out,
    )


def _means_of(table: ScoreTable, optimizers: Sequence[str]) -> NDArray[np.float64]:
    """Shape (a, k): means of all rows for some optimizers: pairs need no more than the rows that have both."""
    return table.means[:, [table.optimizers.index(name) for name in optimizers]]


def _by_family(means: NDArray[np.float64], known: Sequence[str | None]) -> tuple[GroupAgreement, ...]:
    by_family = agreement_by_group(means, known)
    if {"primary", "classical"} <= set(known):
        together = agreement_by_group(means, eras(known))
        by_family += tuple(group for group in together if group.group == CLASSICAL)
    return by_family


def _spearman_between(means: NDArray[np.float64], known: Sequence[str | None]) -> float | None:
    pairs = between_groups(means, eras(known)) or between_groups(means, known)
    defined = [pair.spearman for pair in pairs if pair.spearman is not None]
    return float(np.mean(defined)) if defined else None


def _named(pairs: Sequence[ColumnPair], names: Sequence[str]) -> tuple[PairAnswer, ...]:
    return tuple(
        PairAnswer(
            first=names[pair.first],
            second=names[pair.second],
            n=pair.n,
            mean_difference=pair.mean_difference,
            median_difference=pair.median_difference,
            p=pair.p,
            p_holm=pair.p_holm,
            p_equivalence=pair.p_equivalence,
            p_equivalence_holm=pair.p_equivalence_holm,
        )
        for pair in pairs
    )
