"""Every file and row of a sweep checked; changes nothing and may run beside the sweep's driver."""

from __future__ import annotations

import hashlib
import json

import duckdb

from orchestrator.errors import StoreError
from orchestrator.planning.planned_ids import PlannedIds
from orchestrator.store.connection import open_duckdb
from orchestrator.store.files import store_errors
from orchestrator.store.lease import driver_of
from orchestrator.store.paths import SweepPaths, is_checkpoint
from orchestrator.store.schema import READ_ORDER, SweepRow, TrialRow
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.verify_drivers import check_drivers
from orchestrator.upkeep.verify_rows import check_rows, count_of, damage_problems, find_losses
from orchestrator.upkeep.verify_tables import look_at_table
from orchestrator.worker.checkpoints import decode

MEMORY_LIMIT = "1GB"
"""Of the database that holds the rows; beyond it they lie on disk."""


def verify_sweep(sweep: SweepStore, connection: duckdb.DuckDBPyConnection | None = None) -> Findings:
    """Checks everything that a sweep has in the store.

    Args:
        sweep: The sweep.
        connection: A database to leave its rows in, as `look_at_table` says.

    Raises:
        StoreError: The store cannot be read at all, or changes faster than it can be read.
    """
    with store_errors(f"cannot verify sweep {sweep.name!r}"):
        if connection is not None:
            return _verify(sweep, connection)
        with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT) as own:
            return _verify(sweep, own)


def _verify(sweep: SweepStore, connection: duckdb.DuckDBPyConnection) -> Findings:
    is_running = _is_running(sweep)
    looks = [look_at_table(sweep, row_type, connection) for row_type in READ_ORDER]
    is_running = is_running or _is_running(sweep)
    losses = find_losses(connection)
    found = Findings(problems=damage_problems(sweep, looks, connection, losses))
    for look in looks:
        found.add(look.findings)
    found.add(check_rows(sweep, connection, losses, is_running=is_running))
    found.add(_check_plan(sweep, connection))
    found.add(check_drivers(sweep, connection))
    found.add(_check_checkpoints(sweep, connection, is_running=is_running))
    return found


def _is_running(sweep: SweepStore) -> bool:
    try:
        driver = driver_of(sweep)
    except StoreError:
        return False  # its claim or heartbeat is damaged, which is reported as such
    return driver is not None and driver.alive


def _check_plan(sweep: SweepStore, connection: duckdb.DuckDBPyConnection) -> Findings:
    """Every trial must be one that some version of the spec asks for."""
    found, versions = Findings(), []
    for version in _rows(connection, SweepRow):
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
                    file=sweep.paths.table(TrialRow),
                    problem=f"trial {trial[0]} is not of the plan of any recorded version of the spec",
                    lost="nothing; the trial may not be what it says it is",
                    mend="leave it out of what you conclude, or restore the sweep from a backup",
                    trial_id=trial[0],
                )
            )
    return found


def _rows(connection: duckdb.DuckDBPyConnection, row_type: type[SweepRow]) -> list[SweepRow]:
    table = connection.sql(f"SELECT * EXCLUDE (file, place) FROM {row_type.TABLE} ORDER BY version")  # noqa: S608
    return [row_type(**record) for record in table.to_arrow_table().to_pylist()]


def _planned(version: SweepRow) -> PlannedIds:
    if hashlib.sha256(version.spec.encode()).hexdigest() != version.spec_sha256:
        raise StoreError("the recorded spec does not match its SHA-256")
    return PlannedIds.of(version)


def _no_spec(sweep: SweepStore, why: str) -> Problem:
    return Problem(
        file=sweep.paths.table(SweepRow),
        problem=why,
        lost="the spec of that version",
        mend="bocb run with the spec that the sweep was started with; it records it again",
    )


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
        SweepPaths(sweep.name).checkpoints(checkpoint.trial_id)
        if checkpoint.trial_id == trial_id:
            return []
        why = f"it is of trial {checkpoint.trial_id}"
    except FileNotFoundError:
        return []  # its trial has ended meanwhile
    except (ValueError, KeyError, TypeError, StoreError) as error:
        why = f"it is damaged: {error}"
    return [
        Problem(
            file=path,
            problem=f"a checkpoint of trial {trial_id}: {why}",
            lost="the trial's state in it: its weights" if is_ended else "the epochs since the checkpoint before it",
            mend=f"bocb verify {sweep.name} --mend moves it away"
            + ("" if is_ended else f", then bocb resume {sweep.name}"),
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
