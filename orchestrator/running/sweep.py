"""Runs one sweep, from a plan to the last trial: the one Tune run that serves all cells, and what surrounds it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from orchestrator.clock import utc_now
from orchestrator.errors import Exit, StoppedError, StoreError
from orchestrator.planning.checkpoint_budget import check_budget
from orchestrator.planning.plan import Plan
from orchestrator.planning.spec_changes import check_edit
from orchestrator.provenance import code_version, package_versions
from orchestrator.running.driver import Driver
from orchestrator.running.history import lost_attempts, read_history, recorded_versions
from orchestrator.running.kept_checkpoints import leftover_checkpoints
from orchestrator.running.outcomes import State
from orchestrator.running.progress import Progress
from orchestrator.running.ray_environment import prepare
from orchestrator.running.signals import interrupting, stopping
from orchestrator.running.stop_request import StopRequest, stop_requested
from orchestrator.running.work_queue import WorkQueue
from orchestrator.store.compaction import fold
from orchestrator.store.drivers import check_free
from orchestrator.store.lease import Lease, claim
from orchestrator.store.schema import Row, SweepRow
from orchestrator.store.store import Store, SweepStore
from orchestrator.store.writer import TableWriter

if TYPE_CHECKING:
    from orchestrator.running.cluster import TrialResources

TICK_SECONDS = 0.5
FLUSH_SECONDS = 120.0
"""How long the last rows of a run may take to become durable."""
SCRATCH_PREFIX = "bocb-tune-"
STALE_SECONDS = 3600.0
"""Age from which a temporary file was left by something that was killed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a sweep is run this time; nothing here changes a result."""

    address: str | None = None
    """The Ray cluster; None makes a private one."""
    retry: Collection[str] = ()
    """Kinds of failed trials to run again."""
    take_over: bool = False
    """Whether to wait for another driver's heartbeat to expire instead of refusing."""


def run_sweep(plan: Plan, store: Store, options: RunOptions, progress: Progress) -> Exit:
    """Runs what is missing of a sweep, until it is complete, stopped or out of budget.

    Raises:
        SpecError: The spec was edited in a way that makes results incomparable.
        BusyError: Another driver runs this sweep.
        SupersededError: Another driver took this sweep over.
        StoreError: The store cannot be written.
        ClusterError: The Ray cluster cannot be used.
    """
    with interrupting():
        return _run(plan, store.sweep(plan.spec.sweep.name), options, progress)


def _run(plan: Plan, sweep: SweepStore, options: RunOptions, progress: Progress) -> Exit:
    """All of `run_sweep`; a signal ends it like Ctrl-C, until trials run and are parked first."""
    versions = recorded_versions(sweep)
    check_edit(versions, plan)  # `read_history` does it again: another driver may run until the claim
    if not options.take_over:
        check_free(sweep)
    finished = _finished_queue(plan, sweep, versions[-1] if versions else None, options)
    if finished is not None:
        progress.say(f"{plan.spec.sweep.name} is complete: nothing to run{_failures(plan, finished)}")
        return _exit_of(finished, [], out_of_budget=False)
    prepare(private=options.address is None)
    # Deferred: Ray takes seconds to import, reads its environment then, and a complete sweep needs none of it.
    from orchestrator.running import cluster

    with cluster.connected(options.address):
        # Whatever can be refused is refused before anything is written.
        resources = cluster.trial_resources(plan.spec)
        cluster.check_store_is_shared(sweep)
        check_budget(plan, cluster.slots(plan.spec.resources, resources))
        with claim(sweep, take_over=options.take_over) as lease, progress:
            lease.start_heartbeat()
            return _run_claimed(plan, sweep, lease, options, progress, resources)


def _finished_queue(plan: Plan, sweep: SweepStore, version: SweepRow | None, options: RunOptions) -> WorkQueue | None:
    """The plan's queue if the store already has all of it and nothing has to be closed or recorded, else None."""
    if version is None or version.spec_sha256 != plan.spec.digest():
        return None
    past = read_history(sweep, plan, options.retry)
    if leftover_checkpoints(plan, sweep, past.ended):
        return None
    queue = WorkQueue(plan, past.ended)
    is_settled = not queue.misplaced and not past.unfinished and queue.total == version.trials_planned
    is_done = queue.is_finished and is_settled
    return queue if is_done else None


def _failures(plan: Plan, queue: WorkQueue) -> str:
    """What to say of failed trials, if there are any."""
    failed = queue.counts[State.FAIL]
    if not failed:
        return ""
    return (
        f"; {failed} of its trials failed: the view `failures` of `bocb query` says why, "
        f"`bocb resume {plan.spec.sweep.name} --retry all` runs them again"
    )


def _run_claimed(
    plan: Plan,
    sweep: SweepStore,
    lease: Lease,
    options: RunOptions,
    progress: Progress,
    resources: TrialResources,
) -> Exit:
    """One driver's life, from its claim to its last row."""
    past = read_history(sweep, plan, options.retry)
    for name, count in past.of_other_source.items():
        progress.say(
            f"the source of {name} has changed since {count} of its trials ended: they stay, and new ones run with "
            "the new source (column source_sha256 of trials); give the sweep a new name to run all of it again"
        )
    with TableWriter(sweep, lease) as writer:
        version = version_row(plan, past.version, lease)
        opening: list[Row] = [] if version is past.version else [version]
        for row in opening + list(lost_attempts(sweep, past, lease.driver_epoch)):
            writer.add(row)
        writer.flush()
        sweep.files.delete_stale_temporaries(sweep.name, older_than_seconds=STALE_SECONDS)
        driver = Driver(plan, sweep, lease, writer, past)
        signals = [] if driver.queue.is_finished else _drive(driver, sweep, writer, resources, progress)
        _forget_checkpoints(driver)
        if driver.queue.total != version.trials_planned:
            writer.add(replace(version, trials_planned=driver.queue.total, driver_epoch=lease.driver_epoch))
        progress.finish(driver)
        if driver.queue.counts[State.FAIL]:
            progress.say(f"{plan.spec.sweep.name}{_failures(plan, driver.queue)}")
    _fold(sweep, lease)
    return _exit_of(driver.queue, signals, out_of_budget=driver.out_of_budget)


def _forget_checkpoints(driver: Driver) -> None:
    """Removes the last of them; that this fails harms no result."""
    try:
        driver.forget_checkpoints()
    except OSError as error:
        _log.warning("checkpoints of trials that have ended were not removed; the next run does it: %s", error)


def _fold(sweep: SweepStore, lease: Lease) -> None:
    """Leaves the tables as other programs expect to find them; that this fails harms no result."""
    try:
        fold(sweep, lease)
    except StoreError as error:
        _log.warning("%s; bocb compact tries it again", error)


def version_row(plan: Plan, newest: SweepRow | None, lease: Lease) -> SweepRow:
    """The sweep's newest version if spec, code and packages are still those, else the next one."""
    now = (plan.spec.digest(), package_versions(), code_version())
    if newest is not None and (newest.spec_sha256, newest.packages, newest.code_version) == now:
        return newest
    return SweepRow(
        sweep=plan.spec.sweep.name,
        version=newest.version + 1 if newest else 1,
        driver_epoch=lease.driver_epoch,
        spec=plan.spec.canonical_json(),
        spec_sha256=plan.spec.digest(),
        trials_planned=plan.trials,
        cells=json.dumps([[c.backbone.name, c.recipe.name, c.optimizer.name] for c in plan.cells]),
        created_at=utc_now(),
        packages=package_versions(),
        code_version=code_version(),
    )


def _drive(
    driver: Driver, sweep: SweepStore, writer: TableWriter, resources: TrialResources, progress: Progress
) -> list[int]:
    """Runs a driver's trials until it has no more to hand out.

    Returns:
        The signals that stopped it.
    """
    # Deferred, as above.
    from orchestrator.running import cluster
    from orchestrator.running.tune_adapters import run_tune

    stop_interval = max(TICK_SECONDS, sweep.files.flush_seconds / 12)  # a look costs a request on an object store
    obey = _every(stop_interval, lambda: _obey(stop_requested(sweep, driver.driver_epoch), driver))

    def tick() -> None:
        driver.tick()
        driver.slots = cluster.slots(driver.plan.spec.resources, resources)
        driver.leave(cluster.draining_nodes())
        _wait_for_store(driver, writer, progress)
        trouble = None
        try:
            driver.forget_checkpoints()
            obey()
        except OSError as error:
            trouble = f"the store cannot be reached: {error}"
        progress.update(driver, trouble)

    with stopping(driver.request_stop) as signals:
        tick()
        while True:
            with _scratch_folder() as scratch:
                run_tune(driver, resources, scratch, _every(TICK_SECONDS, tick))
            if driver.stopping or not driver.is_tired:
                break
            driver.begin_anew()
        writer.flush(FLUSH_SECONDS)
    return signals


def _wait_for_store(driver: Driver, writer: TableWriter, progress: Progress) -> None:
    """Returns when rows can be written, or the sweep is to be stopped.

    Meanwhile no report is taken, so that every trial waits after its running epoch and memory stays bounded.
    """
    writer.check()
    while writer.trouble is not None and not driver.stopping:
        progress.update(driver, writer.trouble)
        time.sleep(TICK_SECONDS)
        writer.check()


def _obey(request: StopRequest | None, driver: Driver) -> None:
    """Does what another process, or the budget, asks for."""
    if request is not None and request.now:
        raise StoppedError(f"sweep {driver.plan.spec.sweep.name} was stopped at once; it can be resumed")
    if request is not None or driver.out_of_budget:
        driver.request_stop()


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder for what Tune writes; nothing in it is ever read, and it is gone after the run.

    One that a killed process has left goes with the next run on this machine.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*-*"):
        owner = left.name.removeprefix(SCRATCH_PREFIX).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{SCRATCH_PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exit_of(queue: WorkQueue, signals: list[int], *, out_of_budget: bool) -> Exit:
    if queue.is_finished:
        return Exit.FAILED_TRIALS if queue.counts[State.FAIL] else Exit.COMPLETE
    if signals:
        return Exit.SIGNAL
    return Exit.BUDGET if out_of_budget else Exit.INCOMPLETE


def _every(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    """The action, done at most once in that many seconds however often it is called."""
    last = [float("-inf")]

    def limited() -> None:
        if time.monotonic() - last[0] >= seconds:
            last[0] = time.monotonic()
            action()

    return limited
