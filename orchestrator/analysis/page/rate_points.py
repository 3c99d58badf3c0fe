"""The trials of the shared design against their learning rate."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.analysis.answers.rate_points import response_set
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import plots, tables
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.theme import OPTIMIZER_COLOURS
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.sweep_data import PageData


def rate_points_section(page_data: PageData, summary: SweepSummary, labels: Mapping[CellKey, str]) -> Section:
    """Every design trial at its learning rate; one sentence while none has a score."""
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
