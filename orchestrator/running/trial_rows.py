"""Rows of the store made from what was planned and what a worker reported."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.planning.plan import Cell, Plan, PlannedTrial, Role
from orchestrator.provenance import code_version
from orchestrator.running.outcomes import Outcome, State, Verdict
from orchestrator.store.schema import AttemptRow, CurveRow, TrialRow
from orchestrator.worker.messages import Ending, Report, Task
from search_spaces.optimizers import HpValue
from trainers.config import TrainOn, Validation, recipe_digest, recipe_settings
from trainers.measurement import Measurement
from trainers.trainer import Resolved


@dataclass(slots=True, kw_only=True)
class RunningAttempt:
    """An attempt that a worker has, or is about to get, with all that its worker has told so far."""

    trial: PlannedTrial
    task: Task
    started_at: datetime = field(default_factory=utc_now)
    history: list[Measurement] = field(default_factory=list)
    """The whole learning curve, from the trial's first epoch."""
    restored_epochs: int = 0
    """Epochs that were trained by attempts before this one."""
    resolved: Resolved | None = None
    ending: Ending | None = None
    node: str | None = None
    node_id: str | None = None
    pid: int | None = None
    heard_at: float | None = None
    """When its worker last said something, on the driver's clock of attention; None until it has begun."""
    is_hopeless: bool = False
    """Whether its trial is to be pruned."""
    trouble: str | None = None
    """What its worker last said of a problem that stopped nothing."""


def curve_rows(plan: Plan, attempt: RunningAttempt, report: Report) -> list[CurveRow]:
    """The rows of a report's measurements."""
    trial = attempt.trial
    return [
        CurveRow(
            sweep=plan.spec.sweep.name,
            trial_id=trial.trial_id,
            backbone=trial.cell.backbone.name,
            optimizer=trial.cell.optimizer.name,
            role=trial.role,
            attempt=report.attempt,
            driver_epoch=attempt.task.driver_epoch,
            **asdict(measurement),
        )
        for measurement in report.measurements
    ]


def started_row(plan: Plan, attempt: RunningAttempt) -> AttemptRow:
    """The row of an attempt's start."""
    return AttemptRow(
        sweep=plan.spec.sweep.name,
        trial_id=attempt.trial.trial_id,
        attempt=attempt.task.attempt,
        driver_epoch=attempt.task.driver_epoch,
        outcome=Outcome.RUNNING,
        started_at=attempt.started_at,
    )


def score_part(plan: Plan, trial: PlannedTrial) -> str:
    """Which part of the data a trial is scored on: "validation" or "test"."""
    on_test = plan.data.validation is Validation.TEST or (
        trial.role is Role.CONFIRM and plan.protocol.confirm.train_on is TrainOn.ALL
    )
    return "test" if on_test else "validation"


def score_rule(plan: Plan, trial: PlannedTrial) -> str:
    """How a trial's score follows from its history: the rule, the part, and whether the weights are averaged."""
    rule = f"{plan.spec.training.score} on {score_part(plan, trial)}"
    return rule if trial.cell.recipe.ema_decay is None else f"{rule}, averaged weights"


def history_digest(history: Sequence[Measurement]) -> str:
    """SHA-256 of a learning curve, exact to the last bit; times, which no rerun repeats, are left out."""
    exact = [{**asdict(measurement), "seconds": None} for measurement in history]
    return hashlib.sha256(json.dumps(exact, sort_keys=True).encode()).hexdigest()


def ended_row(
    plan: Plan, attempt: RunningAttempt, verdict: Verdict, *, log: str | None, micro_batch: int | None
) -> AttemptRow:
    """The row of an attempt's end.

    Args:
        plan: The plan.
        attempt: The attempt.
        verdict: What followed from its end.
        log: What it printed.
        micro_batch: Images per forward and backward pass; None for the whole batch.
    """
    ending = attempt.ending
    return AttemptRow(
        sweep=plan.spec.sweep.name,
        trial_id=attempt.trial.trial_id,
        attempt=attempt.task.attempt,
        driver_epoch=attempt.task.driver_epoch,
        outcome=verdict.outcome,
        reason=verdict.reason or attempt.trouble,
        exception=ending.exception if ending else None,
        traceback=ending.traceback if ending else None,
        node=attempt.node,
        pid=attempt.pid,
        first_epoch=attempt.restored_epochs + 1,
        epochs_done=len(attempt.history),
        gpu_seconds=gpu_seconds(plan, attempt),
        started_at=attempt.started_at,
        ended_at=utc_now(),
        micro_batch=micro_batch,
        log=log,
    )


def trial_row(plan: Plan, attempt: RunningAttempt, verdict: Verdict, *, micro_batch: int | None = None) -> TrialRow:
    """The row of a trial that ended.

    Args:
        plan: The plan.
        attempt: Its last attempt.
        verdict: What followed from the attempt's end.
        micro_batch: Images per forward and backward pass; None for the whole batch.

    Raises:
        ValueError: The verdict does not end the trial.
    """
    trial, task = attempt.trial, attempt.task
    if verdict.state is None:
        raise ValueError(f"{trial.trial_id} has not ended")
    ended_at = utc_now()
    return TrialRow(
        sweep=plan.spec.sweep.name,
        trial_id=trial.trial_id,
        backbone=trial.cell.backbone.name,
        recipe=trial.cell.recipe.name,
        optimizer=trial.cell.optimizer.name,
        dataset=plan.data.name,
        batch_size=plan.spec.training.batch_size,
        role=trial.role,
        number=trial.number,
        replicate=trial.replicate,
        seed=trial.seed,
        state=verdict.state,
        reason=verdict.reason,
        score=verdict.score,
        score_rule=score_rule(plan, trial),
        epochs_planned=plan.spec.training.epochs,
        hp_source=trial.hp_source,
        point=json.dumps(trial.point, sort_keys=True) if trial.point is not None else None,
        attempt=task.attempt,
        driver_epoch=task.driver_epoch,
        started_at=attempt.started_at,
        ended_at=ended_at,
        wall_seconds=(ended_at - attempt.started_at).total_seconds(),
        code_version=code_version(),
        recipe_sha256=recipe_digest(trial.cell.recipe),
        recipe_settings=recipe_settings(trial.cell.recipe),
        repeats=trial.repeats,
        micro_batch=micro_batch,
        source_sha256=own_sources(plan, trial.cell),
        **_hyperparameters(attempt.resolved.hp if attempt.resolved else trial.hp),
        **_curve_facts(attempt, is_result=verdict.state is not State.FAIL),
        **_resolved_facts(attempt.resolved),
    )


def own_sources(plan: Plan, cell: Cell) -> str | None:
    """Digests of the user's own source in a cell of a plan, by part, as JSON; None where all of it is bocb's."""
    parts = {
        "backbone": cell.backbone.source_sha256,
        "optimizer": cell.optimizer.source_sha256,
        "data": plan.data.source_sha256,
    }
    own = {part: digest for part, digest in parts.items() if digest is not None}
    return json.dumps(own, sort_keys=True) if own else None


def gpu_share(plan: Plan) -> float:
    """The share of a GPU that each trial of a plan holds, on a cluster that has any."""
    share = plan.spec.resources.gpus_per_trial
    return 1.0 if share == "auto" else float(share)


def gpu_seconds(plan: Plan, attempt: RunningAttempt) -> float:
    """What the attempt cost: time in its own epochs and after the last one, times the share of a GPU that it held."""
    if attempt.resolved is None or attempt.resolved.device == "cpu":
        return 0.0
    own = [m.seconds for m in attempt.history if m.epoch > attempt.restored_epochs]
    after = attempt.ending.seconds if attempt.ending else 0.0
    return (sum(own) + after) * gpu_share(plan)


def _hyperparameters(hp: Mapping[str, HpValue]) -> dict[str, Any]:
    return {
        "hp": json.dumps(dict(hp), sort_keys=True),
        "hp_lr": _number(hp.get("lr")),
        "hp_weight_decay": _number(hp.get("weight_decay")),
    }


def _curve_facts(attempt: RunningAttempt, *, is_result: bool) -> dict[str, Any]:
    """The columns that follow from the learning curve; accuracies only where the trial has a result."""
    history, resolved, ending = attempt.history, attempt.resolved, attempt.ending
    seconds = sum(measurement.seconds for measurement in history)
    images = resolved.train_samples * len(history) if resolved else 0
    facts: dict[str, Any] = {
        "epochs_done": len(history),
        "train_seconds": seconds,
        "images_per_second": images / seconds if seconds > 0 else None,
        "test_top1": ending.test_top1 if ending else None,
        "peak_memory": ending.peak_memory if ending else None,
        "layers": len(ending.layers) if ending and ending.layers is not None else None,
        "corruptions": len(ending.corruptions) if ending and ending.corruptions is not None else None,
    }
    if is_result and history:
        facts |= _summaries([measurement.val_top1 for measurement in history], "")
        facts |= _summaries([m.val_top1_raw for m in history if m.val_top1_raw is not None], "_raw")
        facts["history_sha256"] = history_digest(history)
    return facts


def _summaries(accuracies: Sequence[float], suffix: str) -> dict[str, float]:
    if not accuracies:
        return {}
    return {
        f"val_top1_final{suffix}": accuracies[-1],
        f"val_top1_best{suffix}": max(accuracies),
        f"val_top1_median10{suffix}": statistics.median(accuracies[-10:]),
    }


def _resolved_facts(resolved: Resolved | None) -> dict[str, Any]:
    if resolved is None:
        return {}
    return {
        "input_size": resolved.input_size,
        "precision": resolved.precision,
        "optimizer_class": resolved.optimizer_class,
        "groups": json.dumps([asdict(group) for group in resolved.groups]),
        "parameters": resolved.parameters,
        "classes": resolved.classes,
        "drop_path": resolved.drop_path,
        "initialisation": resolved.initialisation,
        "device": resolved.device,
        "data_sha256": resolved.data_sha256,
    }


def _number(value: HpValue) -> float | None:
    return float(value) if isinstance(value, int | float) else None
