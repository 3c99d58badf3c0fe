"""Tuning curves: what a search of n trials can be expected to find, cell by cell, with bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.sensitivity_records import CellSensitivity
from orchestrator.analysis.answers.tuning import TuningPoint
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import lines, tables, wording
from orchestrator.analysis.page.lines import PATH, Frame, Span
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

TITLE = "What tuning brings"
ALL_BANDS = 3
"""Optimizers whose bands can lie over each other and still be told apart."""
FEW_POINTS = 8
"""Points of a design below which its curves are hardly more than an anecdote."""
ROOM = 0.4
"""Share of the range of the curves that is left above and below them for the bands."""


def tuning_section(
    cells: Sequence[CellSensitivity], labels: Mapping[CellKey, str], optimizers: Sequence[str]
) -> Section:
    """Small multiples of tuning curves; one sentence while there is none.

    Args:
        cells: The section `sensitivity` of an analysis.
        labels: How the page calls the backbone of a cell.
        optimizers: In the order of the spec.
    """
    drawn = [cell for cell in cells if cell.tuning_curve]
    if not drawn:
        return section(
            TITLE,
            "No design trial has a score yet: nothing can be said about tuning curves, coupling against tuning "
            "budget, and sensitivity to tuning.",
        )
    figure = f"<figure>{plot('tuning-curves')}</figure>" + tables.folded(
        "The curves as a table", _table(drawn, labels)
    )
    chart = spec(_chart(drawn, labels, optimizers), "Expected best score against tuning trials for each backbone")
    return section(TITLE, _caption(drawn, len(cells), optimizers), figure, {"tuning-curves": chart})


def key_of(cell: CellSensitivity) -> CellKey:
    """The cell's identity."""
    return CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer)


def _caption(drawn: Sequence[CellSensitivity], cells: int, optimizers: Sequence[str]) -> str:
    fewest, most = min(cell.n for cell in drawn), max(cell.n for cell in drawn)
    confidence = drawn[0].band_confidence or 0.0
    bands = f"Bands hold a whole curve with {100 * confidence:.0f} % confidence and may leave the panel"
    if len(optimizers) > ALL_BANDS:
        bands += "; click an optimizer in the legend to see its own"
    parts = [
        "Best score that n random trials can be expected to find, from the common design: a little too high, as its "
        "points are spread more evenly than random ones. "
        "Solid: up to half of the cell's design points. Thin and dashed: beyond, where few points decide. "
        f"{bands}.",
        f"Cells have {fewest if fewest == most else f'{fewest} to {most}'} design "
        f"{'point' if most == 1 else 'points'} with a score.",
    ]
    if fewest < FEW_POINTS:
        parts.append("A curve of so few points says little: the width of its band is the finding.")
    if len(drawn) < cells:
        parts.append(f"{counted(cells - len(drawn), 'cell')} of {cells} have none yet.")
    return " ".join(parts)


def _chart(
    cells: Sequence[CellSensitivity], labels: Mapping[CellKey, str], optimizers: Sequence[str]
) -> alt.FacetChart:
    rows = in_use(labels, map(key_of, cells))
    places = places_of(labels)
    most = max(cell.n for cell in cells)
    frame = Frame(
        x=Span(low=2**-0.1, high=max(2, most) * 2**0.1, base=2),
        y=_height(cells),
        width=panel_width(rows),
        height=HEIGHT,
    )
    values = [
        {"row": labels[key_of(cell)], "place": places[labels[key_of(cell)]], "optimizer": cell.optimizer} | record
        for cell in cells
        for record in _records(cell, frame, dotted=most < FEW_POINTS)
    ]
    axes = {
        "x": alt.Axis(
            title="random trials n",
            values=[2**power for power in range(most.bit_length() + 1)],
            grid=False,
            format="d",
            labelOverlap="greedy",
        ),
        "y": alt.Axis(title="expected best (%)", tickCount=4),
    }
    chosen = chosen_optimizer()
    visible = alt.condition(chosen, alt.value(0.95), alt.value(0.07))
    hidden = alt.value(0.1 if len(optimizers) <= ALL_BANDS else 0)
    base = alt.Chart().encode(color=optimizer_colour(optimizers, "stroke"))
    band = lines.fills(frame, base.transform_filter("datum.part === 'band'"), **axes).encode(
        fillOpacity=alt.condition(chosen, alt.value(0.2), hidden, empty=False)
    )
    firm = lines.strokes(frame, base.transform_filter("datum.part === 'firm'"), strokeWidth=2, **axes).encode(
        strokeOpacity=visible, **optimizer_dashes(optimizers)
    )
    weak = lines.strokes(
        frame, base.transform_filter("datum.part === 'weak'"), strokeWidth=1.2, strokeDash=[2, 3], **axes
    ).encode(strokeOpacity=visible)
    chart = alt.layer(band, firm, weak, data=alt.InlineData(values=values)).add_params(chosen)
    shown = {
        "backbone": "row", "optimizer": "optimizer", "random trials n": "n", "expected best (%)": "mean",
        "band (%)": "ends", "design points": "points",
    }  # fmt: skip
    return panels(chart, rows).properties(usermeta=lines.nearest("n", "mean", shown))


def _records(cell: CellSensitivity, frame: Frame, *, dotted: bool) -> list[dict[str, Any]]:
    """The band, the part of the curve up to half the points, and the rest, which begins where that ends."""
    curve = _thinned(cell.tuning_curve)
    firm = [point for point in curve if not point.flagged]
    ns = [point.n for point in curve]
    band = lines.area(frame, ns, [point.low for point in curve], [point.high for point in curve])
    parts = {"firm": firm, "weak": [*firm[-1:], *curve[len(firm) :]]}
    return [
        {"part": "band", PATH: band},
        *(
            {
                "part": part,
                "n": [point.n for point in points],
                "mean": [round(point.mean, 2) for point in points],
                "ends": [f"{point.low:.2f} to {point.high:.2f}" for point in points],
                "points": cell.n,
                PATH: _outline(frame, points, dotted=dotted),
            }
            for part, points in parts.items()
            if points
        ),
    ]


def _outline(frame: Frame, points: Sequence[TuningPoint], *, dotted: bool) -> str:
    ns, means = [point.n for point in points], [point.mean for point in points]
    return lines.line(frame, ns, means) + (lines.knots(frame, ns, means) if dotted else "")


def _thinned(curve: Sequence[TuningPoint]) -> list[TuningPoint]:
    """Points evenly spread on the logarithmic axis; the ends of the solid and the dashed part always."""
    kept = {round(2 ** (step / 4)) for step in range(4 * len(curve).bit_length() + 1)}
    solid = max((point.n for point in curve if not point.flagged), default=1)
    return [point for point in curve if point.n in kept or point.n in (solid, len(curve))]


def _height(cells: Sequence[CellSensitivity]) -> Span:
    """Room for the curves and for some of their bands."""
    means = [point.mean for cell in cells for point in cell.tuning_curve]
    room = max(1.0, ROOM * (max(means) - min(means)))
    return Span(low=max(0.0, min(means) - room), high=min(100.0, max(means) + room))


def _table(cells: Sequence[CellSensitivity], labels: Mapping[CellKey, str]) -> str:
    rows = []
    for cell in cells:
        curve = cell.tuning_curve
        half = next((point for point in reversed(curve) if not point.flagged), curve[0])
        near = next((volume for volume in cell.p_eps if volume.epsilon == 1), None)
        rows.append(
            (
                labels[key_of(cell)],
                cell.optimizer,
                str(cell.n),
                *map(_with_band, (curve[0], half, curve[-1])),
                wording.number(cell.cpe),
                f"{100 * near.share:.0f} [{100 * near.low:.0f}, {100 * near.high:.0f}]" if near else wording.NOTHING,
                wording.NOTHING if cell.n95 is None else str(cell.n95),
                wording.number(cell.mean_regret),
                wording.number(cell.default_regret),
            )
        )
    confidence = cells[0].band_confidence or 0.0
    return tables.table(
        f"Percent, with the ends of {100 * confidence:.0f} % bands. Near-optimal: the share of design points at "
        "most 1 point below the cell's optimum, with its exact 95 % interval; n95: random trials that find one of "
        "them with probability 0.95.",
        ("backbone", "optimizer"),
        ("points", "1 trial", "half the points", "all points", "mean over budgets (CPE)", "near-optimal (%)", "n95",
         "mean regret", "default regret"),
        rows,
    )  # fmt: skip


def _with_band(point: TuningPoint) -> str:
    return f"{point.mean:.2f} [{point.low:.2f}, {point.high:.2f}]"
