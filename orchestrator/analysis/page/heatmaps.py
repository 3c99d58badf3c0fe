"""The matrix of cells as two heatmaps: how good each cell is, and what it has beyond its row and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from orchestrator.analysis.answers.matrix import Matrix, MatrixCell
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.theme import (
    DARK_INK,
    LIGHT_INK,
    PAGE_WIDTH,
    RESIDUAL_COLOURS,
    clamp,
    text_width,
)
from orchestrator.analysis.trials.headline import Source

SMALL_SQUARE, LARGE_SQUARE = 24, 100
COLUMN_NAME = 120
"""Pixels of an optimizer's name, where it stands slanted."""
MENU = 38
"""Pixels that the menu of a plot takes at its right."""
READABLE_SQUARE = 46
"""Width from which a square of the matrix holds its number comfortably."""
PALE = "#b8bec8"
"""Hatch on dark squares, and on holes, where it must show on white and on black."""
HATCH_SPACING = 7
"""Pixels between the lines of a hatch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """What both heatmaps share."""

    rows: list[str]
    columns: list[str]
    square: int
    height: int

    @property
    def digits_size(self) -> int:
        return clamp(self.square / 4.2, 7, 12)


def accuracy_heatmap(matrix: Matrix) -> alt.LayerChart:
    """Headline accuracy of every cell."""
    means = [100 * cell.cell.headline.estimate.mean for cell in matrix.cells if cell.cell.headline]
    low, high = _domain(min(means, default=0.0), max(means, default=100.0))
    cells = [
        _values(
            cell,
            value=None if (headline := cell.cell.headline) is None else 100 * headline.estimate.mean,
            label="" if headline is None else wording.percent(headline.estimate.mean, 1) + _star(cell),
            light=lambda value: (value - low) / (high - low) < 0.44,
        )
        for cell in matrix.cells
    ]
    scale = alt.Scale(scheme="viridis", domain=[low, high])
    return _heatmap(_layout(matrix), cells, scale, "accuracy (%)")


def residual_heatmap(matrix: Matrix) -> alt.LayerChart:
    """Residual of every cell from the additive model: what its row and column do not explain."""
    end = matrix.clip or 1.0
    cells = [
        _values(
            cell,
            value=cell.residual,
            label="" if cell.residual is None else wording.signed(cell.residual, 1),
            light=lambda value: not -0.815 * end < value < 0.645 * end,
        )
        | {"outlined": matrix.is_outlined(cell)}
        for cell in matrix.cells
    ]
    scale = alt.Scale(range=RESIDUAL_COLOURS, domain=[-end, end], clamp=True, interpolate="lab")
    return _heatmap(_layout(matrix), cells, scale, "percentage points beyond row and column")


def squares_fit_beside(matrix: Matrix) -> bool:
    """Whether both heatmaps stand beside each other on a laptop."""
    return _beside(list(matrix.rows), list(matrix.columns)) >= READABLE_SQUARE


def _beside(rows: list[str], columns: list[str]) -> float:
    """Width of a square where two heatmaps share a line."""
    return _square(PAGE_WIDTH / 2 - 18 - MENU, rows, columns)


def _square(width: float, rows: list[str], columns: list[str]) -> float:
    """Width of a square where a heatmap takes `width` with its names, the last slanted one included."""
    slanted = max(0, round(0.77 * text_width(columns, COLUMN_NAME)) - 36)
    return (width - text_width(rows) - 12 - slanted) / max(1, len(columns))


def _layout(matrix: Matrix) -> _Layout:
    rows, columns = list(matrix.rows), list(matrix.columns)
    beside = _beside(rows, columns)
    alone = _square(PAGE_WIDTH - MENU, rows, columns)
    return _Layout(
        rows=rows,
        columns=columns,
        square=clamp(beside if beside >= READABLE_SQUARE else alone, SMALL_SQUARE, LARGE_SQUARE),
        height=clamp(480 / max(1, len(rows)), 26, 48),
    )


def _domain(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high - low > 0.1 else (max(0.0, low - 1), low + 1)


def _star(cell: MatrixCell) -> str:
    headline = cell.cell.headline
    return "" if headline is None or headline.source in (Source.CONFIRM, Source.IMPORTED) else "*"


def _values(cell: MatrixCell, *, value: float | None, label: str, light: Callable[[float], bool]) -> dict[str, Any]:
    """One square; `light` says whether its ink is light at a value."""
    headline = cell.cell.headline
    return {
        "row": cell.row,
        "optimizer": cell.cell.key.optimizer,
        "value": value,
        "label": label,
        "light": value is not None and light(value),
        "failed": cell.failed,
        "diverged": cell.diverged,
        "accuracy": wording.accuracy(headline.estimate) if headline else "no score yet",
        "residual": wording.residual(cell.residual, cell.p_adjusted),
        "of": wording.NOTHING if cell.response_mean is None else f"{cell.response_mean:.2f} %",
        "behind": wording.points(cell.cell.gap) if cell.cell.gap is not None else "not comparable",
        "from": f"{wording.SOURCE_LONG[headline.source]} ({wording.evidence(headline)})"
        if headline
        else wording.NOTHING,
        "trials": wording.counts_in_words(cell.cell.counts),
    }


def _heatmap(layout: _Layout, cells: list[dict[str, Any]], scale: alt.Scale, title: str) -> alt.LayerChart:
    base = _base(layout, cells)
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
    ink = alt.condition("datum.light", alt.value(LIGHT_INK), alt.value(DARK_INK))
    hatches = [
        base.transform_filter(f"datum.{what} > 0")
        .mark_point(
            shape=_hatch(layout.square, layout.height, rising=what == "diverged"), size=4, filled=False,
            strokeWidth=1.1, opacity=1, strokeOpacity=0.42,
        )
        .encode(stroke=alt.condition("datum.light || !isValid(datum.value)", alt.value(PALE), alt.value(DARK_INK)))
        for what in ("diverged", "failed")
        if any(cell[what] for cell in cells)
    ]  # fmt: skip
    digits = base.mark_text(fontSize=layout.digits_size).encode(text="label:N", color=ink)
    layers: list[alt.Chart] = [squares, holes, *hatches, digits]
    if any(cell.get("outlined") for cell in cells):
        layers.append(
            # Inside the square and in the ink of its number: seen on it whatever the page's colour is.
            base.transform_filter("datum.outlined")
            .mark_rect(cornerRadius=3, filled=False, strokeWidth=1.8, width={"band": 0.9}, height={"band": 0.86})
            .encode(stroke=ink)
        )
    drawn: alt.LayerChart = alt.LayerChart(layer=layers).properties(
        width=layout.square * len(layout.columns), height=layout.height * len(layout.rows)
    )
    return drawn


def _base(layout: _Layout, cells: list[dict[str, Any]]) -> alt.Chart:
    crowded = text_width(layout.columns) > layout.square
    return alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X(
            "optimizer:N",
            title=None,
            scale=alt.Scale(domain=layout.columns, paddingInner=0.05, paddingOuter=0.02),
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
            scale=alt.Scale(domain=layout.rows, paddingInner=0.05, paddingOuter=0.02),
            axis=alt.Axis(ticks=False, domain=False, labelPadding=8),
        ),
        tooltip=[
            alt.Tooltip("row:N", title="backbone"),
            alt.Tooltip("optimizer:N"),
            alt.Tooltip("accuracy:N", title="accuracy, 95 % interval"),
            alt.Tooltip("from:N"),
            alt.Tooltip("residual:N", title="beyond row and column"),
            alt.Tooltip("of:N", title="of a mean of"),
            alt.Tooltip("behind:N", title="points below the best"),
            alt.Tooltip("diverged:N", title="diverged, of these"),
            alt.Tooltip("failed:N", title="failed, of all roles"),
            alt.Tooltip("trials:N", title="trials of all roles"),
        ],
    )


def _hatch(width: int, height: int, *, rising: bool) -> str:
    """Slanted lines that fill a square, as the path of a symbol whose size of 4 makes a unit one pixel."""
    half_width, half_height = width / 2 - 2.5, height / 2 - 2.5
    reach, sign = half_width + half_height, -1 if rising else 1
    lines: Sequence[float] = [start * HATCH_SPACING for start in range(-int(reach // HATCH_SPACING), 99)]
    parts = []
    for offset in lines:
        left, right = max(-half_width, offset - half_height), min(half_width, offset + half_height)
        if offset > reach or left >= right:
            continue
        parts.append(f"M{left:.1f},{sign * (left - offset):.1f}L{right:.1f},{sign * (right - offset):.1f}")
    return "".join(parts)
