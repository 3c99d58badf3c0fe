"""Continuing a sweep from what the store recorded: its spec, and what is left of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.planning.grid import make_plan
from orchestrator.planning.imported_spec import refuse_imported
from orchestrator.planning.plan import Plan
from orchestrator.planning.spec import spec_from_record
from orchestrator.running.history import newest_version, read_history
from orchestrator.running.work_queue import WorkQueue
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a resume would do."""

    trials: tuple[str, ...]
    """Ids of the trials that can start at once, in order."""
    later: int
    """Trials that depend on these."""
    done: int
    """Trials that have ended and would not run again."""

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"trials": list(self.trials), "later": self.later, "done": self.done}


def recorded_plan(store: Store, name: str) -> Plan:
    """The plan of a sweep's newest recorded spec.

    Raises:
        UsageError: The store has no such sweep, or no spec of it; or it was imported.
    """
    version = newest_version(store.existing_sweep(name))
    if version is None:
        raise UsageError(f"sweep {name} has no recorded spec; start it with `bocb run SPEC`")
    refuse_imported(name, version.spec)
    return make_plan(spec_from_record(version.spec))


def what_would_run(store: Store, plan: Plan, retry: Collection[str]) -> Outlook:
    """The trials that a resume would run; changes nothing."""
    queue = WorkQueue(plan, read_history(store.sweep(plan.spec.sweep.name), plan, retry).ended)
    trials = []
    while (trial := queue.take()) is not None:
        trials.append(trial.trial_id)
    done = queue.counts.total()
    return Outlook(trials=tuple(trials), later=queue.total - done - len(trials), done=done)
