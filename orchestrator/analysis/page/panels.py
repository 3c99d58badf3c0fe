"""What small multiples by backbone share: their layout, and one colour for each optimizer on the whole page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import altair as alt

from orchestrator.analysis.page.section import Chart
from orchestrator.analysis.page.theme import OPTIMIZER_COLOURS, OPTIMIZER_DASHES, PAGE_WIDTH, clamp, text_width
from orchestrator.analysis.trials.cells import CellKey

HEIGHT, MARGIN = 170, 44
"""Pixels of a panel, and those that the labels of its vertical axis take."""


def places_of(labels: Mapping[CellKey, str]) -> dict[str, int]:
    """Place of each backbone's label in the order of the spec."""
    return {label: place for place, label in enumerate(dict.fromkeys(labels.values()))}


def in_use(labels: Mapping[CellKey, str], keys: Iterable[CellKey]) -> list[str]:
    """Labels of the backbones of some cells, in the order of the spec."""
    used = {labels[key] for key in keys}
    return [label for label in dict.fromkeys(labels.values()) if label in used]


def panel_width(rows: Sequence[str], margin: int = MARGIN) -> int:
    """Pixels that each panel is wide: see `panels`."""
    return clamp((PAGE_WIDTH - margin) / _columns(rows) - 24, 150, 420)


def _columns(rows: Sequence[str]) -> int:
    return min(4, max(1, len(rows)))


def panels(panel: Chart, rows: list[str], *, height: int = HEIGHT, margin: int = MARGIN) -> alt.FacetChart:
    """Small multiples by backbone, as many in a line as the page is wide.

    Args:
        panel: One of them; its data have a field `row`, the backbone's label, and `place`, its order.
        rows: The labels.
        height: Of a panel, in pixels.
        margin: Pixels that the labels of the vertical axis take.
    """
    width = panel_width(rows, margin)
    # Ordered by a number: an order by name would put the names into expressions, where odd characters break.
    in_order = alt.EncodingSortField(field="place", op="min")
    chart: alt.FacetChart = panel.properties(width=width, height=height).facet(
        facet=alt.Facet("row:N", title=None, sort=in_order, header=alt.Header(labelLimit=width, labelAnchor="start")),
        columns=_columns(rows),
        spacing={"row": 18, "column": 24},
    )
    return chart


def colour_scale(optimizers: Sequence[str]) -> alt.Scale:
    """Seven colours that stay apart for the colour-blind; more optimizers repeat them."""
    colours = [OPTIMIZER_COLOURS[index % len(OPTIMIZER_COLOURS)] for index in range(len(optimizers))]
    return alt.Scale(domain=list(optimizers), range=colours)


def optimizer_colour(optimizers: Sequence[str], symbol: Literal["stroke", "circle"]) -> alt.Color:
    """An optimizer's colour, with a legend; `optimizer_dashes` tells apart those that share one."""
    # A circle whose stroke is as wide as it is has no hole.
    columns = clamp(PAGE_WIDTH / (text_width(list(optimizers)) + 36), 1, 8)
    size, width = (110, 2.5) if symbol == "stroke" else (20, 5)
    return alt.Color(
        "optimizer:N",
        title=None,
        scale=colour_scale(optimizers),
        legend=alt.Legend(
            orient="top",
            columns=columns,
            symbolType=symbol,
            symbolSize=size,
            symbolStrokeWidth=width,
            symbolOpacity=1,
        ),
    )


def optimizer_dashes(optimizers: Sequence[str]) -> dict[str, Any]:
    """The encoding by which lines of optimizers that share a colour differ; empty while none do."""
    if len(optimizers) <= len(OPTIMIZER_COLOURS):
        return {}
    dashes = [
        OPTIMIZER_DASHES[(index // len(OPTIMIZER_COLOURS)) % len(OPTIMIZER_DASHES)]
        for index in range(len(optimizers))
    ]
    return {
        "strokeDash": alt.StrokeDash(
            "optimizer:N", title=None, scale=alt.Scale(domain=list(optimizers), range=dashes)
        )
    }


def chosen_optimizer() -> alt.Parameter:
    """What a click in the legend selects."""
    return alt.selection_point(fields=["optimizer"], bind="legend", name="chosen")
