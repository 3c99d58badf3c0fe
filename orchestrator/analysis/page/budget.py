"""C(n): whether the coupling of backbones and optimizers goes away with tuning."""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from orchestrator.analysis.answers.budget import CouplingByBudget, CouplingPoint
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import lines, tables, wording
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.theme import OPTIMIZER_COLOURS

TITLE = "Coupling against tuning budget"


def budget_section(answer: CouplingByBudget) -> Section:
    """The coupling that is left when every cell is tuned by n random trials."""
    if not answer.budgets:
        return section(TITLE, f"Not known yet: {answer.missing}.")
    figure = f"<figure>{plot('coupling-by-budget')}</figure>" + tables.folded(
        "The numbers as a table", _table(answer)
    )
    chart = spec(_chart(answer), "Standard deviation of the coupling against tuning trials of a cell")
    return section(TITLE, _caption(answer), figure, {"coupling-by-budget": chart})


def _caption(answer: CouplingByBudget) -> str:
    parts = [
        "Standard deviation of the interaction of backbone and optimizer, in percentage points, when every cell is "
        "tuned by n random trials. A curve that falls to zero says that tuning removes the coupling: backbones then "
        "only differ in how much tuning they need; one that stays up says that they prefer different optimizers "
        "also with the largest of these budgets. Bars: 95 % intervals; an estimate below zero stands at zero.",
        f"From {counted(answer.points, 'design point')} of {counted(answer.backbones, 'backbone')} and "
        f"{counted(answer.optimizers, 'optimizer')}.",
    ]
    if any(point.flagged for point in answer.budgets):
        parts.append(
            "Hollow: above half of the points, where the noise of the design counts as coupling: too high, and "
            "without an interval."
        )
    if not any(point.low is not None for point in answer.budgets):
        parts.append("No budget has an interval yet: these points alone say little.")
    if answer.estimator == "disjoint sets":
        parts.append(
            "Where the points lie in the search space was not recorded: they are taken for random, which gives too "
            "small a coupling where they are spread more evenly."
        )
    for what, left_out in (("Backbones", answer.backbones_left_out), ("Optimizers", answer.optimizers_left_out)):
        if left_out:
            parts.append(f"{what} left out for want of trials: {', '.join(left_out)}.")
    return " ".join(parts)


def _chart(answer: CouplingByBudget) -> alt.LayerChart | alt.FacetChart:
    values = [_record(point) for point in answer.budgets]
    firm = [point.n for point in answer.budgets if not point.flagged]
    last = max(point.n for point in answer.budgets)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "n:Q",
            title="random trials n that each cell is tuned by",
            scale=alt.Scale(type="log", base=2, domain=[1, max(2, last)], nice=False, padding=24),
            axis=alt.Axis(values=[point.n for point in answer.budgets], grid=False, format="d"),
        ),
        y=alt.Y(
            "sd:Q", title="coupling (percentage points)", scale=alt.Scale(domainMin=0), axis=alt.Axis(tickCount=5)
        ),
    )
    colour = OPTIMIZER_COLOURS[0]
    begin = max(firm, default=0)
    # A layer without data would leave its axis without an extent.
    line = base.transform_filter("!datum.flagged").mark_line(color=colour, strokeWidth=2)
    beyond = base.transform_filter(f"datum.n >= {begin}").mark_line(color=colour, strokeWidth=1.5, strokeDash=[3, 3])
    bars = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(color=colour, strokeWidth=5, opacity=0.3, strokeCap="round")
        .encode(y=alt.Y("low:Q", title="coupling (percentage points)"), y2="high:Q")
    )
    full = base.transform_filter("!datum.flagged").mark_point(filled=True, size=70, color=colour, opacity=1)
    hollow = base.transform_filter("datum.flagged").mark_point(size=60, color=colour, strokeWidth=2, opacity=1)
    layers = [
        (bars, any(value["low"] is not None for value in values)),
        (line, bool(firm)),
        (beyond, True),
        (full, bool(firm)),
        (hollow, len(firm) < len(values)),
    ]
    shown = {
        "trials n": "n", "coupling (points)": "coupling", "95 % interval": "interval", "as a variance": "variance",
        "mean expected best (%)": "score", "note": "note",
    }  # fmt: skip
    return alt.layer(*(layer for layer, has_data in layers if has_data)).properties(
        width=560, height=230, usermeta=lines.nearest("n", "sd", shown)
    )


def _record(point: CouplingPoint) -> dict[str, Any]:
    ends = None if point.low is None or point.high is None else (_root(point.low), _root(point.high))
    return {
        "n": point.n,
        "sd": round(_root(point.sigma2_interaction), 4),
        "coupling": f"{_root(point.sigma2_interaction):.2f}",
        "low": ends and round(ends[0], 4),
        "high": ends and round(ends[1], 4),
        "interval": f"[{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "none",
        "variance": wording.number(point.sigma2_interaction),
        "score": f"{point.mean_score:.2f}",
        "flagged": point.flagged,
        "note": "above half of the points: too high" if point.flagged else wording.NOTHING,
    }


def _root(variance: float) -> float:
    return math.sqrt(max(0.0, variance))


def _table(answer: CouplingByBudget) -> str:
    return tables.table(
        "Variance components in squared percentage points, as estimated: they may be negative. Index: interaction "
        "over optimizer and interaction.",
        ("note",),
        ("n", "interaction", "low", "high", "optimizer", "backbone", "index", "mean expected best"),
        (
            (
                "too high" if point.flagged else "",
                str(point.n),
                *map(
                    wording.number,
                    (point.sigma2_interaction, point.low, point.high, point.sigma2_optimizer, point.sigma2_backbone,
                     point.index, point.mean_score),
                ),
            )
            for point in answer.budgets
        ),
    )  # fmt: skip
