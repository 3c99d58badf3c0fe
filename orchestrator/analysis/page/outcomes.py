"""How the trials of a sweep ended: by state, and why those failed that did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import altair as alt

from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.panels import panels
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.theme import STATE_COLOURS, clamp, text_width
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.results import STATES
from orchestrator.analysis.trials.sweep_data import MAX_FAILURES, PageData


def counts_section(summary: SweepSummary) -> Section:
    """Trials of every cell by state; nothing while none has ended."""
    if not summary.counts.ended:
        return Section()
    figure = f"<figure>{plot('state-counts')}</figure>" + tables.folded(
        "The counts as a table", _counts_table(summary)
    )
    chart = spec(_chart(summary), "Trials of every cell by state")
    return section("What ended how", "Trials of all roles.", figure, {"state-counts": chart})


def failures_section(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    """The failed trials with their reasons; nothing without any."""
    if not page_data.failures:
        return Section()
    reasons = Counter(trial.reason or "no reason recorded" for trial in page_data.trials if trial.state == "FAIL")
    common = ", ".join(f"{reason} ({number:,})" for reason, number in reasons.most_common(5))
    caption = f"{counted(summary.counts.failed, 'trial')} failed: {common}{', ...' if len(reasons) > 5 else '.'}"
    if summary.counts.failed > len(page_data.failures):
        caption += f" The first {MAX_FAILURES} are listed."
    content = tables.folded("The failed trials as a table", _failures_table(page_data, labels))
    return section("Failures", caption, content)


def _chart(summary: SweepSummary) -> alt.FacetChart:
    """Trials of every cell by state, one panel for each backbone."""
    values = [
        {
            "row": row.label,
            "place": place,
            "optimizer": cell.key.optimizer,
            "state": wording.STATE_WORDS[state],
            "order": order,
            "trials": number,
            "all": wording.counts_in_words(cell.counts),
        }
        for place, row in enumerate(summary.rows)
        for cell in row.cells
        for order, (state, number) in enumerate(cell.counts.by_state())
        if number
    ]
    scale = alt.Scale(
        domain=[wording.STATE_WORDS[state] for state in STATES], range=[STATE_COLOURS[state] for state in STATES]
    )
    step = clamp(170 / max(1, len(summary.optimizers)), 11, 20)
    panel = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(height={"band": 0.8})
        .encode(
            x=alt.X("trials:Q", title="trials", axis=alt.Axis(grid=False, tickCount=4, tickMinStep=1, format="d")),
            y=alt.Y(
                "optimizer:N",
                title=None,
                scale=alt.Scale(domain=list(summary.optimizers)),
                axis=alt.Axis(ticks=False, domain=False, labelLimit=110, labelFontSize=10 if step < 14 else 11),
            ),
            color=alt.Color("state:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            order=alt.Order("order:O"),
            tooltip=[
                alt.Tooltip("row:N", title="backbone"),
                alt.Tooltip("optimizer:N"),
                alt.Tooltip("state:N"),
                alt.Tooltip("trials:Q"),
                alt.Tooltip("all:N", title="of"),
            ],
        )
    )
    rows = [row.label for row in summary.rows if any(cell.counts.ended for cell in row.cells)]
    return panels(
        panel, rows, height=step * len(summary.optimizers), margin=text_width(list(summary.optimizers), 110)
    )


def _counts_table(summary: SweepSummary) -> str:
    """Trials of every cell by role and state."""
    return tables.table(
        "Trials that ended.",
        ("backbone", "optimizer", "role"),
        tuple(wording.STATE_WORDS.values()),
        (
            (row.label, cell.key.optimizer, role.role, *(str(number) for _, number in role.counts.by_state()))
            for row in summary.rows
            for cell in row.cells
            for role in cell.roles
        ),
    )


def _failures_table(page_data: PageData, labels: Mapping[CellKey, str]) -> str:
    """The failed trials and why."""
    remedy = f" `bocb logs TRIAL` shows the traceback, `bocb resume {page_data.sweep} --retry all` runs them again."
    return tables.table(
        f"Failed trials gave no result.{'' if page_data.is_imported else remedy}",
        ("trial", "backbone", "optimizer", "role", "reason", "exception"),
        ("attempts",),
        (
            (
                failure.trial_id,
                labels[failure.key],
                failure.key.optimizer,
                failure.role,
                failure.reason or wording.NOTHING,
                failure.exception or wording.NOTHING,
                str(failure.attempts),
            )
            for failure in page_data.failures
        ),
    )
