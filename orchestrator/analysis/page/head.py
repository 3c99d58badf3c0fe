"""The head and the foot of the page: what was run and how far it is, and when the page was written."""

from __future__ import annotations

from datetime import datetime
from html import escape

from orchestrator.analysis.answers.deviations import confounding
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.facts import facts_of, warnings_of
from orchestrator.analysis.page.section import Section
from orchestrator.analysis.page.theme import STATE_COLOURS
from orchestrator.analysis.trials.sweep_data import PageData


def head_section(page_data: PageData, summary: SweepSummary) -> Section:
    """The sweep's name and progress, what to know before reading on, and what was run."""
    confounded = confounding(page_data.trials)
    warnings = [*warnings_of(page_data), *([confounded] if confounded else []), *summary.missing]
    notice = ""
    if warnings:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in warnings)
        notice = f'<section class="warnings"><h2>Before you read on</h2><ul>{items}</ul></section>'
    facts = "".join(
        f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}</dd></div>"
        for fact in facts_of(page_data, summary)
    )
    html = (
        f"<header><h1>{escape(page_data.sweep)}</h1>"
        '<p class="lead">Does this vision backbone depend on its optimizer? What this sweep has found.</p>'
        f"{_progress(summary)}</header>{notice}"
        f'<section aria-label="What was run"><dl class="facts">{facts}</dl></section>'
    )
    return Section(html=html)


def _progress(summary: SweepSummary) -> str:
    """A bar of all planned trials by state."""
    whole = max(summary.planned or 0, summary.counts.ended, 1)
    parts = [(wording.STATE_WORDS[state], n, STATE_COLOURS[state]) for state, n in summary.counts.by_state() if n]
    waiting = whole - summary.counts.ended if summary.planned else 0
    spans = "".join(
        f'<span style="width:{100 * n / whole:.3f}%;background:{colour}"></span>' for _, n, colour in parts
    )
    keys = [f'<li><i style="background:{colour}"></i>{n:,} {word}</li>' for word, n, colour in parts]
    if waiting:
        keys.append(f'<li><i style="background:var(--rule)"></i>{waiting:,} not ended</li>')
    words = wording.counts_in_words(summary.counts)
    return (
        f'<div class="bar" role="img" aria-label="Trials: {escape(words)}; {waiting:,} not ended">{spans}</div>'
        f'<ul class="key">{"".join(keys)}</ul>'
    )


def footer_section(page_data: PageData, written_at: datetime) -> Section:
    """When the page was written, and with what code its trials ran."""
    codes = sorted({trial.code_version for trial in page_data.trials})
    made = f"Written by bocb on {wording.moment(written_at)} from the store alone."
    what = "Results were imported" if page_data.is_imported else "Trials ran"
    html = f"<footer>{escape(made)} {what} with: {escape(', '.join(codes) or 'nothing yet')}.</footer>"
    return Section(html=html)
