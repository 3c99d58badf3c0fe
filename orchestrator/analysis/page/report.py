"""Assembles the page: one HTML file that needs no network, for the screen and for paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.analysis.answers.analysis import Analysis, analyse
from orchestrator.analysis.answers.layer_profiles import layer_profiles
from orchestrator.analysis.answers.summary import SweepSummary, summarise
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.budget import budget_section
from orchestrator.analysis.page.divergence import divergence_section
from orchestrator.analysis.page.document import page
from orchestrator.analysis.page.figures import write_figures
from orchestrator.analysis.page.findings import findings_section
from orchestrator.analysis.page.good_rates import good_rates_section
from orchestrator.analysis.page.head import footer_section, head_section
from orchestrator.analysis.page.layer_ridges import layer_section
from orchestrator.analysis.page.learning_curves import curves_section
from orchestrator.analysis.page.matrix import matrix_section
from orchestrator.analysis.page.methods import methods_section
from orchestrator.analysis.page.outcomes import counts_section, failures_section
from orchestrator.analysis.page.rank_diagram import ranks_section
from orchestrator.analysis.page.rate_points import rate_points_section
from orchestrator.analysis.page.robustness_tables import robustness_section
from orchestrator.analysis.page.section import Section
from orchestrator.analysis.page.sensitivity_plane import plane_section
from orchestrator.analysis.page.specialists import specialists_section
from orchestrator.analysis.page.tuning import tuning_section
from orchestrator.analysis.page.variance import variance_section
from orchestrator.analysis.page.whole_files import ready_folder, write_whole
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.sweep_data import PageData
from orchestrator.analysis.trials.tuned_settings import default_settings
from orchestrator.errors import UsageError


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
        head_section(page_data, summary),
        findings_section(analysis),
        matrix_section(summary, analysis),
        specialists_section(summary, analysis),
        variance_section(analysis),
        *_tuning(page_data, analysis, summary, labels),
        ranks_section(analysis),
        Section() if page_data.is_imported else curves_section(page_data, summary, labels),
        divergence_section(analysis.failures, labels, summary.optimizers),
        layer_section(
            layer_profiles(page_data.trials, page_data.data.layers),
            analysis.robustness.layers,
            labels,
            summary.optimizers,
        ),
        robustness_section(analysis.robustness, labels),
        Section() if page_data.is_imported else counts_section(summary),
        failures_section(page_data, summary, labels),
        methods_section(page_data.data, analysis),
        footer_section(page_data, written_at),
    ]
    charts = {name: chart for section in sections for name, chart in section.charts.items()}
    body = wording.visible("\n".join(section.html for section in sections))
    return Report(
        html=page(title=wording.visible(f"{page_data.sweep} - bocb report"), body=body, charts=charts), charts=charts
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
        rate_points_section(page_data, summary, labels),
        good_rates_section(analysis.sensitivity, labels, optimizers, defaults),
    ]
