"""The page's charts, from records: nothing is computed here except where ink goes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.learning_curves import CurveSet
from orchestrator.analysis.answers.rate_points import ResponsePoint, ResponseSet
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import lines, wording
from orchestrator.analysis.page.lines import PATH, Frame, Span, span_of
from orchestrator.analysis.page.panels import (
    HEIGHT,
    chosen_optimizer,
    in_use,
    optimizer_colour,
    optimizer_dashes,
    panel_width,
    panels,
    places_of,
)
from orchestrator.analysis.page.theme import STATE_COLOURS, clamp, text_width
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.results import STATES

ROOM = 0.04
"""Share of the range of all values that is left free at each end of an axis."""
FEW_EPOCHS = 12
"""Up to so many epochs each one has a dot."""


def learning_curves(curves: CurveSet, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> alt.FacetChart:
    """Validation accuracy by epoch, one panel for each backbone: means thick, single repetitions thin."""
    rows = in_use(labels, (line.key for line in curves.lines))
    drawn = {line: [_percent(value) for value in line.val_top1] for line in curves.lines}
    frame = Frame(
        x=span_of(epoch for line in drawn for epoch in line.epochs),
        y=span_of((value for values in drawn.values() for value in values), room=ROOM),
        width=panel_width(rows),
        height=HEIGHT,
    )
    places = places_of(labels)
    few = max((len(line.epochs) for line in curves.lines), default=0) <= FEW_EPOCHS
    values = [
        {
            "row": labels[line.key],
            "place": places[labels[line.key]],
            "optimizer": line.key.optimizer,
            "line": line.name,
            "mean": line.is_mean,
            "epoch": line.epochs,
            "accuracy": drawn[line],
            PATH: lines.line(frame, line.epochs, drawn[line])
            + (lines.knots(frame, line.epochs, drawn[line]) if few else ""),
        }
        for line in sorted(curves.lines, key=lambda line: line.is_mean)
    ]
    chosen = chosen_optimizer()
    panel = (
        lines.strokes(
            frame,
            alt.Chart(alt.InlineData(values=values)),
            x=alt.Axis(title="epoch", format="d", grid=False, **_whole_ticks(frame.x)),
            y=alt.Axis(title="validation accuracy (%)", tickCount=4),
        )
        .encode(
            color=optimizer_colour(optimizers, "stroke"),
            strokeWidth=alt.condition("datum.mean", alt.value(2), alt.value(0.8)),
            strokeOpacity=alt.condition(chosen, alt.value(0.95), alt.value(0.07)),
            **optimizer_dashes(optimizers),
        )
        .add_params(chosen)
    )
    shown = {
        "backbone": "row",
        "optimizer": "optimizer",
        "line": "line",
        "epoch": "epoch",
        "accuracy (%)": "accuracy",
    }
    return panels(panel, rows).properties(usermeta=lines.nearest("epoch", "accuracy", shown))


def _whole_ticks(span: Span) -> dict[str, Any]:
    """About five ticks at whole numbers: left alone the library puts some between them where there are few."""
    whole = range(math.ceil(span.low), math.floor(span.high) + 1)
    return {"values": list(whole)} if len(whole) <= 6 else {"tickCount": 5}


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else round(100 * share, 2)


def lr_response(response: ResponseSet, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> alt.FacetChart:
    """Score of the design trials against their learning rate, one panel for each backbone."""
    rows = in_use(labels, (point.key for point in response.points))
    frame = Frame(
        x=span_of((point.lr for point in response.points), room=ROOM, base=10),
        y=span_of((100 * point.score for point in response.points), room=ROOM),
        width=panel_width(rows),
        height=HEIGHT,
    )
    places = places_of(labels)
    groups: dict[tuple[CellKey, str], list[ResponsePoint]] = defaultdict(list)
    for point in response.points:
        groups[point.key, point.state].append(point)
    values = [
        {
            "row": labels[key],
            "place": places[labels[key]],
            "optimizer": key.optimizer,
            "state": wording.STATE_WORDS.get(state, state),
            "crosses": state == "DIVERGED",
            "point": [point.number for point in points],
            "lr": [float(f"{point.lr:.3g}") for point in points],
            "score": [round(100 * point.score, 2) for point in points],
            PATH: (lines.crosses if state == "DIVERGED" else lines.dots)(
                frame, [point.lr for point in points], [100 * point.score for point in points]
            ),
        }
        for (key, state), points in groups.items()
    ]
    chosen = chosen_optimizer()
    panel = (
        lines.strokes(
            frame,
            alt.Chart(alt.InlineData(values=values)),
            x=alt.Axis(
                title="learning rate", format="~g", tickCount=4, grid=False, labelFlush=True, labelOverlap="greedy"
            ),
            y=alt.Axis(title="score (%)", tickCount=4),
            strokeCap="round",
        )
        .encode(
            strokeWidth=alt.condition("datum.crosses", alt.value(2), alt.value(6.4)),
            color=optimizer_colour(optimizers, "circle"),
            strokeOpacity=alt.condition(chosen, alt.value(0.8), alt.value(0.06)),
        )
        .add_params(chosen)
    )
    shown = {
        "backbone": "row", "optimizer": "optimizer", "design point": "point", "learning rate": "lr",
        "score (%)": "score", "state": "state",
    }  # fmt: skip
    return panels(panel, rows).properties(usermeta=lines.nearest("lr", "score", shown))


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
