"""A comparison of two sweeps as text and tables for a terminal. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.analysis.answers.comparison_records import CellDifference, CellName, Comparison, Side
from orchestrator.analysis.answers.summary import counted
from orchestrator.analysis.statistics.paired_tables import MeanDifference
from orchestrator.tables import table_of

NAMES_SHOWN = 5
CELLS_SHOWN = 60
"""Beyond it, only the cells that differ most."""


def comparison_text(found: Comparison) -> Group:
    """All of a comparison, the sentences first."""
    lines = "\n".join(_sentences(found))
    return Group(Text(lines), _backbone_table(found), _optimizer_table(found), _cell_table(found))


def _sentences(found: Comparison) -> Iterator[str]:
    a, b, summary = found.a.sweep, found.b.sweep, found.summary
    yield f"{_side(found.a)}\n{_side(found.b)}"
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
            f"coupling in {name}, on the common cells: share of the interaction {_number(coupling.share)}, "
            f"index {_number(coupling.index)}{noise}{p_value}"
        )
    for name, cells in ((a, found.only_a), (b, found.only_b)):
        if cells:
            yield f"only in {name}: {counted(len(cells), 'cell')} ({_some(cells)})"


def _side(side: Side) -> str:
    return (
        f"{side.sweep}: {side.response} results of {counted(side.cells, 'cell')}; data {side.dataset}; epochs "
        f"{side.epochs}; recipe {side.recipe}; score {side.score_rule}"
    )


def _backbone_table(found: Comparison) -> Table:
    a, b = found.a.sweep, found.b.sweep
    return table_of(
        (
            "backbone",
            "cells",
            "difference",
            f"best in {a}",
            f"best in {b}",
            "points lost by the other's best",
            "Kendall",
        ),
        [
            (
                row.backbone,
                row.difference.n,
                _mean(row.difference),
                ", ".join(row.best_a),
                ", ".join(row.best_b),
                "" if row.same_best else f"{row.lost_a:.2f} in {a}, {row.lost_b:.2f} in {b}",
                _number(row.kendall),
            )
            for row in found.backbones
        ],
    )


def _optimizer_table(found: Comparison) -> Table:
    rows = [(row.optimizer, row.difference.n, _mean(row.difference)) for row in found.optimizers]
    return table_of(("optimizer", "cells", "difference"), rows)


def _cell_table(found: Comparison) -> Table:
    several = (
        any(cell.recipe_a != cell.recipe_b for cell in found.cells) or len({c.recipe_a for c in found.cells}) > 1
    )
    rows = [
        (
            f"{cell.backbone} ({_recipes(cell.recipe_a, cell.recipe_b)})" if several else cell.backbone,
            cell.optimizer,
            f"{cell.mean_a:.2f} (n = {cell.n_a})",
            f"{cell.mean_b:.2f} (n = {cell.n_b})",
            f"{cell.difference:+.2f}{_interval(cell.low, cell.high)}",
        )
        for cell in _shown(found.cells)
    ]
    title = "Each interval (95 %) is of one cell on its own: one in twenty misses the truth."
    if len(rows) < len(found.cells):
        title += f"\nThe {len(rows)} of {len(found.cells)} cells that differ most; --json gives all of them."
    return table_of(("backbone", "optimizer", found.a.sweep, found.b.sweep, "difference"), rows, title)


def _shown(cells: Sequence[CellDifference]) -> Sequence[CellDifference]:
    if len(cells) <= CELLS_SHOWN:
        return cells
    return sorted(cells, key=lambda cell: -abs(cell.difference))[:CELLS_SHOWN]


def _recipes(first: str, second: str) -> str:
    return first if first == second else f"{first}, {second}"


def _mean(difference: MeanDifference, *, with_interval: bool = True) -> str:
    spread = "" if difference.sd is None else f", SD {difference.sd:.2f}"
    interval = _interval(difference.low, difference.high) if with_interval else ""
    return f"{difference.mean:+.2f}{interval}{spread}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _some(cells: Sequence[CellName]) -> str:
    names = ", ".join(f"{cell.backbone} with {cell.optimizer}" for cell in cells[:NAMES_SHOWN])
    return f"{names}, ..." if len(cells) > NAMES_SHOWN else names
