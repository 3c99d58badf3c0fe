"""The trials of the shared design against their learning rate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import altair as alt

from orchestrator.analysis.answers.rate_points import ResponsePoint, ResponseSet, response_set
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import lines, tables, wording
from orchestrator.analysis.page.lines import PATH, ROOM, Frame, span_of
from orchestrator.analysis.page.panels import (
    HEIGHT,
    chosen_optimizer,
    in_use,
    optimizer_colour,
    panel_width,
    panels,
    places_of,
)
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.theme import OPTIMIZER_COLOURS
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.sweep_data import PageData


def rate_points_section(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    """Every design trial at its learning rate; one sentence while none has a score."""
    title = "Response to the learning rate"
    response = response_set(page_data.trials)
    if not response.points:
        return section(title, "No design trial has a score yet.")
    caption = (
        "Every point is a trial of the common design, which varies the other hyper-parameters too. "
        "Crosses diverged and score chance."
    )
    if len(summary.optimizers) > len(OPTIMIZER_COLOURS):
        caption += " Colours repeat: click an optimizer in the legend to see it alone."
    if response.shown < response.designed:
        caption += f" The first {response.shown} of {response.designed} design points are drawn."
    figure = f"<figure>{plot('lr-response')}</figure>" + tables.folded(
        "The points as a table", _table(response, labels)
    )
    chart = _chart(response, labels, summary.optimizers)
    return section(title, caption, figure, {"lr-response": spec(chart, "Score against learning rate")})


def _chart(response: ResponseSet, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> alt.FacetChart:
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


def _table(response: ResponseSet, labels: Mapping[CellKey, str]) -> str:
    """Each design trial that is drawn."""
    return tables.table(
        "Design trials with a score.",
        ("backbone", "optimizer", "state"),
        ("design point", "learning rate", "score (%)"),
        (
            (
                labels[point.key],
                point.key.optimizer,
                wording.STATE_WORDS.get(point.state, point.state),
                str(point.number),
                f"{point.lr:.3g}",
                wording.percent(point.score),
            )
            for point in response.points
        ),
    )
