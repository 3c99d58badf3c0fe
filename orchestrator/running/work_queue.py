"""Which trial runs next: breadth first over the cells, so that a sweep cut short is still balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from orchestrator.planning.plan import Cell, Plan, PlannedTrial, cell_key
from orchestrator.running.cell_work import CellState, CellWork
from orchestrator.store.schema import TrialRow


class WorkQueue:
    """The trials of a sweep that have still to run, given those that ended.

    Everything it decides follows from the plan and the ended trials: a queue rebuilt from the store hands out the
    same trials with the same settings.
    """

    def __init__(self, plan: Plan, ended: Iterable[TrialRow] = ()) -> None:
        self._plan = plan
        self._cells = {cell.key: CellWork(plan, cell) for cell in plan.cells}
        self._strays: dict[str, TrialRow] = {}
        # Asked several times a second how far the cells are, it looks again only at those that changed.
        self._changed = set(self._cells)
        self._known = {key: CellState() for key in self._cells}
        self._counts: Counter[str] = Counter()
        self._missing = 0
        self._unfinished = len(self._cells)
        for row in ended:
            self.close(row)

    def take(self, prefer: str | None = None) -> PlannedTrial | None:
        """The next trial, or None while everything left depends on trials that are running.

        Args:
            prefer: Name of the backbone that a warm worker holds: within the front, its trials go first.
        """
        self._look_again()
        ready = {key: state.position for key, state in self._known.items() if state.position is not None}
        if not ready:
            return None
        front = min(ready.values())
        at_front = [self._cells[key] for key, position in ready.items() if position == front]
        warm = next((work for work in at_front if work.cell.backbone.name == prefer), at_front[0])
        self._changed.add(warm.cell.key)
        return warm.take()

    def put_back(self, trial: PlannedTrial) -> None:
        """Says that a trial which was taken has to run again."""
        self._cells[trial.cell.key].put_back(trial.trial_id)
        self._changed.add(trial.cell.key)

    def close(self, row: TrialRow) -> None:
        """Records that a trial ended; one of a cell that the plan no longer has counts nowhere."""
        key = cell_key(row.backbone, row.recipe, row.optimizer)
        if key in self._cells:
            self._cells[key].close(row)
            self._changed.add(key)
        else:
            self._strays[row.trial_id] = row

    @property
    def misplaced(self) -> tuple[TrialRow, ...]:
        """Trials whose `superseded` mark is wrong: see `CellWork.misplaced`; and all of cells that the plan lacks."""
        strays = [row for row in self._strays.values() if not row.superseded]
        return (*strays, *(row for work in self._cells.values() for row in work.misplaced))

    def misplaced_in(self, cell: Cell) -> tuple[TrialRow, ...]:
        """The same for one cell."""
        return self._cells[cell.key].misplaced

    @property
    def is_finished(self) -> bool:
        """Whether every trial that can run has ended."""
        self._look_again()
        return self._unfinished == 0

    @property
    def counts(self) -> Counter[str]:
        """Ended trials of the plan by state."""
        self._look_again()
        return Counter(self._counts)

    @property
    def total(self) -> int:
        """Trials of the plan that can run: fewer than planned where a cell has nothing to confirm."""
        self._look_again()
        return self._plan.trials - self._missing

    def _look_again(self) -> None:
        for key in self._changed:
            before, now = self._known[key], self._cells[key].state()
            self._known[key] = now
            self._counts += Counter(now.counts)
            self._counts -= Counter(before.counts)
            self._missing += now.missing - before.missing
            self._unfinished += before.is_finished - now.is_finished
        self._changed.clear()
