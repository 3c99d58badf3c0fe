"""Weight statistics from the first layer to the last, one line for each optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt

from orchestrator.analysis.answers.layer_profiles import LayerProfile
from orchestrator.analysis.answers.layers import LayerAnswer
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.panels import (
    chosen_optimizer,
    in_use,
    optimizer_colour,
    optimizer_dashes,
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
    places = places_of(labels)
    values = [
        {
            "row": labels[profile.key],
            "place": places[labels[profile.key]],
            "optimizer": profile.key.optimizer,
            "statistic": STATISTICS[profile.statistic],
            "layers": profile.layers,
            "depth": [round(100 * depth, 1) for depth in profile.depth],
            "value": [float(f"{value:.4g}") for value in profile.value],
            "ends": f"{profile.value[0]:.3g} to {profile.value[-1]:.3g}",
        }
        for profile in profiles
    ]
    used = {profile.statistic for profile in profiles}
    names = [name for key, name in STATISTICS.items() if key in used]
    statistic = alt.param(
        name="statistic", value=names[0], bind=alt.binding_select(options=names, name="Statistic: ")
    )
    chosen = chosen_optimizer()
    few = max(len(profile.depth) for profile in profiles) <= FEW_PLACES
    panel = (
        alt.Chart(alt.InlineData(values=values))
        .transform_filter("datum.statistic == statistic")
        .transform_flatten(["depth", "value"])
        .mark_line(strokeWidth=1.8, interpolate="monotone", point={"size": 18, "filled": True} if few else False)
        .encode(
            x=alt.X(
                "depth:Q",
                title="depth (%)",
                scale=alt.Scale(domain=[0, 100]),
                axis=alt.Axis(tickCount=4, grid=False),
            ),
            # Room for the labels of every statistic: the axis is laid out once, for the first.
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4, minExtent=34)),
            color=optimizer_colour(optimizers, "stroke"),
            opacity=alt.condition(chosen, alt.value(0.9), alt.value(0.07)),
            tooltip=[
                alt.Tooltip("row:N", title="backbone"),
                alt.Tooltip("optimizer:N"),
                alt.Tooltip("statistic:N"),
                alt.Tooltip("ends:N", title="first to last"),
                alt.Tooltip("layers:Q"),
            ],
            **optimizer_dashes(optimizers),
        )
        .add_params(chosen)
    )
    rows = in_use(labels, (profile.key for profile in profiles))
    chart: alt.FacetChart = panels(panel, rows, height=150).add_params(statistic)
    return chart


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
