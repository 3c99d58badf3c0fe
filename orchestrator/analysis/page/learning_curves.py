"""The learning curves of the settings that the cells' numbers come from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.learning_curves import CurveSet, curve_set
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import lines, tables, wording
from orchestrator.analysis.page.lines import PATH, ROOM, Frame, Span, span_of
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
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.curves import trials_to_draw
from orchestrator.analysis.trials.sweep_data import PageData

SETTINGS = {
    "the setting that the search ranked first, with fresh seeds": ("confirm",),
    "its best design or tune trial, not confirmed": ("design", "tune"),
    "its default trials, nothing tuned here": ("default",),
}
"""What the curves of each role are of."""
FEW_EPOCHS = 12
"""Up to so many epochs each one has a dot."""


def curves_section(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    """Validation accuracy by epoch; one sentence while no curve is there."""
    title = "Learning curves"
    curves = curve_set(trials_to_draw(page_data.trials), page_data.curves)
    if not curves.lines:
        return section(title, "No learning curve of a trial with a score is in the store yet.")
    figure = f"<figure>{plot('learning-curves')}</figure>" + tables.folded(
        "The curves as a table", _table(curves, labels)
    )
    chart = _chart(curves, labels, summary.optimizers)
    return section(
        title,
        _caption(curves),
        figure,
        {"learning-curves": spec(chart, "Validation accuracy by epoch for each backbone")},
    )


def _caption(curves: CurveSet) -> str:
    roles = {line.role for line in curves.lines}
    of_cells = [words for words, known in SETTINGS.items() if roles.intersection(known)]
    parts = [
        f"Of each cell {', or '.join(of_cells)}. Thick: the mean, as long as all repetitions last.",
        "Single repetitions are left out to keep the page light." if curves.only_means else "Thin: each repetition.",
    ]
    if curves.epoch_step > 1:
        parts.append(f"Every {curves.epoch_step}th epoch is drawn.")
    return " ".join([*parts, "Click an optimizer in the legend to see it alone; shift-click adds one."])


def _chart(curves: CurveSet, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> alt.FacetChart:
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


def _table(curves: CurveSet, labels: Mapping[CellKey, str]) -> str:
    """Where each learning curve starts, peaks and ends."""
    return tables.table(
        "Validation accuracy in percent. Diverged trials end early.",
        ("backbone", "optimizer", "line", "role"),
        ("epochs", "first epoch", "highest", "last epoch"),
        (
            (
                labels[line.key],
                line.key.optimizer,
                line.name,
                line.role,
                str(line.epochs[-1]),
                wording.percent(line.val_top1[0]),
                wording.percent(max(line.val_top1)),
                wording.percent(line.val_top1[-1]),
            )
            for line in curves.lines
        ),
    )
