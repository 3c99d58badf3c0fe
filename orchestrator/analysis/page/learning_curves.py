"""The learning curves of the settings that the cells' numbers come from."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.analysis.answers.learning_curves import CurveSet, curve_set
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import plots, tables
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.curves import trials_to_draw
from orchestrator.analysis.trials.sweep_data import PageData

SETTINGS = {
    "the setting that the search ranked first, with fresh seeds": ("confirm",),
    "its best design or tune trial, not confirmed": ("design", "tune"),
    "its default trials, nothing tuned here": ("default",),
}
"""What the curves of each role are of."""


def curves_section(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    """Validation accuracy by epoch; one sentence while no curve is there."""
    title = "Learning curves"
    curves = curve_set(trials_to_draw(page_data.trials), page_data.curves)
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
    roles = {line.role for line in curves.lines}
    of_cells = [words for words, known in SETTINGS.items() if roles.intersection(known)]
    parts = [
        f"Of each cell {', or '.join(of_cells)}. Thick: the mean, as long as all repetitions last.",
        "Single repetitions are left out to keep the page light." if curves.only_means else "Thin: each repetition.",
    ]
    if curves.epoch_step > 1:
        parts.append(f"Every {curves.epoch_step}th epoch is drawn.")
    return " ".join([*parts, "Click an optimizer in the legend to see it alone; shift-click adds one."])
