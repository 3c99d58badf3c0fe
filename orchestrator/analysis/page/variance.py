"""Where the variance lies: parts of every response, the same on other scales, and who carries the interaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import altair as alt

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.coupling_records import Coupling, ScaleCoupling
from orchestrator.analysis.answers.variance_parts import variance_parts
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.carriers import carriers_part
from orchestrator.analysis.page.section import Chart, Section, plot, section, spec
from orchestrator.analysis.page.theme import PAGE_WIDTH, PART_COLOURS, clamp, text_width


def variance_section(analysis: Analysis) -> Section:
    """Bars by response, then scales and carriers of the headline; nothing without an answer."""
    answered = {name: one for name, one in analysis.coupling.by_response.items() if one.variance is not None}
    if not answered:
        return Section()
    carriers = carriers_part(analysis.coupling)
    drawn = spec(_bars(answered), "Parts of the variance of every response")
    content = [f"<figure>{plot('variance')}</figure>", tables.folded("The parts as a table", _table(answered))]
    if analysis.coupling.scales is not None:
        content.append(
            f'<h3>On other scales</h3><div class="scroll open" tabindex="0">{_scales(analysis.coupling)}</div>'
        )
    content.append(carriers.html)
    charts = {"variance": drawn, **carriers.charts}
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
    y = alt.Y(
        "response:N", title=None, scale=alt.Scale(domain=list(answered), paddingInner=0.3),
        axis=alt.Axis(ticks=False, domain=False, labelPadding=8),
    )  # fmt: skip
    notes = [{"response": response, "at": 1.0, "note": _note(one)} for response, one in answered.items()]
    words = (
        alt.Chart(alt.InlineData(values=notes))
        .mark_text(align="left", dx=10, fontSize=11, color="currentColor")
        .encode(x=alt.X("at:Q"), y=y, text="note:N")
    )
    width = clamp(PAGE_WIDTH - text_width(list(answered)) - 200, 300, 520)
    return alt.layer(_stacks(answered, y), words).properties(width=width, height=26 * len(answered))


def _note(one: Coupling) -> str:
    """What stands beside a bar."""
    index, p = one.index_to_read, one.p_wild
    said = (f"C = {index:.2f}" if index is not None else "", f"p {wording.p_relation(p)}" if p is not None else "")
    return ", ".join(filter(None, said))


def _stacks(answered: Mapping[str, Coupling], y: alt.Y) -> alt.Chart:
    """The parts of every response, end to end."""
    values = [record for response, one in answered.items() for record in _records(response, one)]
    used = [part for part in PART_COLOURS if any(value["part"] == part for value in values)]
    colours = alt.Scale(domain=used, range=[PART_COLOURS[part] for part in used])
    stacks: alt.Chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(stroke="currentColor", strokeOpacity=0.25, strokeWidth=0.5)
        .encode(
            x=alt.X(
                "from:Q",
                title="share of the variance",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", grid=False),
            ),
            x2="to:Q",
            y=y,
            color=alt.Color("part:N", title=None, scale=colours, legend=alt.Legend(orient="top", labelLimit=200)),
            tooltip=[
                alt.Tooltip("response:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("share:N"),
                alt.Tooltip("index:N", title="coupling index"),
                alt.Tooltip("p:N", title="p of the coupling test"),
            ],
        )
    )
    return stacks


def _records(response: str, one: Coupling) -> Iterator[dict[str, Any]]:
    start = 0.0
    for part, size in variance_parts(one).named():
        yield {
            "response": response, "part": part, "from": start, "to": start + size, "share": wording.share(size),
            "index": wording.number(one.index_to_read), "p": wording.p_value(one.p_wild),
        }  # fmt: skip
        start += size


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
                wording.number(one.omega2),
                wording.number(one.index_to_read),
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
                wording.number(one.omega2),
                wording.number(one.index),
                wording.p_value(one.p_wild),
                wording.share(one.muir.reranking) if one.muir else wording.NOTHING,
            )
            for name, one in named.items()
            if one is not None
        ),
    )
