"""What a driver spends on its own per step, with few and with many ended trials behind it."""

from __future__ import annotations

import io
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from orchestrator.planning.plan import Plan, PlannedTrial
from orchestrator.running.driver import Driver
from orchestrator.running.history import History
from orchestrator.running.progress import Progress
from orchestrator.running.work_queue import WorkQueue
from orchestrator.store.lease import claim
from orchestrator.store.schema import TrialRow
from orchestrator.store.store import open_store
from orchestrator.store.writer import TableWriter
from orchestrator.worker.messages import Ending, EndingKind, Report, Task
from tests.planned_sweeps import ended, history_of, score_of_setting, small_plan

STEPS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """CPU time of the driver's thread, in microseconds; the writer's threads are not counted."""

    ended: int
    """Trials that had ended before."""
    hand_out: float
    """Is anything left, and which trial is next: asked for each trial, and again while nothing is free."""
    close: float
    """The last report of a trial: verdict, rows, queue."""
    tick: float
    """What is done twice a second: checkpoints to delete, the line that shows the state."""


def large_plan() -> Plan:
    """400 cells of 100 trials."""
    names = [f"sgd_{number:02d}" for number in range(100)]
    return small_plan(
        grid={"backbones": [f"synthetic_{letter}" for letter in "abcd"], "optimizers": names},
        optimizers={name: {"class": "torch.optim:SGD", "args": {"lr": 0.1}} for name in names},
        search_spaces={name: {"lr": [1e-4, 1.0]} for name in names},
        protocol={"default": {"seeds": 3}, "design": {"points": 64}, "confirm": {"top": 3, "seeds": 11}},
    )


def ended_trials(plan: Plan, count: int) -> list[TrialRow]:
    """The first trials of a plan, ended; made from one row, because a whole one takes a millisecond."""
    queue, rows = WorkQueue(plan), []
    template: TrialRow | None = None
    while len(rows) < count and (trial := queue.take()) is not None:
        template = template or ended(plan, trial)
        rows.append(_like(template, trial))
        queue.close(rows[-1])
    return rows


def _like(template: TrialRow, trial: PlannedTrial) -> TrialRow:
    return replace(
        template, trial_id=trial.trial_id, backbone=trial.cell.backbone.name, recipe=trial.cell.recipe.name,
        optimizer=trial.cell.optimizer.name, role=trial.role, number=trial.number, replicate=trial.replicate,
        score=score_of_setting(trial),
    )  # fmt: skip


def step_cost(root: Path, plan: Plan, rows: list[TrialRow]) -> StepCost:
    """The cost after these trials, as means over `STEPS` trials that a driver hands out and closes."""
    past = History(
        version=None, ended=tuple(rows), records={}, unfinished=(), tune_curves={}, gpu_seconds=0.0,
    )  # fmt: skip
    sweep = open_store(str(root), create=True).sweep(plan.spec.sweep.name)
    spent = Counter[str]()
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        driver = Driver(plan, sweep, lease, writer, past)
        progress = Progress(Console(file=io.StringIO(), force_terminal=False))
        _step(driver, progress, spent)  # builds what is built once
        spent.clear()
        for _ in range(STEPS):
            _step(driver, progress, spent)
    return StepCost(ended=len(rows), **{name: seconds / STEPS * 1e6 for name, seconds in spent.items()})


def _step(driver: Driver, progress: Progress, spent: Counter[str]) -> None:
    began = time.thread_time()
    task = driver.next_task()
    spent["hand_out"] += time.thread_time() - began
    assert task is not None
    report = _last_report(task, driver.plan.spec.training.epochs)
    driver.on_start(task)
    began = time.thread_time()
    driver.on_report(report)
    spent["close"] += time.thread_time() - began
    began = time.thread_time()
    driver.forget_checkpoints()
    progress.update(driver, None)
    spent["tick"] += time.thread_time() - began


def _last_report(task: Task, epochs: int) -> Report:
    return Report(
        trial_id=task.trial_id, attempt=task.attempt, measurements=history_of(0.5, epochs), node="node", pid=1,
        resolved=None, ending=Ending(kind=EndingKind.FINISHED),
    )  # fmt: skip


def driver_table(root: Path, counts: tuple[int, ...]) -> list[str]:
    """One line per number of ended trials."""
    plan = large_plan()
    rows = ended_trials(plan, max(counts))
    costs = [step_cost(root / str(count), plan, rows[:count]) for count in counts]
    return [
        f"## The driver's own time, {plan.trials:,} trials in {len(plan.cells)} cells", "",
        "CPU microseconds of its thread per trial; the trial's own rows are part of `close`.", "",
        "| ended trials | hand out | close | tick |", "| ---: | ---: | ---: | ---: |",
        *(f"| {item.ended:,} | {item.hand_out:.0f} | {item.close:.0f} | {item.tick:.0f} |" for item in costs), "",
    ]  # fmt: skip
