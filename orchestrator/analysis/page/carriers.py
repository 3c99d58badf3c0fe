"""Who carries the interaction, and what is left of it without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import altair as alt

from orchestrator.analysis.answers.coupling_records import Coupling
from orchestrator.analysis.counted import listed
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.section import Chart, Section, plot, spec
from orchestrator.analysis.page.theme import PAGE_WIDTH, PART_COLOURS, clamp, text_width
from orchestrator.analysis.statistics.coupling.influence import Influence, LeftOut

CARRIERS = 8
"""Carriers of either kind that are drawn."""


def carriers_part(coupling: Coupling) -> Section:
    """Bars and a table of both kinds of carriers; nothing where there are none."""
    found = coupling.influence
    if found is None:
        return Section()
    kinds = {"optimizers": found.optimizer, "backbones": found.backbone}
    charts = {
        f"carriers-{kind}": spec(_bars(carriers), f"Share of the interaction that {kind} carry")
        for kind, carriers in kinds.items()
    }
    boxes = "".join(f"<div><h3>{kind.capitalize()}</h3>{plot(f'carriers-{kind}')}</div>" for kind in kinds)
    html = (
        f'<h3>Who carries the interaction</h3><p class="caption">{_caption(coupling)}</p>'
        f'<figure class="pair">{boxes}</figure>'
        + tables.folded("Carriers, and what is left without them, as a table", _table(found))
    )
    return Section(html=html, charts=charts)


def _caption(coupling: Coupling) -> str:
    return (
        "Each name's share of the interaction (Wricke's ecovalence), and beside it the interaction's share of the "
        f"total sum of squares when that name is left out; with all it is {wording.share(coupling.share)}."
    )


def _bars(carriers: Sequence[LeftOut]) -> Chart:
    values = [
        {
            "name": one.names[0],
            "carried": one.carried,
            "text": f"{wording.share(one.carried)}; without it {wording.share(one.share)}",
            "without": wording.share(one.share),
            "index": wording.number(one.index),
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


def _table(found: Influence) -> str:
    return tables.table(
        "What is left of the interaction without some names.",
        ("left out", "kind"),
        ("carried", "SS share of what is left", "index of what is left"),
        (
            (
                listed(one.names),
                kind,
                wording.share(one.carried),
                wording.share(one.share),
                wording.number(one.index),
            )
            for kind, one in _every_carrier(found)
        ),
    )


def _every_carrier(found: Influence) -> Iterator[tuple[str, LeftOut]]:
    for kind, alone, together in (
        ("optimizer", found.optimizer, found.optimizer_largest),
        ("backbone", found.backbone, found.backbone_largest),
    ):
        yield from ((kind, one) for one in alone)
        yield from ((f"{kind}s together", one) for one in together if len(one.names) > 1)
