"""Sensitivity against performance: how good each optimizer is when tuned, and what one setting for all costs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.optimizers import OptimizerSensitivity
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.direct_labels import place_names
from orchestrator.analysis.page.panels import colour_scale
from orchestrator.analysis.page.section import Section, plot, section, spec

TITLE = "Sensitivity against performance"
WIDTH, HEIGHT = 640, 320


def plane_section(found: Sequence[OptimizerSensitivity], optimizers: Sequence[str]) -> Section:
    """Adkins' plane with the table of the optimizers; nothing without a design trial that has a score.

    Args:
        found: The section `optimizers` of an analysis.
        optimizers: In the order of the spec.
    """
    known = [one for one in found if one.cells]
    if not known:
        return Section()
    drawn = [one for one in known if one.shared_regret is not None and one.tuned_score is not None]
    content = f"<figure>{plot('sensitivity-plane')}</figure>" if drawn else ""
    content += tables.shown("Sensitivity of the optimizers", _table(known))
    charts = {}
    if drawn:
        chart = _chart(drawn, optimizers)
        charts["sensitivity-plane"] = spec(chart, "What one setting for all backbones costs, against the tuned score")
    return section(TITLE, _caption(drawn), content, charts)


def _caption(drawn: Sequence[OptimizerSensitivity]) -> str:
    if not drawn:
        return "No optimizer has one design point with a score on every backbone yet: there is no plane to draw."
    parts = [
        "Up: the mean over backbones of the best design score. Right: what is lost of it with the one setting that "
        "is best for all backbones together. Upper left is best: good when tuned, and little lost without tuning "
        "for each backbone. The best of many noisy scores is too high, and with it both numbers."
    ]
    rows = sorted({one.phi_backbones for one in drawn})
    if rows[0] < 2:
        parts.append("With a single backbone nothing is shared, and nothing lost.")
    else:
        fewest, most = (end(one.phi_points for one in drawn) for end in (min, max))
        parts.append(f"From at least {counted(fewest, 'setting')} on {' or '.join(map(str, rows))} backbones.")
        if most > 1.5 * fewest:
            parts.append(f"Optimizers with more settings so far (up to {most}) look better tuned for that alone.")
        if fewest < 8:
            parts.append("So few settings say little: another design could turn the order round.")
    return " ".join(parts)


def _chart(drawn: Sequence[OptimizerSensitivity], optimizers: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    x = [one.shared_regret or 0.0 for one in drawn]
    y = [one.tuned_score or 0.0 for one in drawn]
    across, up = _domain([0.0, *x]), _domain(y)
    places = place_names(
        [wording.short(one.optimizer) for one in drawn],
        [WIDTH * (value - across[0]) / (across[1] - across[0]) for value in x],
        [HEIGHT * (up[1] - value) / (up[1] - up[0]) for value in y],
        width=WIDTH,
        height=HEIGHT,
    )
    values = [
        {
            "optimizer": one.optimizer,
            "name": wording.short(one.optimizer),
            "x": round(x[at], 4),
            "y": round(y[at], 4),
            "phi": wording.number(one.phi, 3),
            "setting": ", ".join(f"{name} = {_short(value)}" for name, value in (one.shared_setting or {}).items()),
            "backbones": one.phi_backbones,
            "diverged": wording.percent(one.divergence_rate, 1),
        }
        for at, one in enumerate(drawn)
    ]
    points = _base(values, across, up).mark_point(filled=True, size=95, opacity=1)
    points = points.encode(color=alt.Color("optimizer:N", scale=colour_scale(optimizers), legend=None))
    # One layer for each name: an offset cannot be read from the data.
    names = [
        alt.Chart(alt.InlineData(values=[value]))
        .mark_text(dx=place.dx, dy=place.dy, align=place.align, baseline="middle", fontSize=12, color="currentColor")
        .encode(x="x:Q", y="y:Q", text="name:N")
        for value, place in zip(values, places, strict=True)
    ]
    return alt.layer(points, *names).properties(width=WIDTH, height=HEIGHT)


def _base(values: list[dict[str, Any]], across: list[float], up: list[float]) -> alt.Chart:
    """The axes, and what pointing at an optimizer shows."""
    chart: alt.Chart = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "x:Q",
            title="points lost by one setting for all backbones",
            scale=alt.Scale(domain=across, nice=False),
            axis=alt.Axis(tickCount=6),
        ),
        y=alt.Y(
            "y:Q",
            title="best design score, mean over backbones (%)",
            scale=alt.Scale(domain=up, nice=False),
            axis=alt.Axis(tickCount=5),
        ),
        tooltip=[
            alt.Tooltip("optimizer:N"),
            alt.Tooltip("y:Q", title="tuned (%)", format=".2f"),
            alt.Tooltip("x:Q", title="lost by one setting (points)", format=".2f"),
            alt.Tooltip("phi:N", title="phi"),
            alt.Tooltip("setting:N", title="that setting"),
            alt.Tooltip("backbones:Q"),
            alt.Tooltip("diverged:N", title="diverged (%)"),
        ],
    )
    return chart


def _domain(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    room = max(0.25, 0.1 * (high - low))
    return [low - room, high + room]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(found: Sequence[OptimizerSensitivity]) -> str:
    return tables.table(
        "Scores and regrets in percentage points, means over the cells with a design score. Lost: by one setting "
        "for all backbones; phi is the same in shares of each backbone's range of scores. Default regret: what the "
        "default setting lacks to the optimum. CPE: mean of the tuning curve over budgets. lr width: decades of "
        "learning rates within 1 point of the best, median; + where the rates tried end first in some cells. "
        "Boundary: cells whose optimum lies at an end of a range.",
        ("optimizer",),
        ("cells", "tuned", "lost", "phi", "mean regret", "default regret", "CPE", "lr width", "boundary %",
         "diverged %"),
        (
            (
                one.optimizer,
                str(one.cells),
                wording.number(one.tuned_score),
                wording.number(one.shared_regret),
                wording.number(one.phi, 3),
                wording.number(one.mean_regret),
                wording.number(one.default_regret),
                wording.number(one.cpe),
                wording.number(one.lr_width) + ("+" if one.lr_width_censored else ""),
                wording.percent(one.boundary_share, 0),
                wording.percent(one.divergence_rate, 1),
            )
            for one in found
        ),
    )  # fmt: skip
