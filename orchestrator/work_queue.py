"""Which trial runs next: breadth first over the cells, so that a sweep cut short is still balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from orchestrator.cell_work import CellWork
from orchestrator.plan import Cell, Plan, PlannedTrial, cell_key
from orchestrator.store.schema import TrialRow


class WorkQueue:
    """The trials of a sweep that have still to run, given those that ended.

    Everything it decides follows from the plan and the ended trials: a queue rebuilt from the store hands out the
    same trials with the same settings.
    """

    def __init__(self, plan: Plan, ended: Iterable[TrialRow] = ()) -> None:
        self._plan = plan
        self._cells = {cell.key: CellWork(plan, cell) for cell in plan.cells}
        self._open = dict(self._cells)
        for row in ended:
            self.close(row)

    def take(self, prefer: str | None = None) -> PlannedTrial | None:
        """The next trial, or None while everything left depends on trials that are running.

        Args:
            prefer: Name of the backbone that a warm worker holds: within the front, its trials go first.
        """
        ready = [(work, trial) for work in self._open.values() if (trial := work.peek()) is not None]
        if not ready:
            return None
        front = min(work.position for work, _ in ready)
        at_front = [work for work, _ in ready if work.position == front]
        warm = [work for work in at_front if work.cell.backbone.name == prefer]
        return (warm or at_front)[0].take()

    def put_back(self, trial: PlannedTrial) -> None:
        """Says that a trial which was taken has to run again."""
        self._cells[trial.cell.key].put_back(trial.trial_id)

    def close(self, row: TrialRow) -> None:
        """Records that a trial ended; one of a cell that the plan no longer has is passed over."""
        work = self._cells.get(cell_key(row.backbone, row.recipe, row.optimizer))
        if work is not None:
            work.close(row)

    @property
    def misplaced(self) -> tuple[TrialRow, ...]:
        """Confirm trials whose `superseded` mark is wrong; see `CellWork.misplaced`."""
        return tuple(row for work in self._cells.values() for row in work.misplaced)

    def misplaced_in(self, cell: Cell) -> tuple[TrialRow, ...]:
        """The same for one cell."""
        return self._cells[cell.key].misplaced

    @property
    def is_finished(self) -> bool:
        """Whether every trial that can run has ended."""
        for key in [key for key, work in self._open.items() if work.is_finished]:
            del self._open[key]
        return not self._open

    @property
    def counts(self) -> Counter[str]:
        """Ended trials of the plan by state."""
        return Counter(row.state for work in self._cells.values() for row in work.ended)

    @property
    def total(self) -> int:
        """Trials of the plan that can run: fewer than planned where a cell has nothing to confirm."""
        return self._plan.trials - sum(work.missing for work in self._cells.values())
