"""Records as tables for a terminal, or as JSON. Computes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.importing.imported_sweep import Imported
from orchestrator.planning.cost import Cost
from orchestrator.planning.plan import Plan
from orchestrator.status import CellStatus, SweepStatus
from orchestrator.store.compaction import CompactionSummary
from trainers.data.dataset_info import resolve_dataset

if TYPE_CHECKING:
    from trainers.step_check import StepCheck

MARKS = {"COMPLETE": "", "DIVERGED": "div", "PRUNED": "pruned", "FAIL": "fail"}


def table_of(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table of anything; None shows as a dash."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row))
    return table


def plan_text(plan: Plan, cost: Cost) -> Group:
    """A plan: its cells, its trials by role, its cost."""
    backbones = ", ".join(dict.fromkeys(cell.backbone.name for cell in plan.cells))
    optimizers = ", ".join(dict.fromkeys(cell.optimizer.name for cell in plan.cells))
    hours = "" if cost.slot_hours is None else f"{cost.slot_hours:.2f} slot hours, from "
    return Group(
        Text(f"backbones:  {backbones}"),
        Text(f"optimizers: {optimizers}"),
        *(Text(line) for line in _resized(plan)),
        _plan_table(plan),
        Text(f"cost: {hours}{cost.basis}"),
    )


def plan_json(plan: Plan, cost: Cost) -> dict[str, Any]:
    """The same as `bocb plan --json` prints it."""
    return {
        "sweep": plan.spec.sweep.name,
        "cells": len(plan.cells),
        "trials": plan.trials,
        "epochs": plan.epochs,
        "by_role": plan.trials_by_role(),
        "slot_hours": cost.slot_hours,
        "slot_hours_from": cost.basis,
        "image_sizes": _image_sizes(plan),
    }


def _image_sizes(plan: Plan) -> dict[str, int]:
    """Side in pixels of what each network sees."""
    return {cell.backbone.name: cell.image_size for cell in plan.cells}


def _resized(plan: Plan) -> Iterator[str]:
    """A line for every size that the data set's images are brought to."""
    data_size = resolve_dataset(plan.data.name).image_size
    sizes = _image_sizes(plan)
    for size in sorted(set(sizes.values()) - {data_size}):
        names = ", ".join(name for name in sizes if sizes[name] == size)
        yield f"images:     {data_size} px, resized to {size} px for {names}"


def _plan_table(plan: Plan) -> Table:
    rows: list[tuple[object, ...]] = [
        (role, count, count * plan.spec.training.epochs) for role, count in plan.trials_by_role().items()
    ]
    rows.append(("all", plan.trials, plan.epochs))
    return table_of(("role", "trials", "epochs"), rows, f"{plan.spec.sweep.name}: {len(plan.cells)} cells")


def grid_table(checks: Sequence[StepCheck]) -> Table:
    """Seconds of every step, a backbone in each column; a pair that cannot train says so."""
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for check in checks:
        cells[check.optimizer][check.backbone] = "BAD" if check.error else f"{check.seconds:.2f}"
    backbones = list(dict.fromkeys(check.backbone for check in checks))
    rows = [(optimizer, *(cells[optimizer].get(name, "") for name in backbones)) for optimizer in cells]
    passed = sum(check.error is None for check in checks)
    title = f"one training step of each pair, in seconds: {passed} of {len(checks)} pairs train"
    return table_of(("optimizer", *backbones), rows, title)


def compaction_table(summaries: Iterable[tuple[str, CompactionSummary]]) -> Table:
    """What compaction did to each table of each sweep."""
    return table_of(
        ("sweep", "table", "files", "rows", "bytes"),
        (
            (
                sweep,
                s.table,
                f"{s.files_before} -> {s.files_after}",
                s.rows_after,
                f"{s.bytes_before} -> {s.bytes_after}",
            )
            for sweep, s in summaries
        ),
    )


def status_table(status: SweepStatus) -> Table:
    """The matrix of cells: best score, trials that ended, and how many of those have no result."""
    optimizers = list(dict.fromkeys(cell.optimizer for cell in status.cells))
    rows = list(dict.fromkeys((cell.backbone, cell.recipe) for cell in status.cells))
    several = len({recipe for _, recipe in rows}) > 1
    by_key = {(cell.backbone, cell.recipe, cell.optimizer): cell for cell in status.cells}
    table = Table("backbone", *optimizers, title=f"{status.sweep}: best score (trials ended)", title_justify="left")
    for backbone, recipe in rows:
        cells = [by_key.get((backbone, recipe, optimizer)) for optimizer in optimizers]
        table.add_row(f"{backbone} ({recipe})" if several else backbone, *(_cell(cell) for cell in cells))
    return table


def status_line(status: SweepStatus) -> str:
    """One line: how many trials of how many, by state, running, time left."""
    states = ", ".join(f"{number} {state}" for state, number in status.states.items()) or "none ended"
    if status.imported_from is not None:
        return f"{status.sweep}: {status.done} of {status.planned} results ({states}), from {status.imported_from}"
    parts = [f"{status.sweep}: {status.done} of {status.planned} trials ({states})", f"{status.running} running"]
    if status.seconds_left is not None:
        parts.append(f"{timedelta(seconds=round(status.seconds_left))} left")
    if not status.driver_alive:
        parts.append("no driver is alive")
    return "; ".join(parts)


def import_line(done: Imported) -> str:
    """What an import did, in one line."""
    states = ", ".join(f"{number} {state}" for state, number in done.states.items())
    found = f"{done.sweep}: {states} (cells: {len(done.results.cells)})"
    return f"{found} from {done.results.file}" if done.is_new else f"{found}, all there already; nothing to do"


def _cell(cell: CellStatus | None) -> str:
    if cell is None:
        return ""
    score = "-" if cell.best is None else f"{cell.best:.4f}"
    marks = "".join(f", {count} {MARKS[state]}" for state, count in cell.states.items() if MARKS.get(state))
    return f"{score} ({sum(cell.states.values())}{marks})"
