"""Assembles the page: one HTML file that needs no network, for the screen and for paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from orchestrator.analysis.answers.analysis import Analysis, analyse
from orchestrator.analysis.answers.deviations import confounding
from orchestrator.analysis.answers.layer_profiles import layer_profiles
from orchestrator.analysis.answers.learning_curves import CurveSet, curve_set
from orchestrator.analysis.answers.rate_points import response_set
from orchestrator.analysis.answers.summary import SweepSummary, summarise
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import plots, tables, wording
from orchestrator.analysis.page.budget import budget_section
from orchestrator.analysis.page.divergence import divergence_section
from orchestrator.analysis.page.document import page
from orchestrator.analysis.page.facts import facts_of, warnings_of
from orchestrator.analysis.page.figures import write_figures
from orchestrator.analysis.page.findings import findings_section
from orchestrator.analysis.page.good_rates import good_rates_section
from orchestrator.analysis.page.layer_ridges import layer_section
from orchestrator.analysis.page.matrix import matrix_section
from orchestrator.analysis.page.methods import methods_section
from orchestrator.analysis.page.rank_diagram import ranks_section
from orchestrator.analysis.page.robustness_tables import robustness_section
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.sensitivity_plane import plane_section
from orchestrator.analysis.page.specialists import specialists_section
from orchestrator.analysis.page.theme import OPTIMIZER_COLOURS, STATE_COLOURS
from orchestrator.analysis.page.tuning import tuning_section
from orchestrator.analysis.page.variance import variance_section
from orchestrator.analysis.page.whole_files import ready_folder, write_whole
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.curves import trials_to_draw
from orchestrator.analysis.trials.sweep_data import MAX_FAILURES, PageData
from orchestrator.analysis.trials.tuned_settings import default_settings
from orchestrator.errors import UsageError
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A page and what is drawn on it."""

    html: str
    charts: Mapping[str, Mapping[str, Any]]
    """Vega-Lite specifications by name, in the order of the page."""


def write_report(
    page_data: PageData, path: Path, *, figures: Path | None = None, written_at: datetime | None = None
) -> tuple[Path, ...]:
    """Writes the page of one sweep, whole or not at all, and its plots as files.

    Args:
        page_data: See `load_page_data`.
        path: The HTML file; an existing one is replaced.
        figures: A folder for every plot as SVG, PDF and PNG, made if it is missing; None writes none.
        written_at: The time that the page states (UTC); None takes now.

    Returns:
        The files of the figures.

    Raises:
        UsageError: A file cannot be written there.
    """
    if figures is not None:
        ready_folder(figures)
    report = render(page_data, written_at=written_at or datetime.now(UTC))
    try:
        write_whole({path: report.html.encode()})
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {path}: {error.strerror}; choose another place with -o"
        ) from error
    return () if figures is None else write_figures(report.charts, figures)


def render(page_data: PageData, *, written_at: datetime) -> Report:
    """The page of one sweep."""
    analysis = analyse(page_data.data)
    summary = summarise(page_data.trials, page_data.planned, grid=page_data.facts.grid)
    labels = {cell.key: row.label for row in summary.rows for cell in row.cells}
    sections = [
        _head(page_data, summary),
        findings_section(analysis),
        matrix_section(summary, analysis),
        specialists_section(summary, analysis),
        variance_section(analysis),
        *_tuning(page_data, analysis, summary, labels),
        ranks_section(analysis),
        _curves(page_data, summary, labels),
        divergence_section(analysis.failures, labels, summary.optimizers),
        layer_section(
            layer_profiles(page_data.trials, page_data.data.layers),
            analysis.robustness.layers,
            labels,
            summary.optimizers,
        ),
        robustness_section(analysis.robustness, labels),
        Section() if _are_imported(page_data.trials) else _counts(summary),
        _failures(page_data, summary, labels),
        methods_section(page_data.data, analysis),
        Section(html=_footer(page_data, written_at)),
    ]
    charts = {name: chart for section in sections for name, chart in section.charts.items()}
    body = wording.visible("\n".join(section.html for section in sections))
    return Report(
        html=page(title=wording.visible(f"{page_data.sweep} - bocb report"), body=body, charts=charts), charts=charts
    )


def _are_imported(trials: Sequence[TrialRow]) -> bool:
    """Whether nothing was trained here: there are no curves, and how trials ended is what the file says."""
    return {trial.role for trial in trials} == {"imported"}


def _head(page_data: PageData, summary: SweepSummary) -> Section:
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


def _tuning(
    page_data: PageData, analysis: Analysis, summary: SweepSummary, labels: Mapping[CellKey, str]
) -> list[Section]:
    """What the shared design says: nothing but a sentence while none of its trials has a score."""
    optimizers = summary.optimizers
    tuning = tuning_section(analysis.sensitivity, labels, optimizers)
    if not tuning.charts:
        return [tuning]
    defaults = {name: lr for name, (lr, _) in default_settings(page_data.trials, optimizers).items() if lr > 0}
    return [
        tuning,
        budget_section(analysis.coupling_by_budget),
        plane_section(analysis.optimizers, optimizers),
        _responses(page_data, summary, labels),
        good_rates_section(analysis.sensitivity, labels, optimizers, defaults),
    ]


def _curves(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    title = "Learning curves"
    curves = curve_set(trials_to_draw(page_data.trials), page_data.curves)
    if _are_imported(page_data.trials):
        return Section()
    if not curves.lines:
        return section(title, "No learning curve of a trial with a score is in the store yet.")
    figure = f"<figure>{plot('learning-curves')}</figure>" + tables.folded(
        "The curves as a table", tables.curves_table(curves, labels)
    )
    chart = plots.learning_curves(curves, labels, summary.optimizers)
    return section(
        title,
        _curves_caption(curves),
        figure,
        {"learning-curves": spec(chart, "Validation accuracy by epoch for each backbone")},
    )


def _curves_caption(curves: CurveSet) -> str:
    parts = [
        "The setting that the search ranked first, confirmed, or the best trial where none is confirmed. "
        "Thick: the mean, as long as all repetitions last."
    ]
    parts.append("" if curves.only_means else "Thin: each repetition.")
    if curves.only_means:
        parts.append("Single repetitions are left out to keep the page light.")
    if curves.epoch_step > 1:
        parts.append(f"Every {curves.epoch_step}th epoch is drawn.")
    return " ".join([*filter(None, parts), "Click an optimizer in the legend to see it alone; shift-click adds one."])


def _responses(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    title = "Response to the learning rate"
    response = response_set(page_data.trials)
    if not response.points:
        return section(title, "No design trial has a score yet.")
    caption = (
        "Every point is a trial of the common design, which varies the other hyper-parameters too. "
        "Crosses diverged and score chance."
    )
    if len(summary.optimizers) > len(OPTIMIZER_COLOURS):
        caption += " Colours repeat: click an optimizer in the legend to see it alone."
    if response.shown < response.designed:
        caption += f" The first {response.shown} of {response.designed} design points are drawn."
    figure = f"<figure>{plot('lr-response')}</figure>" + tables.folded(
        "The points as a table", tables.response_table(response, labels)
    )
    chart = plots.lr_response(response, labels, summary.optimizers)
    return section(title, caption, figure, {"lr-response": spec(chart, "Score against learning rate")})


def _counts(summary: SweepSummary) -> Section:
    if not summary.counts.ended:
        return Section()
    figure = f"<figure>{plot('state-counts')}</figure>" + tables.folded(
        "The counts as a table", tables.counts_table(summary)
    )
    chart = spec(plots.state_counts(summary), "Trials of every cell by state")
    return section("What ended how", "Trials of all roles.", figure, {"state-counts": chart})


def _failures(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    if not page_data.failures:
        return Section()
    reasons = Counter(trial.reason or "no reason recorded" for trial in page_data.trials if trial.state == "FAIL")
    common = ", ".join(f"{reason} ({number:,})" for reason, number in reasons.most_common(5))
    caption = f"{counted(summary.counts.failed, 'trial')} failed: {common}{', ...' if len(reasons) > 5 else '.'}"
    if summary.counts.failed > len(page_data.failures):
        caption += f" The first {MAX_FAILURES} are listed."
    content = tables.folded("The failed trials as a table", tables.failures_table(page_data.failures, labels))
    return section("Failures", caption, content)


def _footer(page_data: PageData, written_at: datetime) -> str:
    codes = sorted({trial.code_version for trial in page_data.trials})
    made = f"Written by bocb on {wording.moment(written_at)} from the store alone."
    what = "Results were imported" if _are_imported(page_data.trials) else "Trials ran"
    return f"<footer>{escape(made)} {what} with: {escape(', '.join(codes) or 'nothing yet')}.</footer>"
