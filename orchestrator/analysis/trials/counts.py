"""How many trials there are, by role and by how they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.analysis.trials.results import ROLES, STATES
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Trials that ended, by state."""

    complete: int = 0
    diverged: int = 0
    pruned: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """All of them."""
        return self.complete + self.diverged + self.pruned + self.failed

    def by_state(self) -> tuple[tuple[str, int], ...]:
        """(state, trials) in the order of `STATES`."""
        return tuple(zip(STATES, (self.complete, self.diverged, self.pruned, self.failed), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCounts:
    """Counts of one role."""

    role: str
    counts: Counts


def count(trials: Iterable[TrialRow]) -> Counts:
    """Trials by state."""
    found = Counter(trial.state for trial in trials)
    return Counts(
        complete=found["COMPLETE"], diverged=found["DIVERGED"], pruned=found["PRUNED"], failed=found["FAIL"]
    )


def count_roles(trials: Sequence[TrialRow]) -> tuple[RoleCounts, ...]:
    """Trials by role and state: the roles that occur, in the order in which they run."""
    present = {trial.role for trial in trials}
    return tuple(
        RoleCounts(role=role, counts=count(trial for trial in trials if trial.role == role))
        for role in (*ROLES, *sorted(present.difference(ROLES)))
        if role in present
    )
