"""Every file and row of a sweep checked; changes nothing and may run beside the sweep's driver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import duckdb

from orchestrator.errors import StoreError
from orchestrator.planning.planned_ids import PlannedIds
from orchestrator.store.connection import open_duckdb
from orchestrator.store.drivers import working_driver
from orchestrator.store.files import store_errors
from orchestrator.store.guard import one_sentence
from orchestrator.store.paths import is_checkpoint
from orchestrator.store.rows import decode_rows
from orchestrator.store.schema import READ_ORDER, SweepRow, TrialRow, arrow_schema
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.verify_drivers import check_drivers
from orchestrator.upkeep.verify_rows import check_rows, count_of, damage_problems, find_losses
from orchestrator.upkeep.verify_tables import CheckedTable, TableCheck
from orchestrator.worker.checkpoints import decode

R = TypeVar("R", SweepRow, TrialRow)

MEMORY_LIMIT = "1GB"
"""Of the database that holds the rows; beyond it they lie on disk."""


class Verification:
    """Checks of one sweep. A second one reads only files that were not there at the first.

    Its database holds the sweep's rows, as `TableCheck` says, and is to be opened with `rows_database`.
    """

    def __init__(self, sweep: SweepStore, connection: duckdb.DuckDBPyConnection) -> None:
        self.tables: list[CheckedTable] = []
        self._sweep = sweep
        self._connection = connection
        self._checks = [TableCheck(sweep, row_type, connection) for row_type in READ_ORDER]

    def check(self) -> Findings:
        """What is wrong now.

        Raises:
            StoreError: A table changes faster than it can be read.
        """
        sweep, connection = self._sweep, self._connection
        is_running = working_driver(sweep) is not None
        self.tables = [table.check() for table in self._checks]
        is_running = is_running or working_driver(sweep) is not None
        found = Findings()
        for table in self.tables:
            found.add(table.findings)
        losses = find_losses(connection)
        found.problems[:0] = damage_problems(sweep, self.tables, connection, losses)
        if not any(table.is_newer for table in self.tables):  # else rows would be missed that are there
            found.add(check_rows(sweep, connection, losses, is_running=is_running))
            found.add(_check_plan(sweep, connection))
            found.add(_check_checkpoints(sweep, connection, is_running=is_running))
        found.add(check_drivers(sweep, connection))
        return found


def verify_sweep(sweep: SweepStore) -> Findings:
    """Checks everything that a sweep has in the store.

    Raises:
        StoreError: The store cannot be read at all, or changes faster than it can be read.
    """
    with rows_database(sweep, f"cannot verify sweep {sweep.name!r}") as connection:
        return Verification(sweep, connection).check()


def rows_left(connection: duckdb.DuckDBPyConnection, row_type: type[R]) -> list[R]:
    """The rows of a table that is in the database with all its columns, sorted by key."""
    columns, keys = ", ".join(arrow_schema(row_type).names), ", ".join(row_type.KEY)
    sql = f"SELECT {columns} FROM {row_type.TABLE} ORDER BY {keys}"  # noqa: S608 - names come from the schema
    return decode_rows(connection.sql(sql).to_arrow_table(), row_type)


@contextmanager
def rows_database(sweep: SweepStore, action: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database for a sweep's rows; what it or the store refuses is a `StoreError` that begins with `action`."""
    with store_errors(action):
        try:
            with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT) as connection:
                yield connection
        except duckdb.Error as error:
            raise StoreError(f"{action}: {one_sentence(error)}") from error


def _check_plan(sweep: SweepStore, connection: duckdb.DuckDBPyConnection) -> Findings:
    """Every trial must be one that some version of the spec asks for."""
    found, versions = Findings(), []
    for version in rows_left(connection, SweepRow):
        try:
            versions.append(_planned(version))
        except (StoreError, ValueError, IndexError, TypeError) as error:
            found.problems.append(_no_spec(sweep, f"version {version.version}: {error}"))
    if not versions and not found.problems and count_of(connection, "trials"):
        found.problems.append(_no_spec(sweep, "no version of the spec is recorded, and trials are"))
    if not versions:
        return found
    for trial in connection.execute(
        "SELECT trial_id, backbone, recipe, optimizer FROM trials WHERE NOT superseded ORDER BY ALL"
    ).fetchall():
        if not any(version.has(*trial) for version in versions):
            found.problems.append(
                Problem(
                    sweep=sweep.name,
                    file=sweep.paths.table(TrialRow),
                    why=f"trial {trial[0]} is not of the plan of any recorded version of the spec",
                    lost="nothing; the trial may not be what it says it is",
                    remedy=Remedy.RESTORE,
                    trial_id=trial[0],
                )
            )
    return found


def _planned(version: SweepRow) -> PlannedIds:
    if hashlib.sha256(version.spec.encode()).hexdigest() != version.spec_sha256:
        raise StoreError("the recorded spec does not match its SHA-256")
    return PlannedIds.of(version)


def _no_spec(sweep: SweepStore, why: str) -> Problem:
    path = sweep.paths.table(SweepRow)
    return Problem(sweep=sweep.name, file=path, why=why, lost="the spec of that version", remedy=Remedy.RUN)


def _check_checkpoints(sweep: SweepStore, connection: duckdb.DuckDBPyConnection, *, is_running: bool) -> Findings:
    """Every checkpoint must be whole and of its trial; those of ended trials are kept only where the spec says so."""
    found = Findings()
    ended = {row[0]: row for row in connection.execute("SELECT trial_id, state, role FROM trials").fetchall()}
    keep = _keep_rule(connection)
    leftovers = []
    for trial_id in sweep.files.names(sweep.paths.all_checkpoints):
        folder = f"{sweep.paths.all_checkpoints}/{trial_id}"
        names = [name for name in sweep.files.names(folder) if is_checkpoint(name)]
        for name in names:
            found.files += 1
            found.problems += _check_checkpoint(sweep, f"{folder}/{name}", trial_id, is_ended=trial_id in ended)
        if names and trial_id in ended and not _is_kept(keep, *ended[trial_id][1:]):
            leftovers.append(trial_id)
    if leftovers and not is_running:  # a driver at work deletes them within seconds
        found.notes.append(f"{len(leftovers)} trials that have ended left checkpoints; a later run removes them")
    return found


def _check_checkpoint(sweep: SweepStore, path: str, trial_id: str, *, is_ended: bool) -> list[Problem]:
    try:
        checkpoint = decode(sweep.files.read(path))
        if checkpoint.trial_id == trial_id:
            return []
        why = f"it is of trial {checkpoint.trial_id}"
    except FileNotFoundError:
        return []  # its trial has ended meanwhile
    except (ValueError, KeyError, TypeError) as error:
        why = f"it is damaged: {error}"
    return [
        Problem(
            sweep=sweep.name,
            file=path,
            what=f"a checkpoint of trial {trial_id}",
            why=why,
            lost="the trial's state in it: its weights" if is_ended else "the epochs since the checkpoint before it",
            remedy=Remedy.MOVE,
            trial_id=trial_id,
        )
    ]


def _keep_rule(connection: duckdb.DuckDBPyConnection) -> str:
    newest = connection.execute("SELECT spec FROM sweeps ORDER BY version DESC LIMIT 1").fetchall()
    try:
        return str(json.loads(newest[0][0])["checkpoints"]["keep"]) if newest else "all"
    except (ValueError, KeyError, TypeError):
        return "all"  # a spec that cannot be read is reported as such


def _is_kept(keep: str, state: str, role: str) -> bool:
    if state == "FAIL":
        return True
    return state == "COMPLETE" and (keep == "all" or (keep == "confirm" and role == "confirm"))
