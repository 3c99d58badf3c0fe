"""Rows of what a worker measured of a network after its last epoch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orchestrator.planning.plan import Plan
from orchestrator.running.trial_rows import RunningAttempt
from orchestrator.store.schema import CorruptionRow, LayerRow


def final_rows(plan: Plan, attempt: RunningAttempt) -> list[LayerRow | CorruptionRow]:
    """The rows of a trained network's weights, and of its tests on corrupted images, as far as there are any."""
    if attempt.ending is None:
        return []
    layers, corruptions = attempt.ending.layers or (), attempt.ending.corruptions or ()
    place = _place(plan, attempt)
    return [
        *(LayerRow(**place, **asdict(layer)) for layer in layers),
        *(CorruptionRow(**place, **asdict(score)) for score in corruptions),
    ]


def _place(plan: Plan, attempt: RunningAttempt) -> dict[str, Any]:
    """The columns that say which trial a row is of."""
    trial, task = attempt.trial, attempt.task
    return {
        "sweep": plan.spec.sweep.name,
        "trial_id": trial.trial_id,
        "backbone": trial.cell.backbone.name,
        "recipe": trial.cell.recipe.name,
        "optimizer": trial.cell.optimizer.name,
        "role": trial.role,
        "attempt": task.attempt,
        "driver_epoch": task.driver_epoch,
    }
