"""What one cell still has to run, as a function of the trials that ended."""

from __future__ import annotations

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.planning.plan import (
    Cell,
    Plan,
    PlannedTrial,
    Role,
    confirm_trials,
    default_trials,
    design_trials,
    grid_trial,
    tune_trial,
)
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """How far a cell is."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """The ended trials of the plan by state: not those that earlier winners left behind."""
    missing: int = 0
    """Planned trials that can never run, because too few design and tune trials of the cell are COMPLETE."""
    is_finished: bool = False
    """Whether every trial of the cell has ended."""
    position: int | None = None
    """Position of the next trial that can run now; None while what follows depends on trials that have not ended."""


class CellWork:
    """The trials of one cell, in the order in which they run.

    A trial's position counts from the cell's first default trial; cells advance together because the queue hands out
    the lowest position first.
    """

    def __init__(self, plan: Plan, cell: Cell) -> None:
        self.cell = cell
        self._plan = plan
        self._planned_confirm = plan.confirmed_settings * plan.protocol.confirm.seeds
        self._fixed = default_trials(plan, cell) + design_trials(plan, cell)
        self._tune: list[PlannedTrial] = []
        self._trials = list(self._fixed)
        self._confirm: list[PlannedTrial] | None = None
        self._ended: dict[str, TrialRow] = {}
        self._taken: set[str] = set()
        self._next = 0
        self._is_stale = True

    @property
    def misplaced(self) -> tuple[TrialRow, ...]:
        """Trials whose `superseded` mark is wrong: an edited spec no longer has them, or has them again.

        A confirm trial is not judged until the cell's best settings are decided.
        """
        self._extend()
        fixed = {trial.trial_id for trial in self._fixed}
        confirm = None if self._confirm is None else {trial.trial_id for trial in self._confirm}

        def is_wanted(row: TrialRow) -> bool:
            if row.role == Role.CONFIRM:
                return not row.superseded if confirm is None else row.trial_id in confirm
            return row.number < self._plan.protocol.tune.trials if row.role == Role.TUNE else row.trial_id in fixed

        return tuple(row for row in self._ended.values() if row.superseded == is_wanted(row))

    def state(self) -> CellState:
        """How far the cell is now; takes time in proportion to its trials."""
        following = self._peek()
        ended = [row for trial in self._trials if (row := self._ended.get(trial.trial_id)) is not None]
        is_decided = self._confirm is not None
        return CellState(
            counts=Counter(row.state for row in ended),
            missing=self._planned_confirm - len(self._confirm or ()) if is_decided else 0,
            is_finished=is_decided and len(ended) == len(self._trials),
            position=None if following is None else self._next,
        )

    def close(self, row: TrialRow) -> None:
        """Records that a trial ended."""
        self._ended[row.trial_id] = row
        self._taken.discard(row.trial_id)
        self._is_stale = True

    def put_back(self, trial_id: str) -> None:
        """Says that a trial which was taken has to run again."""
        self._taken.discard(trial_id)
        self._next = 0

    def take(self) -> PlannedTrial | None:
        """The next trial that can run now; it is then taken until it is closed or put back."""
        trial = self._peek()
        if trial is not None:
            self._taken.add(trial.trial_id)
        return trial

    def _peek(self) -> PlannedTrial | None:
        self._extend()
        while self._next < len(self._trials) and not self._is_open(self._trials[self._next]):
            self._next += 1
        return self._trials[self._next] if self._next < len(self._trials) else None

    def _is_open(self, trial: PlannedTrial) -> bool:
        return trial.trial_id not in self._ended and trial.trial_id not in self._taken

    def _extend(self) -> None:
        """Adds the trials that have become decidable: a generation of tune trials, then the confirm trials."""
        if not self._is_stale:
            return
        self._is_stale = False
        tune = self._plan.protocol.tune
        # Trials that are pruned against those before them wait for these even where their settings are known.
        is_free = tune.is_grid and tune.pruner == "none"
        while len(self._tune) < tune.trials and (is_free or self._have_ended(self._decisive())):
            generation = self._generation(len(self._tune) // tune.batch)
            self._tune += generation
            self._trials += generation
        if self._confirm is None and len(self._tune) == tune.trials and self._have_ended(self._decisive()):
            self._confirm = self._confirm_trials()
            self._trials += self._confirm

    def _decisive(self) -> list[PlannedTrial]:
        """The trials that the next decision of the cell waits for."""
        return [trial for trial in self._fixed if trial.role is Role.DESIGN] + self._tune

    def _have_ended(self, trials: Iterable[PlannedTrial]) -> bool:
        return all(trial.trial_id in self._ended for trial in trials)

    def _generation(self, generation: int) -> list[PlannedTrial]:
        # Deferred: `status` looks at plans and must not wait for Optuna.
        from orchestrator.running.studies import ask_generation

        first = len(self._tune)
        size = min(self._plan.protocol.tune.batch, self._plan.protocol.tune.trials - first)
        if self._plan.protocol.tune.is_grid:
            return [grid_trial(self._plan, self.cell, first + offset) for offset in range(size)]
        recorded = [self._ended.get(f"{self.cell.key}.tune-{first + offset:03d}") for offset in range(size)]
        asked: list[dict[str, float]] = []
        if None in recorded:
            asked = ask_generation(self._plan, self.cell, generation, list(self._ended.values()))
        # What ran, ran: an edited spec may make the sampler answer otherwise now.
        points = [json.loads(row.point or "{}") if row else asked[offset] for offset, row in enumerate(recorded)]
        return [tune_trial(self._plan, self.cell, first + offset, point) for offset, point in enumerate(points)]

    def _confirm_trials(self) -> list[PlannedTrial]:
        """Confirm trials of the settings of highest mean score, ties to the lower number.

        A setting counts if any of its replicates is COMPLETE; those that diverged count into its mean, at chance.
        """
        scores: dict[tuple[Role, int], list[float]] = defaultdict(list)
        complete: set[tuple[Role, int]] = set()
        firsts = {(trial.role, trial.number): trial for trial in self._decisive() if trial.replicate == 0}
        for trial in self._decisive():
            row = self._ended[trial.trial_id]
            if row.score is not None:
                scores[trial.role, trial.number].append(row.score)
            if row.state == "COMPLETE":
                complete.add((trial.role, trial.number))
        settings = {key: scores[key] for key in complete}
        order = [Role.DESIGN, Role.TUNE]
        ranked = sorted(settings, key=lambda key: (-statistics.fmean(settings[key]), order.index(key[0]), key[1]))
        winners = ranked[: self._plan.protocol.confirm.top]
        return [trial for rank, key in enumerate(winners) for trial in confirm_trials(self._plan, firsts[key], rank)]
