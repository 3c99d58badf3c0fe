"""How the trials of a sweep ended: by state, and why those failed that did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import plots, tables
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.sweep_data import MAX_FAILURES, PageData


def counts_section(summary: SweepSummary) -> Section:
    """Trials of every cell by state; nothing while none has ended."""
    if not summary.counts.ended:
        return Section()
    figure = f"<figure>{plot('state-counts')}</figure>" + tables.folded(
        "The counts as a table", tables.counts_table(summary)
    )
    chart = spec(plots.state_counts(summary), "Trials of every cell by state")
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
    content = tables.folded("The failed trials as a table", tables.failures_table(page_data.failures, labels))
    return section("Failures", caption, content)
