"""What one table says against what another says, and from that what a damaged file has cost.

The rows are those that `TableCheck` leaves in a database. A trial's row is written after its curve and its attempt,
so tables read in the opposite order agree even while the sweep runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from orchestrator.running.outcomes import DAMAGED
from orchestrator.store.paths import parse_compacted, parse_part
from orchestrator.store.schema import AttemptRow, CorruptionRow, CurveRow, LayerRow, Row, SweepRow, TrialRow
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.verify_tables import CheckedTable

# ruff: noqa: S608 - no part of this SQL comes from outside

NAMES_SHOWN = 5
_MARKED = f"(state = 'FAIL' AND coalesce(trials.reason LIKE '{DAMAGED}:%', false))"
MEASURED: tuple[type[Row], ...] = (LayerRow, CorruptionRow)
"""Tables of what is measured of trained networks; `trials` has a column of each one's name: how many rows it has."""
_ENDED = "('COMPLETE', 'DIVERGED', 'PRUNED', 'FAIL')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What the rows that are there show to be missing, by trial id."""

    epochs: dict[str, tuple[int, ...]]
    """Epochs missing from the curves of trials that have a result."""
    measured: dict[type[Row], dict[str, int]]
    """Rows missing of what was measured of trained networks: by table, then by trial."""
    attempts: tuple[str, ...]
    """Trials whose last attempt has no row, or none of its end."""
    trials: tuple[str, ...]
    """Trials that ended by what their attempts say, and have no row that says how."""


def find_losses(connection: duckdb.DuckDBPyConnection) -> Losses:
    """Looks for rows that must be there because another table's rows are."""
    incomplete = connection.execute("""
        SELECT trial_id, epochs_done, list(epoch) FILTER (epoch IS NOT NULL)
        FROM (SELECT trial_id, epochs_done FROM trials WHERE state <> 'FAIL')
        LEFT JOIN curves USING (trial_id)
        GROUP BY ALL
        HAVING count(epoch) FILTER (epoch BETWEEN 1 AND epochs_done) < epochs_done
        ORDER BY trial_id
    """).fetchall()
    attempts = connection.execute(f"""
        SELECT trial_id FROM trials LEFT JOIN attempts USING (trial_id, attempt)
        WHERE NOT {_MARKED} AND attempt > 0 AND (outcome IS NULL OR outcome = 'RUNNING') ORDER BY trial_id
    """).fetchall()  # an imported trial has no attempt
    trials = connection.execute(f"""
        SELECT trial_id
        FROM (SELECT trial_id, max(attempt) AS last FROM attempts WHERE outcome IN {_ENDED} GROUP BY ALL)
        LEFT JOIN (SELECT trial_id, attempt, {_MARKED} AS is_marked FROM trials) USING (trial_id)
        WHERE attempt IS NULL OR (attempt < last AND NOT is_marked) ORDER BY trial_id
    """).fetchall()
    return Losses(
        measured={row_type: _missing_rows(connection, row_type) for row_type in MEASURED},
        epochs={
            trial: tuple(sorted(set(range(1, done + 1)) - set(found or ()))) for trial, done, found in incomplete
        },
        attempts=tuple(row[0] for row in attempts),
        trials=tuple(row[0] for row in trials),
    )


def _missing_rows(connection: duckdb.DuckDBPyConnection, row_type: type[Row]) -> dict[str, int]:
    """How many rows of a table each trial lacks; its own row says how many the attempt that ended it has."""
    table = row_type.TABLE
    missing = connection.execute(f"""
        SELECT trial_id, trials.{table} - count({table}.trial_id)
        FROM trials LEFT JOIN {table} USING (trial_id, attempt)
        WHERE trials.{table} IS NOT NULL
        GROUP BY trial_id, trials.{table} HAVING count({table}.trial_id) < trials.{table} ORDER BY trial_id
    """).fetchall()
    return {str(trial): int(count) for trial, count in missing}


def count_of(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    """Rows of a table, or of a part of it that SQL names."""
    ((count,),) = connection.execute(f"SELECT count(*) FROM {what}").fetchall()
    return int(count)


def check_rows(
    sweep: SweepStore, connection: duckdb.DuckDBPyConnection, losses: Losses, *, is_running: bool
) -> Findings:
    """Reports every trial whose rows do not fit together.

    Args:
        sweep: The sweep.
        connection: The database with its rows.
        losses: What `find_losses` found in it.
        is_running: Whether a driver is at work: then attempts may be ahead of the trials' rows.
    """
    found = Findings()
    for trial, epochs in losses.epochs.items():
        found.problems.append(_run_again(sweep, CurveRow, trial, f"its curve lacks epochs {_list(epochs)}"))
    for row_type, missing in losses.measured.items():
        for trial, count in missing.items():
            found.problems.append(_run_again(sweep, row_type, trial, f"it lacks {count} rows of {row_type.TABLE}"))
    for trial, what in _contradictions(connection, set(losses.epochs)).items():
        found.problems.append(_run_again(sweep, TrialRow, trial, what))
    for trial in losses.attempts:
        what = "the end of its last attempt is not recorded"
        found.problems.append(_record(sweep, trial, what, "where it ran, and its traceback if it raised"))
    _check_outcomes(sweep, connection, losses, found, is_running=is_running)
    return found


def damage_problems(
    sweep: SweepStore, tables: Sequence[CheckedTable], connection: duckdb.DuckDBPyConnection, losses: Losses
) -> list[Problem]:
    """The damaged and missing files, each with what it has cost as far as the other tables tell."""
    return [
        Problem(
            sweep=sweep.name,
            file=sweep.paths.in_table(table.row_type, name),
            what=_describe(name, table.row_type),
            why=why,
            lost=_lost(table, connection, losses),
            remedy=Remedy.REBUILD,
        )
        for table in tables
        for name, why in table.damages.items()
    ]


def _contradictions(connection: duckdb.DuckDBPyConnection, incomplete: set[str]) -> dict[str, str]:
    """Trials whose row does not say what their curve shows, and what is wrong with it."""
    rows = connection.execute(f"""
        SELECT trial_id, state, epochs_done, epochs_planned, total,
            {", ".join(f"val_top1_{name} IS DISTINCT FROM CAST({name} AS FLOAT)" for name in ("final", "best"))},
            NOT abs(val_top1_median10 - median10) <= 1e-6, has_nan
        FROM trials JOIN (
            SELECT trial_id, count(*) AS total,
                arg_max(val_top1, epoch) FILTER (epoch <= epochs_done) AS final,
                max(val_top1) FILTER (epoch <= epochs_done) AS best,
                median(val_top1) FILTER (epoch <= epochs_done AND epoch > epochs_done - 10) AS median10,
                bool_or(isnan(val_top1)) AS has_nan
            FROM curves JOIN (SELECT trial_id, epochs_done FROM trials) USING (trial_id) GROUP BY trial_id
        ) USING (trial_id)
        WHERE state <> 'FAIL' AND val_top1_final IS NOT NULL ORDER BY trial_id
    """).fetchall()  # the float32 of a largest value is the largest float32; a median may be a mean of two
    found = {}
    for trial, state, done, planned, total, final, best, median10, has_nan in rows:
        if trial in incomplete:
            continue
        if state == "COMPLETE" and not done == planned == total:
            found[trial] = f"it is COMPLETE with {done} epochs done, {planned} planned and {total} in its curve"
        elif final:
            found[trial] = "its final accuracy is not that of its curve's last epoch"
        elif not has_nan and (best or median10):
            found[trial] = "its best or median accuracy is not that of its curve"
    return found


def _check_outcomes(
    sweep: SweepStore, connection: duckdb.DuckDBPyConnection, losses: Losses, found: Findings, *, is_running: bool
) -> None:
    for trial, attempt, outcome, state in connection.execute(f"""
        SELECT trial_id, attempt, outcome, state FROM trials JOIN attempts USING (trial_id, attempt)
        WHERE NOT {_MARKED} AND outcome <> 'RUNNING' AND outcome <> state ORDER BY trial_id
    """).fetchall():
        found.problems.append(
            _record(sweep, trial, f"attempt {attempt} is recorded as {outcome}, its trial as {state}", "nothing")
        )
    if is_running:
        return
    rows = {row[0] for row in connection.execute("SELECT trial_id FROM trials").fetchall()}
    for trial in losses.trials:
        if trial in rows:
            what = "its row is of an earlier attempt than its last, which ended it"
            found.problems.append(_run_again(sweep, TrialRow, trial, what))
    unrecorded = [trial for trial in losses.trials if trial not in rows]
    if unrecorded:
        found.notes.append(f"{_names(unrecorded)} ended and left no result; the next run trains them again")
    for row_type in MEASURED:
        early = count_of(
            connection, f"(SELECT DISTINCT trial_id FROM {row_type.TABLE} ANTI JOIN trials USING (trial_id))"
        )
        if early:
            found.notes.append(
                f"{early} trials have rows of {row_type.TABLE} and no result; the next run trains them"
            )
    left = count_of(connection, "attempts WHERE outcome = 'RUNNING'")
    if left:
        found.notes.append(f"{left} attempts were cut off with their driver; the next run goes on with them")
    marked = count_of(connection, f"trials WHERE {_MARKED}")
    if marked:
        found.notes.append(f"{marked} trials are marked as damaged; bocb resume {sweep.name} trains them again")


def _lost(table: CheckedTable, connection: duckdb.DuckDBPyConnection, losses: Losses) -> str:
    """What no sound file of a table has any more; of several damaged files, all together."""
    row_type = table.row_type
    together = "" if len(table.damages) == 1 else f" (with the other damaged files of {row_type.TABLE})"
    if row_type is CurveRow and losses.epochs:
        return f"{sum(map(len, losses.epochs.values()))} epochs of {_names(list(losses.epochs))}{together}"
    if losses.measured.get(row_type):
        rows = losses.measured[row_type]
        return f"{sum(rows.values())} rows of {_names(list(rows))}{together}"
    if row_type is TrialRow and losses.trials:
        return f"the results of {_names(losses.trials)}{together}"
    if row_type is AttemptRow and losses.attempts:
        return f"how the last attempts of {_names(losses.attempts)} ended{together}"
    if row_type is SweepRow:
        return "a version of the spec" if count_of(connection, "sweeps") else "the spec"
    return "nothing that the other tables know of; what a trial that had not ended did is done again"


def _describe(name: str, row_type: type[Row]) -> str:
    part, generation = parse_part(name), parse_compacted(name)
    if part is not None:
        return f"part {part.sequence} of {row_type.TABLE} (driver {part.driver_epoch})"
    return f"file of {row_type.TABLE} from compaction {generation}"


def _list(epochs: Sequence[int]) -> str:
    shown = ", ".join(map(str, epochs[:NAMES_SHOWN]))
    return f"{shown}, ..." if len(epochs) > NAMES_SHOWN else shown


def _names(trials: Sequence[str]) -> str:
    shown = ", ".join(trials[:NAMES_SHOWN])
    more = f" and {len(trials) - NAMES_SHOWN} more" if len(trials) > NAMES_SHOWN else ""
    return f"trial{'s' if len(trials) > 1 else ''} {shown}{more}"


def _record(sweep: SweepStore, trial: str, why: str, lost: str) -> Problem:
    return _of_trial(sweep, AttemptRow, trial, why, lost, Remedy.RECORD)


def _run_again(sweep: SweepStore, row_type: type[Row], trial: str, why: str) -> Problem:
    return _of_trial(sweep, row_type, trial, why, "the trial's result, until it is trained again", Remedy.RUN_AGAIN)


def _of_trial(sweep: SweepStore, row_type: type[Row], trial: str, why: str, lost: str, remedy: Remedy) -> Problem:
    return Problem(
        sweep=sweep.name,
        file=sweep.paths.table(row_type),
        what=f"trial {trial}",
        why=why,
        lost=lost,
        remedy=remedy,
        trial_id=trial,
    )
