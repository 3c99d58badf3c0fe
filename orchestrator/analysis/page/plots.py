"""The page's charts, from records: nothing is computed here except where ink goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from orchestrator.analysis.answers.learning_curves import CurveSet
from orchestrator.analysis.answers.rate_points import ResponseSet
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.panels import (
    FEW_TICKS,
    chosen_optimizer,
    in_use,
    optimizer_colour,
    optimizer_dashes,
    panels,
    places_of,
)
from orchestrator.analysis.page.theme import STATE_COLOURS, clamp, text_width
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.results import STATES


def learning_curves(curves: CurveSet, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> alt.FacetChart:
    """Validation accuracy by epoch, one panel for each backbone: means thick, single repetitions thin."""
    places = places_of(labels)
    lines = [
        {
            "row": labels[line.key],
            "place": places[labels[line.key]],
            "optimizer": line.key.optimizer,
            "line": line.name,
            "mean": line.is_mean,
            "id": number,
            "epoch": line.epochs,
            "accuracy": [None if math.isnan(value) else round(100 * value, 3) for value in line.val_top1],
            "end": wording.percent(line.val_top1[-1]),
        }
        for number, line in enumerate(sorted(curves.lines, key=lambda line: line.is_mean))
    ]
    few = max((len(line.epochs) for line in curves.lines), default=0) <= 12
    chosen = chosen_optimizer()
    thickness = alt.condition("datum.mean", alt.value(2), alt.value(0.8))
    visible = alt.condition(chosen, alt.value(0.95), alt.value(0.07))
    panel = (
        alt.Chart(alt.InlineData(values=lines))
        .transform_flatten(["epoch", "accuracy"])
        .mark_line(clip=True, point={"size": 14, "filled": True} if few else False)
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, tickCount=5, format="d", grid=False)),
            y=alt.Y("accuracy:Q", title="validation accuracy (%)", scale=alt.Scale(zero=False), axis=FEW_TICKS),
            color=optimizer_colour(optimizers, "stroke"),
            detail="id:N",
            strokeWidth=thickness,
            opacity=visible,
            tooltip=[
                alt.Tooltip("row:N", title="backbone"),
                alt.Tooltip("optimizer:N"),
                alt.Tooltip("line:N"),
                alt.Tooltip("end:N", title="at the end (%)"),
            ],
            **optimizer_dashes(optimizers),
        )
        .add_params(chosen)
    )
    return panels(panel, in_use(labels, (line.key for line in curves.lines)))


def lr_response(response: ResponseSet, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> alt.FacetChart:
    """Score of the design trials against their learning rate, one panel for each backbone."""
    places = places_of(labels)
    values = [
        {
            "row": labels[point.key],
            "place": places[labels[point.key]],
            "optimizer": point.key.optimizer,
            "lr": point.lr,
            "score": round(100 * point.score, 3),
            "state": wording.STATE_WORDS.get(point.state, point.state),
            "trial": point.trial_id,
        }
        for point in response.points
    ]
    chosen = chosen_optimizer()
    states = [wording.STATE_WORDS["COMPLETE"], wording.STATE_WORDS["DIVERGED"]]
    panel = (
        alt.Chart(alt.InlineData(values=values))
        .mark_point(filled=True, size=34, strokeWidth=1)
        .encode(
            x=alt.X(
                "lr:Q",
                title="learning rate",
                scale=alt.Scale(type="log", nice=False, padding=6),
                axis=alt.Axis(format="~g", tickCount=4, grid=False, labelFlush=True, labelOverlap="greedy"),
            ),
            y=alt.Y("score:Q", title="score (%)", scale=alt.Scale(zero=False), axis=FEW_TICKS),
            color=optimizer_colour(optimizers, "circle"),
            shape=alt.Shape(
                "state:N",
                title=None,
                scale=alt.Scale(domain=states, range=["circle", "cross"]),
                legend=alt.Legend(orient="top", symbolFillColor="currentColor", symbolStrokeWidth=0),
            ),
            opacity=alt.condition(chosen, alt.value(0.8), alt.value(0.06)),
            tooltip=[
                alt.Tooltip("row:N", title="backbone"),
                alt.Tooltip("optimizer:N"),
                alt.Tooltip("lr:Q", title="learning rate", format=".3~e"),
                alt.Tooltip("score:Q", title="score (%)", format=".2f"),
                alt.Tooltip("state:N"),
                alt.Tooltip("trial:N"),
            ],
        )
        .add_params(chosen)
    )
    return panels(panel, in_use(labels, (point.key for point in response.points)))


def state_counts(summary: SweepSummary) -> alt.FacetChart:
    """Trials of every cell by state, one panel for each backbone."""
    values = [
        {
            "row": row.label,
            "place": place,
            "optimizer": cell.key.optimizer,
            "state": wording.STATE_WORDS[state],
            "order": order,
            "trials": number,
            "all": wording.counts_in_words(cell.counts),
        }
        for place, row in enumerate(summary.rows)
        for cell in row.cells
        for order, (state, number) in enumerate(cell.counts.by_state())
        if number
    ]
    scale = alt.Scale(
        domain=[wording.STATE_WORDS[state] for state in STATES], range=[STATE_COLOURS[state] for state in STATES]
    )
    step = clamp(170 / max(1, len(summary.optimizers)), 11, 20)
    panel = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(height={"band": 0.8})
        .encode(
            x=alt.X("trials:Q", title="trials", axis=alt.Axis(grid=False, tickCount=4, tickMinStep=1, format="d")),
            y=alt.Y(
                "optimizer:N",
                title=None,
                scale=alt.Scale(domain=list(summary.optimizers)),
                axis=alt.Axis(ticks=False, domain=False, labelLimit=110, labelFontSize=10 if step < 14 else 11),
            ),
            color=alt.Color("state:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            order=alt.Order("order:O"),
            tooltip=[
                alt.Tooltip("row:N", title="backbone"),
                alt.Tooltip("optimizer:N"),
                alt.Tooltip("state:N"),
                alt.Tooltip("trials:Q"),
                alt.Tooltip("all:N", title="of"),
            ],
        )
    )
    rows = [row.label for row in summary.rows if any(cell.counts.ended for cell in row.cells)]
    return panels(
        panel, rows, height=step * len(summary.optimizers), margin=text_width(list(summary.optimizers), 110)
    )
