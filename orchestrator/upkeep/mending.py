"""Putting a damaged sweep in order, so that `bocb resume` gives it back what it lost.

Nothing is destroyed: what is damaged is copied to `.damaged/` before anything takes its place. A damaged Parquet file
is replaced by an empty one, so that numbers stay without gaps; a trial that thereby lost its row has not run, as far
as the next run can tell, and one that lost its curve is marked as not run. Seeds and settings follow from the spec,
so the trials are trained to the same numbers again (on the CPU to the last bit). The end of an attempt is recorded
again from its trial's row, and of drivers only the numbers matter, which stay taken.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import duckdb

from orchestrator.errors import BusyError
from orchestrator.running.outcomes import DAMAGED, State
from orchestrator.store.connection import open_duckdb
from orchestrator.store.files import store_errors
from orchestrator.store.lease import Lease, claim
from orchestrator.store.paths import parse_driver
from orchestrator.store.schema import AttemptRow, Row, TrialRow, arrow_schema
from orchestrator.store.seal import seal_json, sealed_writer
from orchestrator.store.store import SweepStore
from orchestrator.store.writer import TableWriter
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.rebuild import rebuild_table
from orchestrator.upkeep.verification import MEMORY_LIMIT, verify_sweep

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC).isoformat()
SIGN_OF_LIFE_SECONDS = 15.0
"""A driver that lives writes its heartbeat within this time."""


def mend_sweep(sweep: SweepStore, *, patience: float = SIGN_OF_LIFE_SECONDS) -> list[str]:
    """Does what can be done about every problem of a sweep.

    Args:
        sweep: The sweep.
        patience: Seconds to wait for a sign of life from a driver whose claim or heartbeat is damaged.

    Returns:
        What was done, a sentence each; nothing where there was nothing to do.

    Raises:
        BusyError: A driver is at work on the sweep.
        StoreError: The store cannot be written.
    """
    with store_errors(f"cannot mend sweep {sweep.name!r}"):
        found = verify_sweep(sweep)
        if not any(problem.remedy is not Remedy.NONE for problem in found.problems):
            return []
        done = _mend_drivers(sweep, found, patience)
        with claim(sweep) as lease:
            lease.start_heartbeat()
            with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT) as connection:
                # Again, now that nobody else writes, and once more: rows may come back with the list of their files.
                done += _mend_files(sweep, lease, verify_sweep(sweep, connection).problems)
                done += _mend_rows(sweep, lease, verify_sweep(sweep, connection).problems, connection)
    return done


def _mend_drivers(sweep: SweepStore, found: Findings, patience: float) -> list[str]:
    """Claims and heartbeats come first: without them nobody can claim the sweep."""
    broken = [problem for problem in found.problems if problem.remedy in (Remedy.CLAIM, Remedy.BEAT)]
    if not broken:
        return []
    newest = _newest_driver(sweep)
    _refuse_a_living_driver(sweep, newest, patience)
    ended = seal_json({"host": "", "machine": "", "pid": 0, "process": None, "claimed_at": LONG_AGO})
    for problem in broken:
        _put_aside(sweep, newest + 1, problem.file)
        content = ended if problem.remedy is Remedy.CLAIM else seal_json({"at": LONG_AGO, "released": True})
        sweep.files.write(problem.file, content)
    return [f"{problem.file}: now that of a driver that has ended" for problem in broken]


def _newest_driver(sweep: SweepStore) -> int:
    return max((parse_driver(name) or 0 for name in sweep.files.names(sweep.paths.drivers)), default=0)


def _refuse_a_living_driver(sweep: SweepStore, driver_epoch: int, patience: float) -> None:
    """Waits for the newest driver's heartbeat, which tells more than a damaged file about it."""
    before = _heartbeat(sweep, driver_epoch)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(min(1.0, patience))
        if _heartbeat(sweep, driver_epoch) != before:
            raise BusyError(
                f"a driver is at work on sweep {sweep.name!r}: its heartbeat has just been written; stop it with "
                f"'bocb stop {sweep.name}' and mend the sweep then"
            )


def _heartbeat(sweep: SweepStore, driver_epoch: int) -> bytes:
    name = sweep.paths.beat(driver_epoch)
    return sweep.files.read(name) if sweep.files.exists(name) else b""


def _mend_files(sweep: SweepStore, lease: Lease, problems: Iterable[Problem]) -> list[str]:
    """Damaged files first, then the lists of files, which are made from what is sound."""
    done = []
    rebuilt: dict[type[Row], Problem] = {}
    for problem in problems:
        if problem.remedy is Remedy.REBUILD and problem.table is not None:
            rebuilt.setdefault(problem.table, problem)
        if problem.remedy in (Remedy.REPLACE, Remedy.MOVE):
            lease.check()
            was_there = _put_aside(sweep, lease.driver_epoch, problem.file)
            if problem.remedy is Remedy.MOVE:
                sweep.files.delete(problem.file)
            elif problem.table is not None:
                sweep.files.write(problem.file, _empty(problem.table))
            done.append(f"{problem.file}: {'moved to .damaged' if was_there else 'an empty file takes its place'}")
    for table, problem in rebuilt.items():
        lease.check()
        _put_aside(sweep, lease.driver_epoch, problem.file)
        rebuild_table(sweep, table)
        done.append(f"{sweep.paths.table(table)}: compacted anew from all its files")
    return done


def _mend_rows(
    sweep: SweepStore, lease: Lease, problems: Iterable[Problem], connection: duckdb.DuckDBPyConnection
) -> list[str]:
    """Marks trials to run again, and records attempts from their trials."""
    rows = _trials(connection)
    again = {p.trial_id: p for p in problems if p.remedy is Remedy.RUN_AGAIN and p.trial_id in rows}
    recorded = {p.trial_id: p for p in problems if p.remedy is Remedy.RECORD and p.trial_id in rows}
    with TableWriter(sweep, lease) as writer:
        for trial_id, problem in again.items():
            writer.add(_marked(rows[str(trial_id)], problem, lease.driver_epoch))
        for trial_id in recorded.keys() - again.keys():
            writer.add(_attempt_of(rows[str(trial_id)], lease.driver_epoch))
        writer.flush()
    marked = [f"trial {trial_id}: marked to run again" for trial_id in sorted(map(str, again))]
    return marked + [
        f"trial {trial_id}: its last attempt is recorded again"
        for trial_id in sorted(map(str, recorded.keys() - again.keys()))
    ]


def _trials(connection: duckdb.DuckDBPyConnection) -> dict[str, TrialRow]:
    table = connection.sql(f"SELECT {', '.join(arrow_schema(TrialRow).names)} FROM trials").to_arrow_table()  # noqa: S608
    return {record["trial_id"]: TrialRow(**record) for record in table.to_pylist()}


def _marked(row: TrialRow, problem: Problem, driver_epoch: int) -> TrialRow:
    """A trial without its result, which no longer rests on anything."""
    return replace(
        row,
        state=State.FAIL,
        reason=f"{DAMAGED}: {problem.problem.partition(': ')[2]}",
        score=None,
        val_top1_final=None,
        val_top1_best=None,
        val_top1_median10=None,
        test_top1=None,
        history_sha256=None,
        driver_epoch=driver_epoch,
    )


def _attempt_of(row: TrialRow, driver_epoch: int) -> AttemptRow:
    return AttemptRow(
        sweep=row.sweep,
        trial_id=row.trial_id,
        attempt=row.attempt,
        driver_epoch=driver_epoch,
        outcome=row.state,
        reason=row.reason,
        epochs_done=row.epochs_done,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _put_aside(sweep: SweepStore, driver_epoch: int, name: str) -> bool:
    """Copies a file to where damaged ones are kept; returns whether there was one."""
    try:
        data = sweep.files.read(name)
    except FileNotFoundError:
        return False
    target = kept = sweep.paths.damaged(driver_epoch, name)
    number = 1
    while sweep.files.exists(target) and sweep.files.read(target) != data:
        number += 1
        target = f"{kept}.{number}"
    if not sweep.files.exists(target):
        sweep.files.create(target, data)
    return True


def _empty(row_type: type[Row]) -> bytes:
    buffer = io.BytesIO()
    with sealed_writer(buffer, arrow_schema(row_type)):
        pass
    return buffer.getvalue()
