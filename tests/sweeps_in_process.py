"""Real sweeps without Ray: the driver, the attempts, the writer and the store are the real ones, in one process."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from orchestrator.planning.plan import Plan
from orchestrator.running.driver import Driver, Order
from orchestrator.running.history import lost_attempts, read_history
from orchestrator.running.sweep import version_row
from orchestrator.store.compaction import compact
from orchestrator.store.lease import claim
from orchestrator.store.schema import Row
from orchestrator.store.store import SweepStore, open_store
from orchestrator.store.writer import TableWriter
from orchestrator.worker.attempt import Attempt
from orchestrator.worker.messages import Report


def run_here(
    plan: Plan, folder: Path, *, trials: int | None = None, retry: Collection[str] = (), flush_each: bool = True
) -> SweepStore:
    """Runs or continues a sweep; after so many trials it is left as a driver leaves it that was killed.

    Without `flush_each` the store gets its parts when the writer likes, which is many times faster.
    """
    sweep = open_store(str(folder), create=True).sweep(plan.spec.sweep.name)
    past = read_history(sweep, plan, retry)
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        version = version_row(plan, past.version, lease)
        opening: list[Row] = [] if version is past.version else [version]
        for row in opening + list(lost_attempts(sweep, past, lease.driver_epoch)):
            writer.add(row)
        driver = Driver(plan, sweep, lease, writer, past)
        while trials is None or trials > 0:
            task = driver.next_task()
            if task is None:
                break
            driver.on_start(task)
            attempt = Attempt(task)
            while (order := driver.on_report(report_of(attempt))) is Order.GO_ON:
                pass
            if order is Order.LEAVE:
                driver.on_left(task.trial_id, attempt.leave(save=not driver.running[task.trial_id].is_hopeless))
            if flush_each:
                writer.flush()
            trials = None if trials is None else trials - 1
        if trials == 0 and (task := driver.next_task()) is not None:
            driver.on_start(task)
            driver.on_report(report_of(Attempt(task)))
        writer.flush()
        if trials is None:
            driver.forget_checkpoints()
    return sweep


def report_of(attempt: Attempt) -> Report:
    """What its worker says after the next epoch, as the driver gets it."""
    return Report.from_json(attempt.step().to_json())


def compact_here(sweep: SweepStore) -> None:
    """What `bocb compact` does."""
    with claim(sweep) as lease:
        compact(sweep, lease)
