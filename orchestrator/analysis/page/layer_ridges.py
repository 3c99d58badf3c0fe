"""Weight statistics from the first layer to the last, one line for each optimizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.layer_profiles import LayerProfile
from orchestrator.analysis.answers.layers import LayerAnswer
from orchestrator.analysis.page import lines, tables, wording
from orchestrator.analysis.page.lines import PATH, ROOM, Frame, Span, span_of
from orchestrator.analysis.page.panels import (
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

STATISTICS = {
    "alpha": "power-law exponent alpha",
    "entropy": "entropy (nats)",
    "l2_norm": "L2 norm",
    "pca_energy": "PCA energy (share)",
}
FEW_PLACES = 4
PANEL_HEIGHT = 150


def layer_section(
    profiles: Sequence[LayerProfile],
    answer: LayerAnswer | None,
    labels: Mapping[CellKey, str],
    optimizers: Sequence[str],
) -> Section:
    """Small multiples of weight statistics along depth; nothing where no layers were measured."""
    if not profiles or answer is None:
        return Section()
    content = f"<figure>{plot('layer-ridges')}</figure>"
    content += tables.folded("Medians over layers as a table", _table(answer, labels))
    content += tables.folded("How they go with accuracy", _correlations(answer))
    chart = spec(_chart(profiles, labels, optimizers), "Weight statistics along the depth of each network")
    return section("Layers of the trained networks", _caption(profiles, answer), content, {"layer-ridges": chart})


def _caption(profiles: Sequence[LayerProfile], answer: LayerAnswer) -> str:
    roles = sorted({profile.role for profile in profiles})
    parts = [
        "A statistic of the trained weights along the depth of the network (choose it below the plot), from the "
        f"{' and '.join(roles)} trials that stand for a cell. alpha: exponent of the power law in a layer's "
        "eigenvalues, from layers with at least 50 rows and columns. Networks with many layers: medians over parts "
        "of equal depth. None of these causes accuracy."
    ]
    if answer.dropped_trials:
        parts.append(f"Trials with layers that are not used: {answer.dropped_trials:,}.")
    return " ".join(parts)


def _chart(
    profiles: Sequence[LayerProfile], labels: Mapping[CellKey, str], optimizers: Sequence[str]
) -> alt.FacetChart:
    rows = in_use(labels, (profile.key for profile in profiles))
    frames = {
        key: _frame([profile for profile in profiles if profile.statistic == key], panel_width(rows))
        for key in STATISTICS
        if any(profile.statistic == key for profile in profiles)
    }
    places = places_of(labels)
    few = max(len(profile.depth) for profile in profiles) <= FEW_PLACES
    values = [
        {
            "row": labels[profile.key],
            "place": places[labels[profile.key]],
            "optimizer": profile.key.optimizer,
            "statistic": STATISTICS[profile.statistic],
            "layers": profile.layers,
            **_line(profile, frames[profile.statistic], dotted=few),
        }
        for profile in profiles
    ]
    names = [STATISTICS[key] for key in frames]
    statistic = alt.param(
        name="statistic", value=names[0], bind=alt.binding_select(options=names, name="Statistic: ")
    )
    chosen = chosen_optimizer()
    panel = (
        lines.strokes(
            next(iter(frames.values())),
            alt.Chart(alt.InlineData(values=values)).transform_filter("datum.statistic == statistic"),
            strokeWidth=1.8,
            x=alt.Axis(title="depth (%)", tickCount=4, grid=False),
            y=alt.Axis(),
        )
        .encode(
            y=_vertical(frames),
            color=optimizer_colour(optimizers, "stroke"),
            strokeOpacity=alt.condition(chosen, alt.value(0.9), alt.value(0.07)),
            **optimizer_dashes(optimizers),
        )
        .add_params(chosen)
    )
    shown = {
        "backbone": "row", "optimizer": "optimizer", "statistic": "statistic", "depth (%)": "depth", "value": "value",
        "layers": "layers",
    }  # fmt: skip
    chart: alt.FacetChart = panels(panel, rows, height=PANEL_HEIGHT).add_params(statistic)
    return chart.properties(usermeta=lines.nearest("depth", "value", shown))


def _frame(profiles: Sequence[LayerProfile], width: int) -> Frame:
    values = span_of((value for profile in profiles for value in profile.value), room=ROOM)
    return Frame(x=Span(low=0, high=100), y=values, width=width, height=PANEL_HEIGHT)


def _line(profile: LayerProfile, frame: Frame, *, dotted: bool) -> dict[str, Any]:
    depth, value = [100 * depth for depth in profile.depth], profile.value
    path = lines.line(frame, depth, value) + (lines.knots(frame, depth, value) if dotted else "")
    return {
        "depth": [round(place, 1) for place in depth],
        "value": [float(f"{one:.4g}") for one in value],
        "low": frame.y.low,
        PATH: path,
    }


def _vertical(frames: Mapping[str, Frame]) -> alt.Y:
    """The vertical axis of the chosen statistic."""

    def end(side: str) -> alt.ExprRef:
        ends = {STATISTICS[key]: getattr(frame.y, side) for key, frame in frames.items()}
        return alt.ExprRef(expr=f"{json.dumps(ends)}[statistic]")

    return alt.Y(
        "low:Q",
        scale=alt.Scale(domainMin=end("low"), domainMax=end("high"), nice=False, zero=False),
        # Room for the labels of every statistic: the axis is laid out once, for the first.
        axis=alt.Axis(title=None, tickCount=4, minExtent=34),
    )


def _table(answer: LayerAnswer, labels: Mapping[CellKey, str]) -> str:
    return tables.table(
        "Medians over layers, then over trials. Accuracy: mean of these trials, in percent.",
        ("backbone", "optimizer", "role"),
        ("trials", "alpha", "layers of alpha", "entropy", "L2 norm", "PCA energy", "accuracy"),
        (
            (
                labels[CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer)],
                cell.optimizer,
                cell.role,
                str(cell.trials),
                wording.number(cell.alpha),
                str(cell.alpha_layers),
                wording.number(cell.entropy),
                wording.number(cell.l2_norm),
                wording.number(cell.pca_energy, 3),
                wording.number(cell.score),
            )
            for cell in answer.cells
        ),
    )


def _correlations(answer: LayerAnswer) -> str:
    return tables.table(
        "Correlation over cells of a statistic's median with accuracy. Only the one within backbones says anything "
        "about optimizers; weight decay moves both, so the last column holds it constant.",
        ("statistic", "reverses"),
        ("over all cells", "within backbones", "with weight decay held constant"),
        (
            (
                STATISTICS[found.statistic],
                "yes: the two have opposite signs" if found.reverses else "no",
                wording.number(found.by_backbone.pooled),
                wording.number(found.by_backbone.within),
                wording.number(found.given_weight_decay),
            )
            for found in answer.correlations
        ),
    )
