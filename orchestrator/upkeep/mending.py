"""Putting a damaged sweep in order, so that `bocb resume` gives it back what it lost.

Nothing is destroyed: what is damaged is copied to `.damaged/` before anything else is done, and a table is made anew
from every sound file of it before the damaged ones are deleted. A trial that lost its row has not run, as far as the
next run can tell, and one that lost its curve is marked as not run. Seeds and settings follow from the spec, so the
trials are trained to the same numbers again (on the CPU to the last bit). The end of an attempt is recorded anew from
its trial's row, and of drivers only the numbers matter, which stay taken.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from orchestrator.errors import BusyError, StoreError
from orchestrator.running.outcomes import DAMAGED, State
from orchestrator.store.drivers import beat_seconds
from orchestrator.store.lease import Lease, claim
from orchestrator.store.paths import parse_driver, parse_driver_file
from orchestrator.store.rows import encode_part
from orchestrator.store.schema import AttemptRow, TrialRow
from orchestrator.store.seal import seal_json
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.rebuild import rebuild_table
from orchestrator.upkeep.verification import Verification, rows_database, rows_left
from orchestrator.upkeep.verify_tables import CheckedTable

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC).isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What was done, and what is left."""

    done: list[str] = field(default_factory=list)
    """A sentence each."""
    found: Findings
    """What is wrong now."""


def mend_sweep(sweep: SweepStore, *, patience: float | None = None) -> Mended:
    """Does what can be done about every problem of a sweep; leaves one without any as it is.

    Args:
        sweep: The sweep.
        patience: Seconds to wait for a sign of life from a driver whose claim or heartbeat is damaged; None for what
            a driver that lives surely gives one in.

    Raises:
        BusyError: A driver is at work on the sweep.
        StoreError: The store cannot be written, or a newer bocb has written to it.
    """
    with rows_database(sweep, f"cannot mend sweep {sweep.name!r}") as connection:
        verification = Verification(sweep, connection)
        found = verification.check()
        if not any(problem.remedy.is_ours for problem in found.problems):
            return Mended(found=found)
        done = _mend_drivers(
            sweep, _with(found, Remedy.MARK_ENDED), 1.5 * beat_seconds() if patience is None else patience
        )
        with claim(sweep) as lease:
            lease.start_heartbeat()
            found = verification.check()  # now that nobody else writes
            _refuse_newer(sweep, verification.tables)
            done += _move(sweep, lease, _with(found, Remedy.MOVE))
            for table in verification.tables:
                if table.is_to_be_rebuilt:
                    done += _mend_table(sweep, lease, table)
            trials = {row.trial_id: row for row in rows_left(connection, TrialRow)}
            done += _mend_rows(sweep, lease, found, trials)
        return Mended(done=done, found=verification.check())


def _with(found: Findings, remedy: Remedy) -> list[Problem]:
    return [problem for problem in found.problems if problem.remedy is remedy]


def _refuse_newer(sweep: SweepStore, tables: Sequence[CheckedTable]) -> None:
    for table in tables:
        if table.is_newer:
            raise StoreError(
                f"table {table.row_type.TABLE} of sweep {sweep.name!r} has files of a newer bocb, whose rows this "
                "one would lose; mend it with that version"
            )


def _mend_drivers(sweep: SweepStore, broken: Sequence[Problem], patience: float) -> list[str]:
    """Claims and heartbeats come first: without them nobody can claim the sweep."""
    if not broken:
        return []
    newest = _newest_driver(sweep)
    _refuse_a_living_driver(sweep, newest, patience)
    claim_of_ended = seal_json({"host": "", "machine": "", "pid": 0, "process": None, "claimed_at": LONG_AGO})
    for problem in broken:
        _put_aside(sweep, newest + 1, problem.file)
        is_claim = parse_driver_file(problem.file.rpartition("/")[2]) == "claim"
        beat_of_ended = seal_json({"at": LONG_AGO, "released": True})
        sweep.files.write(problem.file, claim_of_ended if is_claim else beat_of_ended)
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


def _move(sweep: SweepStore, lease: Lease, problems: Sequence[Problem]) -> list[str]:
    for problem in problems:
        lease.check()
        _put_aside(sweep, lease.driver_epoch, problem.file)
        sweep.files.delete(problem.file)
    return [f"{problem.file}: moved to .damaged" for problem in problems]


def _mend_table(sweep: SweepStore, lease: Lease, table: CheckedTable) -> list[str]:
    """Whatever it is killed at, the rows that were left are all there: what is deleted, nobody needs by then."""
    broken = [sweep.paths.in_table(table.row_type, name) for name in table.broken]
    for name in broken:
        _put_aside(sweep, lease.driver_epoch, name)
    rebuild_table(sweep, table, lease)
    for name in broken:
        sweep.files.delete(name)
    return [f"{name}: moved to .damaged" for name in broken] + [
        f"{sweep.paths.table(table.row_type)}: compacted anew from {len(table.sound)} sound files"
    ]


def _mend_rows(sweep: SweepStore, lease: Lease, found: Findings, trials: Mapping[str, TrialRow]) -> list[str]:
    """Marks trials to run again, and records attempts from their trials."""
    again = {str(problem.trial_id): problem for problem in _with(found, Remedy.RUN_AGAIN)}
    recorded = {str(problem.trial_id) for problem in _with(found, Remedy.RECORD)} - again.keys()
    attempts = [_attempt_of(trials[trial_id], lease.driver_epoch) for trial_id in recorded]
    marked = [_marked(trials[trial_id], problem, lease.driver_epoch) for trial_id, problem in again.items()]
    for rows in (attempts, marked):
        if rows:
            lease.check()
            sweep.files.create(sweep.paths.part(type(rows[0]), lease.driver_epoch, 1), encode_part(rows))
    return [f"trial {trial_id}: marked to run again" for trial_id in sorted(again)] + [
        f"trial {trial_id}: its last attempt is recorded again" for trial_id in sorted(recorded)
    ]


def _marked(row: TrialRow, problem: Problem, driver_epoch: int) -> TrialRow:
    """A trial without its result, which no longer rests on anything."""
    return replace(
        row,
        state=State.FAIL,
        reason=f"{DAMAGED}: {problem.why}",
        score=None,
        val_top1_final=None,
        val_top1_best=None,
        val_top1_median10=None,
        test_top1=None,
        history_sha256=None,
        layers=None,
        corruptions=None,
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
