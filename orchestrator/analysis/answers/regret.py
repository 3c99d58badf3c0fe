"""What it costs to use one optimizer for all backbones, and which optimizer is best for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.ranking.best_columns import beats, leads, probability_best
from orchestrator.analysis.statistics.ranking.decisions import TopOverlap, coupling_gain, regrets, top_overlap
from orchestrator.analysis.trials.complete_table import CompleteTable, LeftOut, complete_part
from orchestrator.analysis.trials.score_table import ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True)
class GainAnswer:
    """What knowing the backbone is worth: the best optimizer of each backbone minus the generalist, on average.

    All in percentage points.
    """

    plug_in: float
    """Biased: too high, because each backbone's best is chosen for its luck too. Above 0 also without coupling."""
    cross_fitted: float | None
    """Chosen on all replicates but one, valued on that one: about 0 without coupling, or below it where optimizers
    differ by little more than the noise. None with one replicate, and then there is no unbiased value."""
    ci: tuple[float, float] | None
    """95 % interval of `cross_fitted` over the rows."""
    n_rows_cross_fitted: int
    """Rows behind it: all cells of a row need a replicate in common, and another one."""
    best_of_k_bias: float | None
    """The most that luck adds to the best of a row: what it would add if all optimizers were equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfBackbone:
    """The optimizer with the highest mean on one backbone, and how far that can be trusted."""

    backbone: str
    recipe: str
    optimizer: str
    mean: float
    second: str
    lead: float
    """Over the second; too high on average, having been picked."""
    ci: tuple[float, float] | None
    """Interval of the lead over the best of all others, at a joint level of 95 %; None without replicates."""
    separated: bool | None
    """Whether it is better than every other one: the interval lies above 0."""
    probability_best: float | None
    """Simulated from Student's t with moderated variances, which three replicates need; nothing is shrunk."""
    generalist_regret: float | None
    """What the generalist lacks here; None where it has no result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beaten:
    """A claim that on one backbone an optimizer beats another, standing after Holm's correction over all claims."""

    backbone: str
    recipe: str
    better: str
    worse: str
    difference: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegretAnswer:
    """Regret is a row's best mean minus the optimizer's, in percentage points, over rows without missing cells."""

    response: str
    mean: Mapping[str, float]
    max: Mapping[str, float]
    win_share: Mapping[str, float]
    """Share of rows in which it is best, ties split."""
    superiority: Mapping[str, float]
    """Lin and Binns' measure, in squared percentage points: small is good everywhere."""
    generalist: str
    """The optimizer of smallest mean regret."""
    generalist_regret: float
    """Its mean regret."""
    gain: GainAnswer
    top_overlap: TopOverlap | None
    """How far replicates name the same three best optimizers; None with one replicate."""
    best_of_backbone: tuple[BestOfBackbone, ...]
    """Of every row with two results, also those that are not complete."""
    claims_tested: int | None
    """Pairs of optimizers on all backbones; None without replicates."""
    claims: tuple[Beaten, ...]
    n_rows: int
    n_backbones: int
    left_out: tuple[LeftOut, ...]


def regret_answer(table: ScoreTable, *, rng: np.random.Generator) -> RegretAnswer | None:
    """Regret on the complete rows of one response; None without one, or with one optimizer.

    Args:
        table: Its replicates are seeds, or for `tuned@n` disjoint sets of design points.
        rng: Simulates which optimizer is best.
    """
    complete = complete_part(table)
    found = regrets(complete.means)
    if found is None:
        return None
    names = complete.optimizers
    generalist = names[found.generalist]
    claims = beats(table.scores)
    return RegretAnswer(
        response=table.response,
        mean=_by_name(names, found.mean),
        max=_by_name(names, found.maximum),
        win_share=_by_name(names, found.win_share),
        superiority=_by_name(names, found.superiority),
        generalist=generalist,
        generalist_regret=float(found.mean[found.generalist]),
        gain=_gain(complete),
        top_overlap=top_overlap(complete.scores),
        best_of_backbone=_best_of_backbone(table, generalist, rng),
        claims_tested=claims.tested if claims else None,
        claims=tuple(
            Beaten(
                backbone=table.rows[claim.row].backbone,
                recipe=table.rows[claim.row].recipe,
                better=table.optimizers[claim.better],
                worse=table.optimizers[claim.worse],
                difference=claim.difference,
                p_holm=claim.p_holm,
            )
            for claim in (claims.claims if claims else ())
        ),
        n_rows=len(complete.rows),
        n_backbones=complete.n_backbones,
        left_out=complete.left_out,
    )


def _by_name(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _gain(complete: CompleteTable) -> GainAnswer:
    gain = coupling_gain(complete.scores)
    assert gain is not None, "a table with regrets has a gain"  # noqa: S101 - our own invariant
    return GainAnswer(
        plug_in=gain.plug_in,
        cross_fitted=gain.cross_fitted,
        ci=None if gain.low is None or gain.high is None else (gain.low, gain.high),
        n_rows_cross_fitted=gain.n_rows_cross_fitted,
        best_of_k_bias=gain.best_of_k_bias,
    )


def _best_of_backbone(table: ScoreTable, generalist: str, rng: np.random.Generator) -> tuple[BestOfBackbone, ...]:
    means, column = table.means, table.optimizers.index(generalist)
    chances = probability_best(table.scores, rng=rng)
    answers = []
    for lead in leads(table.scores):
        best = float(means[lead.row, lead.best])
        regret = best - float(means[lead.row, column])
        answers.append(
            BestOfBackbone(
                backbone=table.rows[lead.row].backbone,
                recipe=table.rows[lead.row].recipe,
                optimizer=table.optimizers[lead.best],
                mean=best,
                second=table.optimizers[lead.second],
                lead=lead.lead,
                ci=None if lead.low is None or lead.high is None else (lead.low, lead.high),
                separated=lead.separated,
                probability_best=None if chances is None else float(chances[lead.row, lead.best]),
                generalist_regret=regret if np.isfinite(regret) else None,
            )
        )
    return tuple(answers)
