"""Where the variance lies: parts of every response, the same on other scales, and who carries the interaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.coupling_records import Coupling, ScaleCoupling
from orchestrator.analysis.answers.variance_parts import variance_parts
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.section import Chart, Section, plot, section, spec
from orchestrator.analysis.page.theme import PAGE_WIDTH, PART_COLOURS, clamp, text_width
from orchestrator.analysis.statistics.coupling.influence import LeftOut

CARRIERS = 8
"""Carriers of either kind that are drawn."""


def variance_section(analysis: Analysis) -> Section:
    """Bars by response, then scales and carriers of the headline; nothing without an answer."""
    answered = {name: one for name, one in analysis.coupling.by_response.items() if one.variance is not None}
    if not answered:
        return Section()
    charts = {"variance": spec(_bars(answered), "Parts of the variance of every response")}
    content = [f"<figure>{plot('variance')}</figure>", tables.folded("The parts as a table", _table(answered))]
    if analysis.coupling.scales is not None:
        content.append(
            f'<h3>On other scales</h3><div class="scroll open" tabindex="0">{_scales(analysis.coupling)}</div>'
        )
    if (found := analysis.coupling.influence) is not None:
        kinds = (("optimizers", found.optimizer), ("backbones", found.backbone))
        for kind, carriers in kinds:
            charts[f"carriers-{kind}"] = spec(_carriers(carriers), f"Share of the interaction that {kind} carry")
        boxes = "".join(f"<div><h3>{kind.capitalize()}</h3>{plot(f'carriers-{kind}')}</div>" for kind, _ in kinds)
        content.append(
            f'<h3>Who carries the interaction</h3><p class="caption">{_carriers_caption(analysis.coupling)}</p>'
            f'<figure class="pair">{boxes}</figure>'
            + tables.folded("Carriers, and what is left without them, as a table", _carriers_table(analysis.coupling))
        )
    return section("Where the variance lies", _caption(answered), "".join(content), charts)


def _caption(answered: Mapping[str, Coupling]) -> str:
    parts = [
        "Variance of a result, split into what the backbone, the optimizer and their interaction add, and noise "
        "(of seeds; in tuned results of the design points drawn). C is the coupling index, interaction over "
        "optimizer plus interaction; p is the wild bootstrap's."
    ]
    if not all(one.noise_separated for one in answered.values()):
        parts.append("Where cells have one result each the interaction contains the noise, and C is too high.")
    if any(one.paired for one in answered.values()):
        parts.append(
            "In tuned and shared results a replicate is the same design points in all cells: C is then that of "
            "products of different replicates, and p is too large rather than too small."
        )
    return " ".join(parts)


def _bars(answered: Mapping[str, Coupling]) -> Chart:
    order = list(PART_COLOURS)
    values: list[dict[str, Any]] = []
    notes = []
    for response, one in answered.items():
        start = 0.0
        for part, size in variance_parts(one).named():
            values.append(
                {
                    "response": response, "part": part, "from": start, "to": start + size,
                    "share": wording.share(size), "index": _two(one.index_to_read), "p": wording.p_value(one.p_wild),
                }
            )  # fmt: skip
            start += size
        index, p = one.index_to_read, one.p_wild
        note = [
            f"C = {index:.2f}" if index is not None else "",
            f"p {wording.p_relation(p)}" if p is not None else "",
        ]
        notes.append({"response": response, "at": 1.0, "note": ", ".join(filter(None, note))})
    used = [part for part in order if any(value["part"] == part for value in values)]
    y = alt.Y(
        "response:N", title=None, scale=alt.Scale(domain=list(answered), paddingInner=0.3),
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8),
    )  # fmt: skip
    x = alt.X(
        "from:Q",
        title="share of the variance",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", grid=False),
    )
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(stroke="currentColor", strokeOpacity=0.25, strokeWidth=0.5)
        .encode(
            x=x,
            x2="to:Q",
            y=y,
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=used, range=[PART_COLOURS[part] for part in used]),
                legend=alt.Legend(orient="top", labelLimit=200),
            ),
            tooltip=[
                alt.Tooltip("response:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("share:N"),
                alt.Tooltip("index:N", title="coupling index"),
                alt.Tooltip("p:N", title="p of the coupling test"),
            ],
        )
    )
    labels = (
        alt.Chart(alt.InlineData(values=notes))
        .mark_text(align="left", dx=10, fontSize=11, color="currentColor")
        .encode(x=alt.X("at:Q"), y=y, text="note:N")
    )
    width = clamp(PAGE_WIDTH - text_width(list(answered)) - 200, 300, 520)
    return alt.layer(bars, labels).properties(width=width, height=26 * len(answered))


def _table(answered: Mapping[str, Coupling]) -> str:
    rows = []
    for response, one in answered.items():
        parts = variance_parts(one)
        rows.append(
            (
                response,
                one.note or "",
                f"{one.n_replicates:.3g}" if one.n_replicates is not None else wording.NOTHING,
                *map(wording.share, (parts.backbone, parts.optimizer, parts.interaction, parts.noise)),
                wording.share(one.share),
                _two(one.omega2),
                _two(one.index_to_read),
                wording.p_value(one.p_wild),
                wording.p_value(one.p_f),
            )
        )
    return tables.table(
        "Shares of the variance of one result: variance components by the method of moments, negative ones as 0, and "
        "sums of squares where nothing is replicated. SS share: sum of squares of the interaction over the total; it "
        "contains noise. p (F) is too small where cells differ in variance.",
        ("response", "note"),
        ("replicates", "backbone", "optimizer", "interaction", "noise", "SS share", "omega²", "index", "p", "p (F)"),
        rows,
    )


def _scales(coupling: Coupling) -> str:
    scales = coupling.scales
    assert scales is not None, "asked for with scales only"  # noqa: S101 - our own invariant
    raised = f", {counted(scales.cells_winsorised, 'cell')} raised" if scales.cells_winsorised else ", no cell raised"
    named: dict[str, ScaleCoupling | None] = {
        "points": coupling,
        "log odds": scales.logit,
        "rank within the backbone": scales.rank,
        f"points, failures raised to a floor{raised}": scales.winsorised,
    }
    return tables.table(
        "The same results measured otherwise: coupling that vanishes on another scale is one of scale; coupling of "
        "ranks changes who is best.",
        ("scale",),
        ("interaction, SS share", "omega²", "index", "p", "re-ranking"),
        (
            (
                name,
                wording.share(one.share),
                _two(one.omega2),
                _two(one.index),
                wording.p_value(one.p_wild),
                wording.share(one.muir.reranking) if one.muir else wording.NOTHING,
            )
            for name, one in named.items()
            if one is not None
        ),
    )


def _carriers_caption(coupling: Coupling) -> str:
    return (
        "Each name's share of the interaction (Wricke's ecovalence), and beside it the interaction's share of the "
        f"total sum of squares when that name is left out; with all it is {wording.share(coupling.share)}."
    )


def _carriers(carriers: Sequence[LeftOut]) -> Chart:
    values = [
        {
            "name": one.names[0],
            "carried": one.carried,
            "text": f"{wording.share(one.carried)}; without it {wording.share(one.share)}",
            "without": wording.share(one.share),
            "index": _two(one.index),
        }
        for one in carriers[:CARRIERS]
    ]
    names = [one.names[0] for one in carriers[:CARRIERS]]
    room = alt.Scale(domain=[0, max(one.carried for one in carriers) * 1.6])
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "carried:Q",
            title="share of the interaction",
            scale=room,
            axis=alt.Axis(format=".0%", grid=False, tickCount=5),
        ),
        y=alt.Y(
            "name:N",
            title=None,
            scale=alt.Scale(domain=names),
            axis=alt.Axis(ticks=False, domain=False, labelPadding=6),
        ),
        tooltip=[
            alt.Tooltip("name:N"),
            alt.Tooltip("carried:Q", title="share of the interaction", format=".1%"),
            alt.Tooltip("without:N", title="interaction without it"),
            alt.Tooltip("index:N", title="coupling index without it"),
        ],
    )
    bars = base.mark_bar(color=PART_COLOURS["interaction"], height={"band": 0.7})
    words = base.mark_text(align="left", dx=5, fontSize=10.5, color="currentColor").encode(text="text:N")
    drawn: Chart = alt.layer(bars, words).properties(
        width=clamp(PAGE_WIDTH / 2 - text_width(names) - 70, 220, 420), height=21 * len(names)
    )
    return drawn


def _carriers_table(coupling: Coupling) -> str:
    return tables.table(
        "What is left of the interaction without some names.",
        ("left out", "kind"),
        ("carried", "SS share of what is left", "index of what is left"),
        (
            (
                wording.listed(one.names),
                kind,
                wording.share(one.carried),
                wording.share(one.share),
                _two(one.index),
            )
            for kind, one in _every_carrier(coupling)
        ),
    )


def _every_carrier(coupling: Coupling) -> Iterator[tuple[str, LeftOut]]:
    found = coupling.influence
    assert found is not None, "asked for with carriers only"  # noqa: S101 - our own invariant
    for kind, alone, together in (
        ("optimizer", found.optimizer, found.optimizer_largest),
        ("backbone", found.backbone, found.backbone_largest),
    ):
        yield from ((kind, one) for one in alone)
        yield from ((f"{kind}s together", one) for one in together if len(one.names) > 1)


def _two(value: float | None) -> str:
    return wording.NOTHING if value is None else f"{value:.2f}".replace("-", wording.MINUS)
