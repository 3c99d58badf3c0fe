"""A comparison of two sweeps as text and tables for a terminal. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.analysis.answers.comparison_records import CellDifference, CellName, Comparison, Side
from orchestrator.analysis.counted import counted
from orchestrator.analysis.statistics.intervals import Estimate
from orchestrator.terminal.narrow_tables import narrow_table

NAMES_SHOWN = 5
CELLS_SHOWN = 60
"""Beyond it, only the cells that differ most."""


def comparison_text(found: Comparison) -> Group:
    """All of a comparison, the sentences first."""
    lines = "\n".join(_sentences(found))
    return Group(Text(lines), _backbone_table(found), _optimizer_table(found), _cell_table(found))


def _sentences(found: Comparison) -> Iterator[str]:
    a, b, summary = found.a.sweep, found.b.sweep, found.summary
    yield f"A = {_side(found.a)}\nB = {_side(found.b)}"
    yield from (f"Careful: {warning}" for warning in found.warnings)
    yield f"{b} minus {a}, in percentage points:"
    yield f"  over {counted(summary.over_cells.n, 'common cell')}: {_mean(summary.over_cells, with_interval=False)}"
    yield f"  over {counted(summary.over_backbones.n, 'backbone')}: {_mean(summary.over_backbones)}"
    yield f"correlation of the cells: {_number(summary.correlation)}"
    yield (
        f"order of the optimizers: Spearman of mean ranks {_number(summary.spearman_of_mean_ranks)} "
        f"({counted(summary.ranked_backbones, 'complete backbone')}), "
        f"mean Kendall within a backbone {_number(summary.mean_kendall)}"
    )
    if summary.compared_best:
        yield f"same best optimizer: {summary.same_best} of {counted(summary.compared_best, 'backbone')}"
    for name, coupling in ((a, found.coupling.a), (b, found.coupling.b)):
        noise = ", noise included" if coupling.noise_separated is False else ""
        p_value = "" if coupling.p_wild is None else f", p = {coupling.p_wild:.3f} (wild bootstrap)"
        yield (
            f"coupling in {name}, on the common cells: interaction's share of the sums of squares "
            f"{_number(coupling.share)}, index {_number(coupling.index)}{noise}{p_value}"
        )
    for name, cells in ((a, found.only_a), (b, found.only_b)):
        if cells:
            yield f"only in {name}: {counted(len(cells), 'cell')} ({_some(cells)})"


def _side(side: Side) -> str:
    return (
        f"{side.sweep}: {side.response} results of {counted(side.cells, 'cell')}; data {side.dataset}; epochs "
        f"{side.epochs}; recipe {side.recipe}; score {side.score_rule}"
    )


def _backbone_table(found: Comparison) -> RenderableType:
    columns = ("backbone", "cells", "difference", "best in A", "best in B", "lost in A", "lost in B",
               "Kendall")  # fmt: skip
    rows = [
        (row.backbone, row.difference.n, _mean(row.difference, with_sd=False), ", ".join(row.best_a),
         ", ".join(row.best_b), _lost(row.lost_a), _lost(row.lost_b), _two(row.kendall))
        for row in found.backbones
    ]  # fmt: skip
    legend = (
        "difference: mean over the common cells, B minus A [95 % interval].",
        "Lost in A: points below the best when the best optimizer in B is taken; lost in B: the reverse.",
        "Kendall: agreement of the two orders of optimizers, 1 the same, -1 reversed.",
    )
    return narrow_table("Backbones", columns, rows, legend=legend)


def _optimizer_table(found: Comparison) -> RenderableType:
    rows = [(row.optimizer, row.difference.n, _mean(row.difference, with_sd=False)) for row in found.optimizers]
    return narrow_table("Optimizers", ("optimizer", "cells", "difference"), rows)


def _cell_table(found: Comparison) -> RenderableType:
    several = (
        any(cell.recipe_a != cell.recipe_b for cell in found.cells) or len({c.recipe_a for c in found.cells}) > 1
    )
    rows = [
        (
            f"{cell.backbone} ({_recipes(cell.recipe_a, cell.recipe_b)})" if several else cell.backbone,
            cell.optimizer,
            _mean_of(cell.mean_a, cell.n_a),
            _mean_of(cell.mean_b, cell.n_b),
            f"{cell.difference:+.2f}{_interval(cell.low, cell.high)}",
        )
        for cell in _shown(found.cells)
    ]
    title = "Cells: mean (number of results)"
    if len(rows) < len(found.cells):
        title = (
            f"The {len(rows)} of {len(found.cells)} cells that differ most (--json has all): mean (number of results)"
        )
    legend = []
    if any(cell.low is not None for cell in found.cells):
        legend = ["Each interval (95 %) is of one cell on its own: one in twenty misses the truth."]
    columns = ("backbone", "optimizer", "A", "B", "difference")
    return narrow_table(title, columns, rows, legend=legend)


def _shown(cells: Sequence[CellDifference]) -> Sequence[CellDifference]:
    if len(cells) <= CELLS_SHOWN:
        return cells
    return sorted(cells, key=lambda cell: -abs(cell.difference))[:CELLS_SHOWN]


def _recipes(first: str, second: str) -> str:
    return first if first == second else f"{first}, {second}"


def _mean_of(mean: float, number: int) -> str:
    return f"{mean:.2f} ({number})"


def _lost(points: float) -> str | None:
    return f"{points:.2f}" if points > 0 else None


def _two(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _mean(difference: Estimate, *, with_interval: bool = True, with_sd: bool = True) -> str:
    spread = "" if difference.sd is None or not with_sd else f", SD {difference.sd:.2f}"
    interval = _interval(difference.low, difference.high) if with_interval else ""
    return f"{difference.mean:+.2f}{interval}{spread}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _some(cells: Sequence[CellName]) -> str:
    names = ", ".join(f"{cell.backbone} with {cell.optimizer}" for cell in cells[:NAMES_SHOWN])
    return f"{names}, ..." if len(cells) > NAMES_SHOWN else names
