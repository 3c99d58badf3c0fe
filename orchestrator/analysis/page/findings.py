"""The verdict at the head of the page: the answer in a sentence, its key numbers, and what else was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.coupling_records import CouplingSection
from orchestrator.analysis.answers.regret import RegretAnswer
from orchestrator.analysis.answers.verdict import LEVEL, verdict
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.section import Section

SAID_ABOVE = ("coupling", "generalist")
"""Topics that the first sentence and the key numbers tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNumber:
    """One number of the verdict, as strings."""

    name: str
    value: str
    meaning: str


def findings_section(analysis: Analysis) -> Section:
    """The primary answer first; where nothing can be said, why."""
    found = verdict(analysis)
    first = " ".join(one.sentence for one in found if one.topic == "coupling")
    others = "".join(f"<li>{escape(one.sentence)}</li>" for one in found if one.topic not in SAID_ABOVE)
    numbers = "".join(
        f"<div><dt>{escape(one.name)}</dt><dd><b>{escape(one.value)}</b><span>{escape(one.meaning)}</span></dd></div>"
        for one in key_numbers(analysis)
    )
    html = [
        '<section class="findings"><h2>What was found</h2>',
        f'<p class="answer">{escape(first)}</p>',
        f'<dl class="figures">{numbers}</dl>' if numbers else "",
        f'<ul class="verdict">{others}</ul>' if others else "",
        "</section>",
    ]
    return Section(html="".join(html))


def key_numbers(analysis: Analysis) -> tuple[KeyNumber, ...]:
    """Those that the sweep has; what it lacks for the main ones is said in their place."""
    return (*_of_coupling(analysis), *(_of_regret(analysis.regret) if analysis.regret else ()))


def _of_coupling(analysis: Analysis) -> Iterator[KeyNumber]:
    coupling = analysis.coupling
    if coupling.share is None:
        return
    yield KeyNumber(
        name="Coupling index",
        value=wording.NOTHING if coupling.index is None else f"{coupling.index:.2f}",
        meaning=f"of the variance due to optimizers depends on the backbone{_reservation(coupling)}",
    )
    p = coupling.p_wild
    yield KeyNumber(
        name="p of the coupling test",
        value=wording.p_value(p),
        meaning="needs cells with repetitions"
        if p is None
        else "wild bootstrap: more than seeds alone would do"
        if p < LEVEL
        else "wild bootstrap: seeds alone may do as much",
    )
    if analysis.ranks is not None and analysis.ranks.kendall_w is not None:
        yield KeyNumber(
            name="Agreement W",
            value=f"{analysis.ranks.kendall_w:.2f}",
            meaning="of backbones on the order of optimizers; 1 is the same everywhere",
        )


def _reservation(coupling: CouplingSection) -> str:
    if not coupling.noise_separated:
        return ", noise included"
    return ", if it is more than noise" if coupling.p_wild is not None and coupling.p_wild >= LEVEL else ""


def _of_regret(regret: RegretAnswer) -> Iterator[KeyNumber]:
    name = regret.generalist
    yield KeyNumber(
        name="Best single optimizer",
        value=name,
        meaning=f"{regret.mean[name]:.2f} points behind the best on average, {regret.max[name]:.2f} at most",
    )
    gain = regret.gain
    if gain.cross_fitted is None:
        yield KeyNumber(
            name="Gain of choosing", value=f"\N{LESS-THAN OR EQUAL TO} {gain.plug_in:.2f}",
            meaning="points by taking each backbone's best instead; without repetitions luck is in it",
        )  # fmt: skip
        return
    yield KeyNumber(
        name="Gain of choosing",
        value=wording.signed(gain.cross_fitted),
        meaning=f"points {wording.span(gain.ci)} by taking each backbone's best instead, on seeds left out",
    )
