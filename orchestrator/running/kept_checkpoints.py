"""Which checkpoints outlive their trials: those that the spec keeps, and those that a retry goes on from."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.planning.plan import Plan, Role
from orchestrator.running.outcomes import State, failure_kind
from orchestrator.store.schema import TrialRow
from orchestrator.store.store import SweepStore
from orchestrator.worker.checkpoints import trials_with_checkpoints


def keeps_checkpoint(plan: Plan, role: str, state: str, reason: str | None = None) -> bool:
    """Whether the checkpoint of a trial that ended so is kept: by the spec's wish, or for a later retry.

    Where code raised, the retry is of other code, and what the old code trained is not to be gone on with.
    """
    keep = plan.spec.checkpoints.keep
    if state == State.FAIL:
        return failure_kind(reason) != "error"
    return state == State.COMPLETE and (keep == "all" or (keep == "confirm" and role == Role.CONFIRM))


def leftover_checkpoints(plan: Plan, store: SweepStore, ended: Iterable[TrialRow]) -> list[str]:
    """Trials whose checkpoints outlived them, because a driver died between a trial's end and theirs."""
    left = set(trials_with_checkpoints(store))
    return [
        row.trial_id
        for row in ended
        if row.trial_id in left and not keeps_checkpoint(plan, row.role, row.state, row.reason)
    ]
