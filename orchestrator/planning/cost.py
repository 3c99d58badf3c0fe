"""What a sweep will cost, as far as the store has seen its networks train."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.planning.plan import Plan
from orchestrator.store.query import read
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """An estimate, or the reason why there is none."""

    slot_hours: float | None
    """Hours that one slot (a trial at a time) would take; divide by the trials at once."""
    basis: str
    """Where the estimate comes from."""


def estimate(store: Store, plan: Plan) -> Cost:
    """The plan's cost from seconds per epoch that the store has recorded for the same backbone and data set."""
    if not store.sweeps():
        return Cost(slot_hours=None, basis="no estimate: the store has no trial of these backbones yet")
    sql = (
        "SELECT backbone, sum(train_seconds) / sum(epochs_done), count(*) FROM trials "
        "WHERE dataset = ? AND epochs_done > 0 GROUP BY backbone"
    )
    rows = read(store, lambda connection: connection.execute(sql, [plan.data.name]).fetchall())
    seconds = {row[0]: float(row[1]) for row in rows}
    unseen = sorted({cell.backbone.name for cell in plan.cells} - set(seconds))
    if unseen:
        return Cost(slot_hours=None, basis=f"no estimate: the store has no trial of {', '.join(unseen)} yet")
    epochs_per_cell = plan.epochs / len(plan.cells)
    total = sum(seconds[cell.backbone.name] * epochs_per_cell for cell in plan.cells)
    return Cost(slot_hours=total / 3600, basis=f"seconds per epoch of {sum(row[2] for row in rows)} recorded trials")
