"""The matrix of cells as two heatmaps: how good, and how far behind the best optimizer of the same backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt

from orchestrator.analysis.answers.summary import CellSummary, Source, SweepSummary
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.theme import (
    DARK_INK,
    GAP_COLOURS,
    LIGHT_INK,
    PAGE_WIDTH,
    STATE_COLOURS,
    clamp,
    text_width,
)

SMALL_SQUARE, LARGE_SQUARE = 24, 100
COLUMN_NAME = 120
"""Pixels of an optimizer's name, where it stands slanted."""
READABLE_SQUARE = 46
"""Width from which a square of the matrix holds its number comfortably."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    """The layout that both heatmaps share."""

    rows: list[str]
    columns: list[str]
    square: int
    height: int

    @property
    def digits_size(self) -> int:
        return clamp(self.square / 4.2, 7, 12)


def accuracy_heatmap(summary: SweepSummary) -> alt.LayerChart | alt.FacetChart:
    """Headline accuracy of every cell."""
    matrix = _matrix_of(summary)
    means = [100 * cell.headline.estimate.mean for cell in summary.cells if cell.headline]
    low, high = _domain(min(means, default=0.0), max(means, default=100.0))
    cells = [
        _cell_values(
            row.label,
            cell,
            value=None if cell.headline is None else 100 * cell.headline.estimate.mean,
            label="" if cell.headline is None else wording.percent(cell.headline.estimate.mean, 1),
            light=lambda value: (value - low) / (high - low) < 0.44,
        )
        for row in summary.rows
        for cell in row.cells
    ]
    scale = alt.Scale(scheme="viridis", domain=[low, high])
    return _heatmap(matrix, cells, scale, "accuracy (%)")


def gap_heatmap(summary: SweepSummary) -> alt.LayerChart | alt.FacetChart:
    """Accuracy of every cell minus that of its backbone's best optimizer."""
    matrix = _matrix_of(summary)
    low = min([-1.0, *(100 * cell.gap for cell in summary.cells if cell.gap is not None)])
    cells = [
        _cell_values(
            row.label,
            cell,
            value=None if cell.gap is None else 100 * cell.gap,
            label="best" if cell.gap == 0 else wording.points(cell.gap, 1),
            light=lambda value: (value / low) ** 0.5 > 0.55,
        )
        for row in summary.rows
        for cell in row.cells
    ]
    scale = alt.Scale(type="sqrt", range=GAP_COLOURS, domain=[low, 0], interpolate="lab")
    return _heatmap(matrix, cells, scale, "percentage points below the best")


def _matrix_of(summary: SweepSummary) -> _Matrix:
    rows, columns = [row.label for row in summary.rows], list(summary.optimizers)
    labels, count = text_width(rows) + 12, max(1, len(columns))
    # Beside each other they must leave room for the menu (38 pixels each) and for the last slanted name.
    slanted = max(0, round(0.77 * text_width(columns, COLUMN_NAME)) - 36)
    beside = (PAGE_WIDTH / 2 - 56 - labels - slanted) / count
    square = beside if beside >= READABLE_SQUARE else (PAGE_WIDTH - labels) / count
    return _Matrix(
        rows=rows,
        columns=columns,
        square=clamp(square, SMALL_SQUARE, LARGE_SQUARE),
        height=clamp(480 / max(1, len(rows)), 26, 48),
    )


def _domain(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high - low > 0.1 else (max(0.0, low - 1), low + 1)


def _cell_values(
    row: str, cell: CellSummary, *, value: float | None, label: str, light: Callable[[float], bool]
) -> dict[str, Any]:
    """One square; `light` says whether its ink is light at a value."""
    headline = cell.headline
    confirmed = headline is not None and headline.source in (Source.CONFIRM, Source.IMPORTED)
    return {
        "row": row,
        "optimizer": cell.key.optimizer,
        "value": value,
        "label": "" if value is None else label if confirmed else f"{label}*",
        "light": value is not None and light(value),
        "failed": cell.counts.failed,
        "diverged": headline.diverged if headline else 0,
        "accuracy": wording.accuracy(headline.estimate) if headline else "no score yet",
        "behind": wording.points(cell.gap) if cell.gap is not None else "not comparable",
        "from": f"{wording.SOURCE_LONG[headline.source]} ({wording.evidence(headline)})"
        if headline
        else wording.NOTHING,
        "trials": wording.counts_in_words(cell.counts),
    }


def _heatmap(
    matrix: _Matrix, cells: list[dict[str, Any]], scale: alt.Scale, title: str
) -> alt.LayerChart | alt.FacetChart:
    crowded = text_width(matrix.columns) > matrix.square
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X(
            "optimizer:N",
            title=None,
            scale=alt.Scale(domain=matrix.columns, paddingInner=0.05, paddingOuter=0.02),
            axis=alt.Axis(
                orient="top",
                labelAngle=-40 if crowded else 0,
                ticks=False,
                domain=False,
                labelPadding=6,
                labelLimit=COLUMN_NAME,
            ),
        ),
        y=alt.Y(
            "row:N",
            title=None,
            scale=alt.Scale(domain=matrix.rows, paddingInner=0.05, paddingOuter=0.02),
            axis=alt.Axis(ticks=False, domain=False, labelPadding=8),
        ),
        tooltip=[
            alt.Tooltip("row:N", title="backbone"),
            alt.Tooltip("optimizer:N"),
            alt.Tooltip("accuracy:N", title="accuracy, 95 % interval"),
            alt.Tooltip("behind:N", title="points below the best"),
            alt.Tooltip("from:N"),
            alt.Tooltip("trials:N", title="trials of all roles"),
        ],
    )
    legend = alt.Legend(title=title, orient="bottom", titleLimit=300, gradientLength=220, gradientThickness=10)
    squares = (
        base.transform_filter("isValid(datum.value)")
        .mark_rect(cornerRadius=3)
        .encode(color=alt.Color("value:Q", scale=scale, legend=legend))
    )
    holes = base.transform_filter("!isValid(datum.value)").mark_rect(
        cornerRadius=3, fill="currentColor", fillOpacity=0.04, stroke="currentColor", strokeOpacity=0.45,
        strokeDash=[3, 3],
    )  # fmt: skip
    digits = base.mark_text(fontSize=matrix.digits_size).encode(
        text="label:N", color=alt.condition("datum.light", alt.value(LIGHT_INK), alt.value(DARK_INK))
    )
    failed = _corner(base.transform_filter("datum.failed > 0"), matrix, "FAIL", shape="triangle-up", side=1)
    diverged = _corner(base.transform_filter("datum.diverged > 0"), matrix, "DIVERGED", shape="diamond", side=-1)
    return alt.layer(squares, holes, digits, failed, diverged).properties(
        width=matrix.square * len(matrix.columns), height=matrix.height * len(matrix.rows)
    )


def _corner(chart: alt.Chart, matrix: _Matrix, state: str, *, shape: str, side: int) -> alt.Chart:
    """A small mark in the upper right (side 1) or upper left (side -1) corner of squares."""
    inset = 8 if matrix.square > 60 else 6
    marked: alt.Chart = chart.mark_point(
        shape=shape,
        filled=True,
        size=60 if matrix.square > 60 else 34,
        opacity=1,
        fill=STATE_COLOURS[state],
        stroke=LIGHT_INK,
        strokeWidth=1,
        xOffset=side * (matrix.square / 2 - inset),
        yOffset=-matrix.height / 2 + inset,
    )
    return marked
