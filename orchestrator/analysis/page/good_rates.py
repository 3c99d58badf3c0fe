"""Which learning rates do: the range within a point of the best, cell by cell, and where the default lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.rate_response import RateResponse
from orchestrator.analysis.answers.sensitivity_records import CellSensitivity
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.panels import colour_scale, in_use, panels, places_of
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.theme import clamp, text_width
from orchestrator.analysis.page.tuning import key_of
from orchestrator.analysis.trials.cells import CellKey


def good_rates_section(
    cells: Sequence[CellSensitivity],
    labels: Mapping[CellKey, str],
    optimizers: Sequence[str],
    default_rates: Mapping[str, float],
) -> Section:
    """The range of learning rates that do in each cell; nothing where no cell has one.

    Args:
        cells: The section `sensitivity` of an analysis.
        labels: How the page calls the backbone of a cell.
        optimizers: In the order of the spec.
        default_rates: Default learning rate of the optimizers for which one is known.
    """
    ranges = {key_of(cell): cell.lr_response for cell in cells if cell.lr_response and cell.lr_response.good_rates}
    if not ranges:
        return Section()
    epsilon = next(iter(ranges.values())).epsilon
    caption = (
        f"Learning rates around the best one at which the best design score is at most {epsilon:g} percentage point "
        "lower: the wider, the less the choice matters. Noise of that size makes ranges too narrow. Dot: the best. "
        "Triangle: the rates tried end there, so the range may go on. Upright stroke: the optimizer's default."
    )
    if len(ranges) < len(cells):
        caption += f" {counted(len(cells) - len(ranges), 'cell')} of {len(cells)} have too few points for a range."
    figure = f"<figure>{plot('good-rates')}</figure>" + tables.folded(
        "The ranges as a table", _table(ranges, labels, default_rates)
    )
    chart = spec(_chart(ranges, labels, optimizers, default_rates), "Good learning rates of every cell")
    return section("Learning rates that do", caption, figure, {"good-rates": chart})


def _chart(
    ranges: Mapping[CellKey, RateResponse],
    labels: Mapping[CellKey, str],
    optimizers: Sequence[str],
    default_rates: Mapping[str, float],
) -> alt.FacetChart:
    places = places_of(labels)
    used = [name for name in optimizers if any(key.optimizer == name for key in ranges)]
    values = [
        _record(key, found, labels[key], places[labels[key]], default_rates.get(key.optimizer))
        for key, found in ranges.items()
    ]
    step = clamp(200 / len(used), 13, 24)
    base = _base(used, optimizers, step)
    powers = _powers_of_ten(values)

    def at(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q",
            title="learning rate",
            scale=alt.Scale(type="log", nice=False, padding=6),
            axis=alt.Axis(format="~g", values=powers, labelOverlap="greedy"),
        )

    bars = base.mark_rule(strokeWidth=6, opacity=0.45, strokeCap="round").encode(x=at("low"), x2="high:Q")
    defaults = (
        base.transform_filter("isValid(datum.default)")
        .mark_tick(thickness=2, size=0.8 * step, color="currentColor", opacity=0.75)
        .encode(x=at("default"), color=alt.value("currentColor"))
    )
    dots = base.mark_point(filled=True, size=46, opacity=1).encode(x=at("best"))
    ends = [
        base.transform_filter(f"datum.{field}_open")
        .mark_point(filled=True, size=46, opacity=1, shape=shape, xOffset=offset)
        .encode(x=at(field))
        for field, shape, offset in (("low", "triangle-left", -5), ("high", "triangle-right", 5))
        if any(value[f"{field}_open"] for value in values)
    ]
    if any(value["default"] is not None for value in values):
        ends.insert(0, defaults)
    # A layer without data would leave its axis without an extent.
    chart = alt.layer(bars, *ends, dots, data=alt.InlineData(values=values))
    rows = in_use(labels, ranges)
    return panels(chart, rows, height=step * len(used), margin=text_width(used, 110))


def _base(used: Sequence[str], optimizers: Sequence[str], step: int) -> alt.Chart:
    """What all layers have in common: a line for each optimizer, its colour, and what pointing shows."""
    chart: alt.Chart = alt.Chart().encode(
        y=alt.Y(
            "optimizer:N",
            title=None,
            scale=alt.Scale(domain=list(used)),
            axis=alt.Axis(ticks=False, domain=False, labelLimit=110, labelFontSize=10 if step < 14 else 11),
        ),
        color=alt.Color("optimizer:N", scale=colour_scale(optimizers), legend=None),
        tooltip=[
            alt.Tooltip("row:N", title="backbone"),
            alt.Tooltip("optimizer:N"),
            alt.Tooltip("best:Q", title="best rate", format=".2~e"),
            alt.Tooltip("low:Q", title="from", format=".2~e"),
            alt.Tooltip("high:Q", title="to", format=".2~e"),
            alt.Tooltip("decades:N", title="decades"),
            alt.Tooltip("default:Q", title="default", format=".2~e"),
        ],
    )
    return chart


def _powers_of_ten(values: Sequence[Mapping[str, Any]]) -> list[float]:
    rates = [value[field] for value in values for field in ("low", "high", "default") if value[field]]
    first, last = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
    return [float(f"1e{power}") for power in range(first, last + 1)]


def _record(key: CellKey, found: RateResponse, row: str, place: int, default: float | None) -> dict[str, Any]:
    low, high = _ends(found)
    return {
        "row": row,
        "place": place,
        "optimizer": key.optimizer,
        "low": float(f"{low:.4g}"),
        "high": float(f"{high:.4g}"),
        "best": float(f"{found.best_rate:.4g}"),
        "low_open": found.censored in ("low", "both"),
        "high_open": found.censored in ("high", "both"),
        "decades": _decades(found),
        "default": default,
    }


def _ends(found: RateResponse) -> tuple[float, float]:
    assert found.good_rates is not None, "cells without a range are left out"  # noqa: S101 - our own invariant
    return found.good_rates


def _decades(found: RateResponse) -> str:
    return f"{'at least ' if found.censored else ''}{wording.number(found.width)}"


def _table(
    ranges: Mapping[CellKey, RateResponse], labels: Mapping[CellKey, str], default_rates: Mapping[str, float]
) -> str:
    return tables.table(
        "Learning rates, and the width of their range in decades.",
        ("backbone", "optimizer"),
        ("best", "from", "to", "decades", "default", "points lost per decade below", "above"),
        (
            (
                labels[key],
                key.optimizer,
                f"{found.best_rate:.3g}",
                *(f"{rate:.3g}" for rate in _ends(found)),
                _decades(found),
                f"{default_rates[key.optimizer]:.3g}" if key.optimizer in default_rates else wording.NOTHING,
                wording.number(found.left_slope),
                wording.number(found.right_slope),
            )
            for key, found in ranges.items()
        ),
    )
