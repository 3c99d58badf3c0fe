"""How strongly backbones and optimizers of a sweep depend on each other: the section `coupling` of the answers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.coupling_records import (
    COMPONENTS,
    Carried,
    ComponentScores,
    Coupling,
    CouplingSection,
    DegreesOfFreedom,
    OtherScales,
    ScaleCoupling,
    SumsOfSquares,
)
from orchestrator.analysis.statistics.coupling.additive import AdditiveFit, additive_fit
from orchestrator.analysis.statistics.coupling.anova import TwoWayAnova, two_way_anova
from orchestrator.analysis.statistics.coupling.influence import influence
from orchestrator.analysis.statistics.coupling.multiplicative import (
    Ammi,
    ammi,
    ecovalence,
    muir_split,
    noise_edge,
    tukey_test,
)
from orchestrator.analysis.statistics.coupling.resampling import cross_seed_components, wild_bootstrap_p
from orchestrator.analysis.statistics.coupling.scales import logit_scale, rank_scale, winsorised
from orchestrator.analysis.statistics.coupling.variance_components import coupling_index, variance_components
from orchestrator.analysis.statistics.intervals import Interval
from orchestrator.analysis.statistics.replicates import cell_means, without_empty
from orchestrator.analysis.trials.score_table import SHARED, ScoreTable, ScoreTables

T = TypeVar("T")

POINTS, LOGIT, RANK, WINSORISED = "points", "logit", "rank", "winsorised"
"""Scales: percentage points, log odds, rank within the backbone, points with failures raised to a floor."""


def coupling_section(tables: ScoreTables, *, seed: int) -> CouplingSection:
    """The coupling of each response of a sweep.

    Args:
        tables: Its responses; the headline is `confirmed`, else `imported`, else `default`, whichever has an answer.
        seed: Of the bootstrap. Each response and scale has a stream of its own, so that a new one moves no other.
    """
    by_response = {table.response: coupling_of(table, seed=seed) for table in tables.tables}
    if tables.headline is None:
        note = "neither confirmed nor imported nor default results cover two backbones and two optimizers"
        return CouplingSection(scale=POINTS, note=note, by_response=by_response)
    chosen = by_response[tables.headline.response]
    return CouplingSection(
        **{column.name: getattr(chosen, column.name) for column in fields(Coupling)},
        by_response=by_response,
    )


def coupling_of(table: ScoreTable, *, seed: int) -> Coupling:
    """The coupling in one response: see `coupling_section`."""
    names = _Names(rows=tuple(row.label for row in table.rows), columns=table.optimizers)
    scores, (rows, columns) = without_empty(table.scores)
    if not scores.size:
        return Coupling(scale=POINTS, response=table.response, note="there are no results yet")
    kept = names.of(rows, columns)
    streams = _Streams(seed=seed, response=table.response)
    points = _on_scale(POINTS, scores, kept, names, streams)
    if points.variance is None:
        # Other scales have the same cells, and so nothing either.
        return Coupling(scale=POINTS, response=table.response, note=points.note)
    raised = winsorised(scores)
    is_accuracy = bool(np.nanmin(scores) >= 0 and np.nanmax(scores) <= 100)
    return Coupling(
        **{column.name: getattr(points, column.name) for column in fields(ScaleCoupling)},
        response=table.response,
        paired=table.response == SHARED or table.is_tuned,
        influence=influence(scores, kept.rows, kept.columns),
        scales=OtherScales(
            logit=_on_scale(LOGIT, logit_scale(scores), kept, names, streams) if is_accuracy else None,
            rank=_on_scale(RANK, rank_scale(scores), kept, names, streams),
            winsorised=_on_scale(WINSORISED, raised, kept, names, streams),
            cells_winsorised=int((raised > scores).any(axis=2).sum()),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    rows: tuple[str, ...]
    columns: tuple[str, ...]

    def of(self, rows: Iterable[int], columns: Iterable[int]) -> _Names:
        return _Names(rows=tuple(self.rows[row] for row in rows), columns=tuple(self.columns[c] for c in columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Streams:
    seed: int
    response: str

    def generator(self, scale: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.response}/{scale}".encode())])


def _on_scale(
    scale: str, scores: NDArray[np.float64], kept: _Names, every: _Names, streams: _Streams
) -> ScaleCoupling:
    """Names: `kept` are those of the rows and columns of `scores`, `every` also those without results."""
    cells = cell_means(scores)
    anova, fit = two_way_anova(scores), additive_fit(cells.means)
    if anova is None or fit is None:
        return ScaleCoupling(scale=scale, note=_why_undefined(scores))
    components, parts = variance_components(anova), ammi(fit)
    carried, across = ecovalence(fit), cross_seed_components(scores)
    return ScaleCoupling(
        scale=scale,
        note=_note(anova, cells.counts),
        n_replicates=int(anova.n_replicates) if anova.n_replicates.is_integer() else anova.n_replicates,
        n_cells_missing=int((cells.counts == 0).sum()),
        variance=_sums_of_squares(anova),
        df=_degrees_of_freedom(anova),
        share=anova.eta2,
        index=components.index,
        noise_separated=components.is_noise_separated,
        sigma2_interaction=components.interaction,
        sigma2_optimizer=components.optimizer,
        sigma2_backbone=components.backbone,
        sigma2_error=components.error,
        sigma2_cross_seed=None if across is None else across.interaction,
        index_cross_seed=None if across is None else coupling_index(across.interaction, across.optimizer),
        theta=components.theta,
        theta_ci=_ends(components.theta_ci),
        theta_fixed_ci=_ends(components.theta_fixed_ci),
        omega2=anova.omega2,
        epsilon2=anova.epsilon2,
        eta2=anova.eta2,
        partial_eta2=anova.partial_eta2,
        f=anova.f,
        p_f=anova.p_f,
        p_wild=wild_bootstrap_p(_in_order_of_names(scores, kept), streams.generator(scale)),
        ammi=None if parts is None else tuple(float(share) for share in parts.shares),
        ammi_scores=None if parts is None else _component_scores(parts, kept, every),
        ammi_above_noise=_above_noise(parts, anova, fit),
        ecovalence=Carried(
            backbone=_by_name(every.rows, kept.rows, carried.rows.tolist()),
            optimizer=_by_name(every.columns, kept.columns, carried.columns.tolist()),
        ),
        muir=muir_split(fit),
        tukey=tukey_test(fit),
    )


def _in_order_of_names(scores: NDArray[np.float64], names: _Names) -> NDArray[np.float64]:
    """The same table whatever the order of a file, so that a seed gives the same p: signs are drawn cell by cell."""
    rows, columns = (sorted(range(len(given)), key=given.__getitem__) for given in (names.rows, names.columns))
    # Which replicate is which means nothing to the bootstrap; NaN goes last.
    return np.sort(scores[np.ix_(rows, columns)], axis=2)


def _why_undefined(scores: NDArray[np.float64]) -> str:
    if min(scores.shape[:2]) < 2:
        return "fewer than two backbones or two optimizers have results"
    return "the cells with results fall into parts that have no backbone and no optimizer in common"


def _note(anova: TwoWayAnova, counts: NDArray[np.int64]) -> str | None:
    if not anova.df_interaction:
        return "there are no more cells with results than backbone and optimizer effects: no interaction can be seen"
    if not anova.df_error:
        return "one result for each cell: the interaction contains the noise, and there is no test of it"
    if anova.ss_total == 0:
        return "all results are equal"
    if anova.ms_error == 0:
        return "the results of each cell are equal: there is no noise to test against"
    if single := int((counts == 1).sum()):
        return f"p_wild leaves out cells with a single result ({single} of {int((counts > 0).sum())})"
    return None


def _sums_of_squares(anova: TwoWayAnova) -> SumsOfSquares:
    return SumsOfSquares(
        backbone=anova.ss_backbone,
        optimizer=anova.ss_optimizer,
        interaction=anova.ss_interaction,
        error=anova.ss_error,
        total=anova.ss_total,
    )


def _degrees_of_freedom(anova: TwoWayAnova) -> DegreesOfFreedom:
    return DegreesOfFreedom(
        backbone=anova.df_backbone,
        optimizer=anova.df_optimizer,
        interaction=anova.df_interaction,
        error=anova.df_error,
        total=anova.n_observations - 1,
    )


def _component_scores(parts: Ammi, kept: _Names, every: _Names) -> ComponentScores:
    rows, columns = (
        [tuple(float(score) for score in scores[:COMPONENTS]) for scores in table]
        for table in (parts.row_scores, parts.column_scores)
    )
    return ComponentScores(
        backbone=_by_name(every.rows, kept.rows, rows), optimizer=_by_name(every.columns, kept.columns, columns)
    )


def _above_noise(parts: Ammi | None, anova: TwoWayAnova, fit: AdditiveFit) -> int | None:
    if parts is None or anova.ms_error is None:
        return None
    edge = noise_edge(anova.ms_error, anova.n_replicates, (fit.row_effects.size, fit.column_effects.size))
    return int((parts.singular_values > edge).sum())


def _ends(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)


def _by_name(every: Sequence[str], kept: Sequence[str], values: Sequence[T]) -> dict[str, T | None]:
    found = dict(zip(kept, values, strict=True))
    return {name: found.get(name) for name in every}
