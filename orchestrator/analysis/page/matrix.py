"""The matrix on the page: means, residuals from additivity, and the same as a table."""

from __future__ import annotations

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.matrix import Matrix, matrix_of
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.answers.verdict import LEVEL
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import heatmaps, tables, wording
from orchestrator.analysis.page.section import Section, plot, section, spec

MARKS = (
    "Dashed: no result. Hatched rising: the number holds diverged trials, at chance; hatched falling: trials of the "
    "cell failed. Star: not confirmed with fresh seeds. Point at a square for its numbers."
)


def matrix_section(summary: SweepSummary, analysis: Analysis) -> Section:
    """Both heatmaps; without residuals the means alone, with the reason."""
    if not summary.rows:
        return Section()
    matrix = matrix_of(summary, analysis)
    charts = {"accuracy": spec(heatmaps.accuracy_heatmap(matrix), "Accuracy of every backbone and optimizer")}
    boxes = [f"<div><h3>Accuracy</h3>{plot('accuracy')}</div>"]
    if matrix.response is not None:
        charts["residuals"] = spec(
            heatmaps.residual_heatmap(matrix), "What every cell has beyond its backbone's and its optimizer's mean"
        )
        boxes.append(f"<div><h3>Beyond row and column</h3>{plot('residuals')}</div>")
    kind = "pair" if heatmaps.squares_fit_beside(matrix) else "stack"
    figure = f'<figure class="{kind}">{"".join(boxes)}<p class="note">{MARKS}</p></figure>' + tables.folded(
        "The numbers as a table", _table(matrix)
    )
    return section("Backbones and optimizers", _caption(matrix, analysis), figure, charts)


def _caption(matrix: Matrix, analysis: Analysis) -> str:
    parts = []
    if matrix.is_ordered:
        share = f" ({wording.share(matrix.component_share)} of it)" if matrix.component_share is not None else ""
        parts.append(
            f"Rows and columns are ordered by the first component of the interaction{share}: backbones at the top do "
            "better than their mean with optimizers on the left, those at the bottom with optimizers on the right."
        )
    if matrix.response is None:
        note = analysis.coupling.note or "there are too few results"
        parts.append(f"What cells have beyond their row and column cannot be shown yet: {note}.")
    else:
        parts.append(
            f"Residuals are of the {matrix.response} means, less what backbone and optimizer have on average: 0 "
            f"everywhere would be no coupling. Their colours end at {matrix.clip:g} points either way"
            f"{_beyond(matrix)}{_sure(matrix)}."
        )
    return " ".join(parts)


def _beyond(matrix: Matrix) -> str:
    if not matrix.beyond_clip:
        return ""
    return f" ({counted(matrix.beyond_clip, 'cell')} beyond: the number stays true)"


def _sure(matrix: Matrix) -> str:
    if matrix.n_discoveries is None:
        return "; which of them are more than noise cannot be said without repetitions in every cell"
    if not matrix.is_coupled:
        return "; none is outlined: single cells are claimed only where all together show more than seeds do"
    if not matrix.n_discoveries:
        return "; none is outlined: all together show coupling, but none by itself is beyond noise"
    return (
        f"; outlined are the {counted(matrix.n_discoveries, 'cell')} that noise does not explain (adjusted p below "
        f"{LEVEL:g}: on average at most one in twenty of these is false)"
    )


def _table(matrix: Matrix) -> str:
    by_place = {(cell.row, cell.cell.key.optimizer): cell for cell in matrix.cells}
    rows = []
    for place in ((row, column) for row in matrix.rows for column in matrix.columns):
        if (found := by_place.get(place)) is None:
            continue
        headline = found.cell.headline
        estimate = headline.estimate if headline else None
        rows.append(
            (
                *place,
                wording.SOURCE_LONG[headline.source] if headline else "no score yet",
                wording.percent(estimate.mean if estimate else None),
                wording.percent(estimate.low if estimate else None),
                wording.percent(estimate.high if estimate else None),
                wording.percent(estimate.sd if estimate else None),
                wording.sample(headline) if headline else wording.NOTHING,
                wording.points(found.cell.gap),
                wording.NOTHING if found.residual is None else wording.signed(found.residual),
                wording.NOTHING if found.p_adjusted is None else wording.p_value(found.p_adjusted),
                *(str(number) for _, number in found.cell.counts.by_state()),
            )
        )
    return tables.table(
        "Accuracies in percent with 95 % t intervals; residuals in percentage points, their p adjusted over all "
        "cells (Benjamini and Hochberg). Counts are of all the cell's trials.",
        ("backbone", "optimizer", "number shown"),
        (
            "accuracy",
            "low",
            "high",
            "sd",
            "n",
            "behind best",
            "residual",
            "adjusted p",
            *wording.STATE_WORDS.values(),
        ),
        rows,
    )
