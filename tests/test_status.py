"""How far a sweep is, what is left of it, and what more would cost: read from a store, and right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.clock import utc_now
from orchestrator.errors import StoreError
from orchestrator.planning.cost import estimate
from orchestrator.planning.plan import Plan, Role
from orchestrator.running.history import read_history
from orchestrator.running.outcomes import State
from orchestrator.running.resume import recorded_plan, what_would_run
from orchestrator.running.work_queue import WorkQueue
from orchestrator.status import sweep_status
from orchestrator.store.drivers import now_with_zone
from orchestrator.store.lease import Lease, claim
from orchestrator.store.query import read
from orchestrator.store.schema import AttemptRow, SweepRow, TrialRow
from orchestrator.store.store import Store, open_store
from orchestrator.store.writer import TableWriter
from orchestrator.terminal.tables import status_line
from orchestrator.trial_log import attempts_of, sweep_of_trial
from tests.planned_sweeps import ended, small_plan
from tests.store_examples import damage_column, make_row, put_part


def version_of(plan: Plan) -> SweepRow:
    return SweepRow(
        sweep="small",
        version=1,
        driver_epoch=1,
        spec=plan.spec.canonical_json(),
        spec_sha256=plan.spec.digest(),
        trials_planned=plan.trials,
        cells=json.dumps([[c.backbone.name, c.recipe.name, c.optimizer.name] for c in plan.cells]),
        created_at=utc_now(),
        packages="{}",
        code_version="1",
    )


def first_trials(plan: Plan, count: int) -> list[TrialRow]:
    """The rows of the first trials of a plan; the third has diverged and the fourth failed."""
    queue, rows = WorkQueue(plan), list[TrialRow]()
    for number in range(count):
        trial = queue.take()
        assert trial is not None
        state = {2: State.DIVERGED, 3: State.FAIL}.get(number, State.COMPLETE)
        row = ended(plan, trial, score=0.1 if state is State.DIVERGED else None, state=state)
        rows.append(replace(row, ended_at=utc_now() - timedelta(seconds=10 * (count - number))))
        queue.close(rows[-1])
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    """Of a driver that lives, and began two minutes ago."""
    moment = now_with_zone() - timedelta(seconds=121)
    with claim(store.sweep("small"), now=lambda: moment) as lease:
        moment = now_with_zone()
        lease.beat()
        yield lease


def write(store: Store, lease: Lease, rows: list[SweepRow | TrialRow | AttemptRow]) -> None:
    with TableWriter(store.sweep("small"), lease) as writer:
        for row in rows:
            writer.add(row)


def test_a_status_counts_trials_by_state_and_cell_and_says_what_is_left(store: Store, lease: Lease) -> None:
    plan = small_plan()
    rows = first_trials(plan, 12)
    running = AttemptRow(
        sweep="small", trial_id="next", attempt=1, driver_epoch=1, outcome="RUNNING", started_at=utc_now()
    )
    write(store, lease, [version_of(plan), *rows, running])
    found = sweep_status(store, "small")
    assert (found.planned, found.done, found.running) == (40, 12, 1)
    assert found.states == {"COMPLETE": 10, "DIVERGED": 1, "FAIL": 1}
    assert [sum(cell.states.values()) for cell in found.cells] == [3, 3, 3, 3]
    best = {(c.backbone, c.optimizer): c.best for c in found.cells}
    assert best["synthetic_a", "sgd"] == max(
        row.score for row in rows if (row.backbone, row.optimizer) == ("synthetic_a", "sgd") and row.score is not None
    )
    # A trial every ten seconds, 28 to go.
    assert found.seconds_left == pytest.approx(280, rel=0.05)
    assert status_line(found).startswith("small: 12 of 40 trials (10 COMPLETE, 1 DIVERGED, 1 FAIL); 1 running; 0:04:")


def test_the_time_left_knows_no_pause_before_the_driver(store: Store, lease: Lease) -> None:
    plan = small_plan()
    rows = first_trials(plan, 24)
    # Half of them three days earlier; the plan had dropped them, and the driver of now has marked them.
    early = [replace(row, ended_at=row.ended_at - timedelta(days=3), driver_epoch=1) for row in rows[:12]]
    write(store, lease, [version_of(plan), *early, *rows[12:]])
    assert sweep_status(store, "small").seconds_left == pytest.approx(160, rel=0.05)


def test_a_dry_run_lists_what_can_start_and_counts_what_follows(store: Store, lease: Lease) -> None:
    plan = small_plan()
    rows = first_trials(plan, 12)
    write(store, lease, [version_of(plan), *rows])
    outlook = what_would_run(store, recorded_plan(store, "small"), ())
    # One default and four design trials in each of four cells can start, twelve have ended; the rest depends on them.
    assert (len(outlook.trials), outlook.later, outlook.done) == (8, 20, 12)
    assert not {row.trial_id for row in rows} & set(outlook.trials)
    again = what_would_run(store, plan, ("error",))
    assert (len(again.trials), again.done) == (9, 11)


def test_a_cost_follows_from_recorded_seconds_per_epoch(store: Store, lease: Lease) -> None:
    plan = small_plan()
    assert estimate(store, plan).slot_hours is None
    slow = [
        replace(row, train_seconds=3.0 if row.backbone == "synthetic_a" else 9.0, epochs_done=3)
        for row in first_trials(plan, 12)
    ]
    write(store, lease, [version_of(plan), *slow])
    # 60 epochs of either backbone, at 1 and at 3 seconds.
    assert estimate(store, plan).slot_hours == pytest.approx((60 * 1 + 60 * 3) / 3600)


def test_trials_that_the_spec_no_longer_has_count_nowhere(store: Store, lease: Lease) -> None:
    plan = small_plan()
    rows = first_trials(plan, 40)
    smaller = small_plan(
        grid={"backbones": ["synthetic_a"]},
        protocol={"design": {"points": 2}, "tune": {"trials": 2}, "confirm": {"top": 1, "seeds": 1}},
    )
    queue = WorkQueue(smaller, rows)
    dropped = {row.trial_id for row in queue.misplaced}
    kept = [row for row in rows if row.trial_id not in dropped]
    assert {row.backbone for row in kept} == {"synthetic_a"}
    assert {row.role for row in kept} <= {Role.DESIGN, Role.TUNE, Role.CONFIRM}
    assert all(row.number < 2 for row in kept if row.role in (Role.DESIGN, Role.TUNE))
    marked = [replace(row, superseded=row.trial_id in dropped) for row in rows]
    write(store, lease, [version_of(smaller), *marked])
    assert sweep_status(store, "small").done == queue.counts.total()
    counted = read(store, lambda c: c.execute("SELECT sum(complete + diverged + failed) FROM cells").fetchone())
    assert counted == (queue.counts.total(),)
    assert not WorkQueue(smaller, marked).misplaced
    # A spec that grows back takes them in again.
    assert {row.trial_id for row in WorkQueue(plan, marked).misplaced} == dropped


def test_a_damaged_heartbeat_leaves_a_status_without_a_driver(store: Store, lease: Lease) -> None:
    plan, sweep = small_plan(), store.sweep("small")
    write(store, lease, [version_of(plan), *first_trials(plan, 12)])
    sweep.files.write(sweep.paths.beat(1), b"{")
    found = sweep_status(store, "small")
    lease.beat()
    assert (found.done, found.seconds_left) == (12, None)
    assert status_line(found).endswith("; no driver is alive")


def test_what_attempts_printed_is_read_only_for_who_asks_for_it(store: Store) -> None:
    plan, sweep = small_plan(), store.sweep("small")
    put_part(sweep, [version_of(plan)])
    parts = []
    for trial_id in ("a", "b"):
        row = make_row(AttemptRow, sweep="small", trial_id=trial_id, outcome="ERROR", traceback="why", log="said")
        parts.append(put_part(sweep, [row]))
    for column in AttemptRow.LONG:
        damage_column(store, parts[1], column)
    with pytest.raises(StoreError, match="cannot be read"):
        attempts_of(sweep, "b")
    assert sweep_of_trial(store, "b", None).name == "small"
    assert read_history(sweep, plan).records["b"].attempts == 1
    assert sweep_status(store, "small").planned == plan.trials
    # Nor is one trial's output read for another's.
    (attempt,) = attempts_of(sweep, "a")
    assert (attempt.traceback, attempt.log) == ("why", "said")
