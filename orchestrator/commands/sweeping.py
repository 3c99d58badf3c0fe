"""The commands that run sweeps and trials: plan, run, submit, resume, stop, reproduce."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.options import (
    AddressOption,
    JsonOption,
    RetryOption,
    SpecArgument,
    StoreOption,
    SweepOption,
    TakeOverOption,
    TrialArgument,
    existing_store,
    out,
    print_json,
)
from orchestrator.errors import Exit, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.planning.plan import Plan
    from orchestrator.store.store import Store


def plan(spec: SpecArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check a spec and show its cells, trials, epochs and cost; starts nothing."""
    from orchestrator.planning.cost import estimate
    from orchestrator.store.store import open_store
    from orchestrator.terminal.tables import plan_json, plan_text

    checked = _checked_plan(spec)
    cost = estimate(open_store(store), checked)
    if as_json:
        print_json(plan_json(checked, cost))
    else:
        out.print(plan_text(checked, cost))


def run(
    spec: SpecArgument,
    address: AddressOption = None,
    store: StoreOption = None,
    retry: RetryOption = None,
    take_over: TakeOverOption = False,
) -> int:
    """Run a sweep here or on a Ray cluster; the same command again continues it."""
    from orchestrator.store.store import open_store

    checked = _checked_plan(spec)
    return _run(checked, open_store(store, create=True), address=address, retry=retry, take_over=take_over)


def submit(
    spec: SpecArgument,
    address: Annotated[str, typer.Option("--address", metavar="URL", help="The cluster's job server.")],
    store: StoreOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    retry: RetryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Hand a sweep to a Ray cluster as a job; submitting twice never runs it twice."""
    from orchestrator.running.submission import submit as submit_job
    from orchestrator.running.submission import wait_for
    from orchestrator.store.store import open_store

    checked = _checked_plan(spec)
    name, kinds = checked.spec.sweep.name, _kinds(retry)
    submission = submit_job(checked.spec, open_store(store, create=True), address, retries=kinds)
    job_id = submission.job_id
    if as_json:
        print_json({"job_id": job_id, "is_new": submission.is_new, "sweep": name})
    else:
        verb = "submitted as" if submission.is_new else "already there as"
        out.print(f"{name} is {verb} job {job_id}", highlight=False)
    if kinds and not submission.is_new:
        print(f"bocb: job {job_id} goes on without --retry; give it again when the job has ended", file=sys.stderr)
    if not wait:
        return Exit.COMPLETE
    log = sys.stderr if as_json else sys.stdout
    try:
        return wait_for(job_id, address, show=lambda text: print(text, end="", flush=True, file=log))
    except KeyboardInterrupt:
        print(f"bocb: job {job_id} goes on; `bocb stop {name}` ends it, the same command follows it", file=sys.stderr)
        return Exit.SIGNAL


def resume(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    retry: RetryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would run, and start nothing.")] = False,
    address: AddressOption = None,
    store: StoreOption = None,
    take_over: TakeOverOption = False,
    as_json: JsonOption = False,
) -> int:
    """Continue a sweep from its recorded spec; with --retry also its failed trials of those kinds."""
    from orchestrator.planning.preflight import check_plan
    from orchestrator.running.resume import recorded_plan, what_would_run

    opened = existing_store(store)
    recorded = recorded_plan(opened, sweep)
    if not dry_run:
        check_plan(recorded)
        return _run(recorded, opened, address=address, retry=retry, take_over=take_over)
    outlook = what_would_run(opened, recorded, _kinds(retry))
    if as_json:
        print_json(outlook.as_json())
    else:
        for trial_id in outlook.trials:
            out.print(trial_id, highlight=False)
        out.print(
            f"{len(outlook.trials)} trials can start now, {outlook.later} more depend on them; "
            f"{outlook.done} have ended",
            highlight=False,
        )
    return Exit.COMPLETE


def stop(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the running epochs.")] = False,
    store: StoreOption = None,
) -> None:
    """End a running sweep cleanly after its running epochs; it can be resumed."""
    from orchestrator.running.stop_request import request_stop
    from orchestrator.store.drivers import driver_of

    opened = existing_store(store).existing_sweep(sweep)
    driver = driver_of(opened)
    if driver is None or not driver.alive:
        raise UsageError(f"sweep {sweep} is not running; nothing to stop")
    request_stop(opened, driver.driver_epoch, now=now)
    out.print(f"asked process {driver.pid} on {driver.host} to stop {sweep}", highlight=False)


def reproduce(
    trial: TrialArgument, sweep: SweepOption = None, store: StoreOption = None, as_json: JsonOption = False
) -> int:
    """Run one recorded trial again, here and now, and say how closely it matches."""
    from orchestrator.reproduction import reproduce as run_again
    from orchestrator.trial_log import sweep_of_trial

    opened = existing_store(store)
    name = sweep_of_trial(opened, trial, sweep).name
    log = sys.stderr if as_json else sys.stdout
    found = run_again(
        opened, name, trial, on_epoch=lambda m: print(f"epoch {m.epoch}: accuracy {m.val_top1:.4f}", file=log)
    )
    if as_json:
        print_json(found.as_json())
    else:
        out.print(found.sentence(), highlight=False, soft_wrap=True)
    return Exit.COMPLETE if found.is_match else Exit.FAILED_TRIALS


def _checked_plan(spec: Path) -> Plan:
    """The plan of a spec file or of a sweep that comes along, with all that it names looked at."""
    from orchestrator.catalogue import sweep_file
    from orchestrator.planning.grid import make_plan
    from orchestrator.planning.preflight import check_plan
    from orchestrator.planning.spec import load_spec

    checked = make_plan(load_spec(sweep_file(spec)))
    check_plan(checked)
    return checked


def _run(plan: Plan, store: Store, *, address: str | None, retry: str | None, take_over: bool) -> int:
    from orchestrator.running.progress import Progress
    from orchestrator.running.sweep import RunOptions, run_sweep

    options = RunOptions(address=address, retry=_kinds(retry), take_over=take_over)
    return run_sweep(plan, store, options, Progress(out))


def _kinds(retry: str | None) -> tuple[str, ...]:
    """The kinds of failures that `--retry` names.

    Raises:
        UsageError: One of them is no kind.
    """
    from orchestrator.running.outcomes import FAILURE_KINDS, RETRY_ALL

    kinds = tuple(kind.strip() for kind in (retry or "").split(",") if kind.strip())
    for kind in kinds:
        if kind not in (RETRY_ALL, *FAILURE_KINDS):
            known = ", ".join((RETRY_ALL, *FAILURE_KINDS))
            raise UsageError(f"--retry {kind} is no kind of failure; known: {known}")
    return kinds
