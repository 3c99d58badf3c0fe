"""Reads from the store everything that an analysis or a page needs: the only place in the analysis that knows SQL."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import duckdb

from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.curves import Curve, trials_to_draw
from orchestrator.analysis.trials.spec_facts import SpecFacts, spec_facts
from orchestrator.analysis.trials.sweep_data import MAX_FAILURES, Failure, PageData, SweepData
from orchestrator.errors import UsageError
from orchestrator.store.schema import CorruptionRow, LayerRow, TrialRow, columns_of
from search_spaces.errors import unknown_name

R = TypeVar("R", LayerRow, CorruptionRow)


def load_sweep(connection: duckdb.DuckDBPyConnection, sweep: str) -> SweepData:
    """Reads the trials of one sweep, and what its spec asked for, from the views `sweeps` and `trials`.

    Raises:
        UsageError: The store has no such sweep.
    """
    versions = _records(
        connection, "SELECT * FROM sweeps WHERE sweep = ? ORDER BY version DESC, driver_epoch DESC LIMIT 1", [sweep]
    )
    trials = _load_trials(connection, sweep)
    if not versions and not trials:
        known = connection.execute("SELECT sweep FROM sweeps UNION SELECT sweep FROM trials").fetchall()
        raise UsageError(str(unknown_name("sweep", sweep, [name for (name,) in known])))
    return SweepData(
        sweep=sweep,
        planned=int(versions[0]["trials_planned"]) if versions else None,
        facts=spec_facts(versions[0]) if versions else SpecFacts(),
        trials=trials,
        layers=_load_of_trials(connection, sweep, LayerRow, "backbone, recipe, optimizer, trial_id, position"),
        corruptions=_load_of_trials(connection, sweep, CorruptionRow, "trial_id, corruption, severity"),
        superseded=_count(connection, "SELECT count(*) FROM trials WHERE sweep = ? AND superseded", sweep),
    )


def load_page_data(connection: duckdb.DuckDBPyConnection, sweep: str) -> PageData:
    """Reads one sweep from the views `sweeps`, `trials`, `curves` and `attempts` (one row for each key).

    Raises:
        UsageError: The store has no such sweep.
    """
    data = load_sweep(connection, sweep)
    return PageData(
        data=data,
        curves=_load_curves(connection, sweep, data.trials),
        failures=_load_failures(connection, sweep),
        running=_count(connection, _RUNNING, sweep),
    )


def _records(connection: duckdb.DuckDBPyConnection, sql: str, values: list[Any]) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _load_trials(connection: duckdb.DuckDBPyConnection, sweep: str) -> tuple[TrialRow, ...]:
    columns = ", ".join(column.name for column in fields(TrialRow))
    # Column names come from our schema, not from a user.
    order = "backbone, recipe, optimizer, role, number, trial_id"
    sql = f"SELECT {columns} FROM trials WHERE sweep = ? AND NOT superseded ORDER BY {order}"  # noqa: S608
    return tuple(TrialRow(**record) for record in _records(connection, sql, [sweep]))


def _load_of_trials(
    connection: duckdb.DuckDBPyConnection, sweep: str, row_type: type[R], order: str
) -> tuple[R, ...]:
    """The rows of a table that belong to trials which count."""
    columns = ", ".join(f"r.{column.name}" for column in columns_of(row_type))
    # Column and table names come from our schema, not from a user.
    sql = (
        f"SELECT {columns} FROM {row_type.TABLE} r JOIN trials t USING (sweep, trial_id) "  # noqa: S608
        f"WHERE r.sweep = ? AND NOT t.superseded ORDER BY {', '.join(f'r.{name}' for name in order.split(', '))}"
    )
    return tuple(row_type(**record) for record in _records(connection, sql, [sweep]))


def _load_curves(
    connection: duckdb.DuckDBPyConnection, sweep: str, trials: tuple[TrialRow, ...]
) -> tuple[Curve, ...]:
    wanted = [trial.trial_id for drawn in trials_to_draw(trials).values() for trial in drawn]
    rows = connection.execute(
        "SELECT trial_id, list(epoch ORDER BY epoch), list(val_top1 ORDER BY epoch) FROM curves "
        "WHERE sweep = ? AND trial_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY trial_id ORDER BY trial_id",
        [sweep, wanted],
    ).fetchall()
    return tuple(
        Curve(trial_id=trial_id, epochs=tuple(epochs), val_top1=tuple(values)) for trial_id, epochs, values in rows
    )


def _load_failures(connection: duckdb.DuckDBPyConnection, sweep: str) -> tuple[Failure, ...]:
    rows = connection.execute(
        "SELECT t.trial_id, t.backbone, t.recipe, t.optimizer, t.role, t.attempt, t.reason, a.exception "
        "FROM trials t LEFT JOIN attempts a USING (sweep, trial_id, attempt) "
        "WHERE t.sweep = ? AND t.state = 'FAIL' AND NOT t.superseded ORDER BY t.trial_id LIMIT ?",
        [sweep, MAX_FAILURES],
    ).fetchall()
    return tuple(
        Failure(
            trial_id=trial_id,
            key=CellKey(backbone=backbone, recipe=recipe, optimizer=optimizer),
            role=role,
            attempts=attempt,
            reason=reason,
            exception=exception,
        )
        for trial_id, backbone, recipe, optimizer, role, attempt, reason, exception in rows
    )


_RUNNING = (
    "SELECT count(DISTINCT trial_id) FROM attempts a WHERE sweep = ? AND outcome = 'RUNNING' AND driver_epoch = "
    "(SELECT max(driver_epoch) FROM attempts WHERE sweep = a.sweep) AND NOT EXISTS "
    "(SELECT 1 FROM trials t WHERE t.sweep = a.sweep AND t.trial_id = a.trial_id)"
)


def _count(connection: duckdb.DuckDBPyConnection, sql: str, sweep: str) -> int:
    (number,) = connection.execute(sql, [sweep]).fetchone() or (0,)
    return int(number)
