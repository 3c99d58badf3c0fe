"""Rows of what a worker measured of a network after its last epoch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from orchestrator.planning.plan import Plan
from orchestrator.running.trial_rows import RunningAttempt
from orchestrator.store.schema import LayerRow


def layer_rows(plan: Plan, attempt: RunningAttempt) -> list[LayerRow]:
    """The rows of a trained network's weights; none where no statistics were taken."""
    layers = attempt.ending.layers if attempt.ending else None
    return [LayerRow(**_place(plan, attempt), **asdict(layer)) for layer in layers or ()]


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
