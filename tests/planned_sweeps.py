"""Small synthetic plans, and rows as their trials would end, for tests that need no worker."""

from __future__ import annotations

import math
from typing import Any

from orchestrator.planning.grid import make_plan
from orchestrator.planning.plan import Plan, PlannedTrial
from orchestrator.planning.spec import parse_spec
from orchestrator.running.outcomes import State, Verdict
from orchestrator.running.trial_rows import RunningAttempt, trial_row
from orchestrator.store.schema import TrialRow
from orchestrator.worker.messages import Ending, EndingKind, Task
from trainers.measurement import Measurement


def spec_tables(**sections: dict[str, Any]) -> dict[str, Any]:
    """The tables of a small synthetic sweep: 2 x 2 cells, all four roles, 10 trials per cell."""
    tables: dict[str, Any] = {
        "sweep": {"name": "small"},
        "grid": {"backbones": ["synthetic_a", "synthetic_b"], "optimizers": ["sgd", "adamw"]},
        "data": {"name": "synthetic"},
        "training": {"epochs": 3},
        "protocol": {
            "default": {"seeds": 1},
            "design": {"points": 4},
            "tune": {"trials": 3},
            "confirm": {"top": 1, "seeds": 2},
        },
    }
    for name, section in sections.items():
        tables[name] = {**tables.get(name, {}), **section} if name != "protocol" else section
    return tables


def small_plan(**sections: dict[str, Any]) -> Plan:
    return make_plan(parse_spec(spec_tables(**sections)))


def history_of(score: float, epochs: int) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            epoch=epoch,
            train_loss=1.0,
            val_loss=1.0,
            val_top1=score,
            val_top5=None,
            lr=0.1,
            grad_norm=None,
            seconds=0.01,
        )
        for epoch in range(1, epochs + 1)
    )


def score_of_setting(trial: PlannedTrial) -> float:
    """A smooth function of the learning rate that differs by cell: what a real network might answer."""
    best = -1 - len(trial.cell.key) % 3
    lr = trial.hp["lr"]
    assert isinstance(lr, float)
    return 0.9 - 0.05 * (math.log10(lr) - best) ** 2 + (trial.seed % 1000) * 1e-6


def ended(plan: Plan, trial: PlannedTrial, *, score: float | None = None, state: State = State.COMPLETE) -> TrialRow:
    """The row of a trial that ended."""
    value = score_of_setting(trial) if score is None else score
    verdict = Verdict(outcome=state, state=state, score=None if state in (State.FAIL, State.PRUNED) else value)
    config = plan.config_of(trial).to_json()
    task = Task(
        trial_id=trial.trial_id,
        attempt=1,
        driver_epoch=1,
        config=config,
        store="/nowhere",
        sweep=plan.spec.sweep.name,
        checkpoint_seconds=60,
        keep_checkpoint=False,
    )
    attempt = RunningAttempt(trial=trial, task=task, history=list(history_of(value, plan.spec.training.epochs)))
    attempt.ending = Ending(kind=EndingKind.FINISHED)
    return trial_row(plan, attempt, verdict)
