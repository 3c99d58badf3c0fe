"""Reads from the store everything that one page needs: the only place in the analysis that knows SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

import duckdb

from orchestrator.analysis.answers.curves import Curve, trials_to_draw
from orchestrator.analysis.answers.summary import CellKey, counted
from orchestrator.errors import StoreError, UsageError
from orchestrator.planning.imported_spec import import_record
from orchestrator.store.schema import CorruptionRow, LayerRow, TrialRow, columns_of
from search_spaces.errors import unknown_name

R = TypeVar("R", LayerRow, CorruptionRow)

MAX_FAILURES = 200
"""Failed trials listed on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFacts:
    """What the spec asked for, as far as it was recorded: None and empty mean "not said"."""

    created_at: datetime | None = None
    version: int | None = None
    data: str | None = None
    image_size: int | None = None
    validation: str | None = None
    validation_fraction: float | None = None
    train_on: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    precision: str | None = None
    score: str | None = None
    seed: int | None = None
    protocol: tuple[str, ...] = ()
    """One phrase for each role that is run."""
    packages: tuple[tuple[str, str], ...] = ()
    """(package, version)."""
    grid: tuple[CellKey, ...] = ()
    """The planned cells, in the order of the spec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One trial that failed, with what its last attempt raised."""

    trial_id: str
    key: CellKey
    role: str
    attempts: int
    reason: str | None
    exception: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """One sweep as read from the store: all that `bocb analyze` needs."""

    sweep: str
    planned: int | None
    facts: SpecFacts
    trials: tuple[TrialRow, ...]
    """Those that ended and count: see `superseded`."""
    superseded: int
    """Trials that ended and that the spec no longer has, or whose setting is no longer among its cell's best."""
    layers: tuple[LayerRow, ...] = ()
    """Weight statistics of the networks that these trials trained."""
    corruptions: tuple[CorruptionRow, ...] = ()
    """What they do on corrupted images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """One sweep as read from the store; the report needs nothing else."""

    data: SweepData
    curves: tuple[Curve, ...] = ()
    """Of the trials that are drawn: see `trials_to_draw`."""
    failures: tuple[Failure, ...] = field(default=())
    """At most `MAX_FAILURES`."""
    running: int = 0
    """Attempts under way when the store was read, or cut off by a crash."""

    @property
    def sweep(self) -> str:
        """Its name."""
        return self.data.sweep

    @property
    def planned(self) -> int | None:
        """Trials of the whole plan."""
        return self.data.planned

    @property
    def facts(self) -> SpecFacts:
        """What the spec asked for."""
        return self.data.facts

    @property
    def trials(self) -> tuple[TrialRow, ...]:
        """Those that ended and count."""
        return self.data.trials


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
        facts=_facts(versions[0]) if versions else SpecFacts(),
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
        "WHERE t.sweep = ? AND t.state = 'FAIL' ORDER BY t.trial_id LIMIT ?",
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


def _facts(version: Mapping[str, Any]) -> SpecFacts:
    spec = _object(version["spec"])
    data, training, protocol = (_table(spec, name) for name in ("data", "training", "protocol"))
    confirm = _table(protocol, "confirm")
    return SpecFacts(
        created_at=version["created_at"],
        version=version["version"],
        data=data.get("name"),
        image_size=data.get("image_size"),
        validation=data.get("validation"),
        validation_fraction=data.get("validation_fraction"),
        train_on=confirm.get("train_on") if confirm.get("top") else None,
        epochs=training.get("epochs"),
        batch_size=training.get("batch_size"),
        precision=training.get("precision"),
        score=training.get("score"),
        seed=_table(spec, "sweep").get("seed"),
        protocol=_imported(version["spec"]) or _protocol(protocol),
        packages=tuple(sorted((str(name), str(value)) for name, value in _object(version["packages"]).items())),
        grid=_cells(version["cells"]),
    )


def _imported(spec: str) -> tuple[str, ...]:
    record = import_record(spec)
    return () if record is None else (f"imported from {record.file}",)


def _protocol(protocol: Mapping[str, Any]) -> tuple[str, ...]:
    default, design, tune, confirm = (_table(protocol, role) for role in ("default", "design", "tune", "confirm"))
    phrases = []
    if seeds := default.get("seeds"):
        at = " at the paper's setting" if default.get("setting") == "paper" else ""
        phrases.append(f"default: {counted(seeds, 'seed')}{at}")
    if points := design.get("points"):
        phrases.append(f"design: {counted(points, 'point')} with {counted(design.get('seeds', 1), 'seed')} each")
    if number := tune.get("trials"):
        phrases.append(f"tune: {counted(number, 'trial')} ({tune.get('sampler', 'tpe')})")
    if top := confirm.get("top"):
        phrases.append(
            f"confirm: the best {counted(top, 'setting')} with {counted(confirm.get('seeds', 0), 'seed')} each"
        )
    return tuple(phrases)


def _cells(text: str) -> tuple[CellKey, ...]:
    try:
        return tuple(
            CellKey(backbone=backbone, recipe=recipe, optimizer=optimizer)
            for backbone, recipe, optimizer in json.loads(text or "[]")
        )
    except (ValueError, TypeError) as error:
        raise StoreError(f"the recorded cells of the sweep are damaged: {error}") from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise StoreError(f"the recorded spec of the sweep is damaged: {error}") from None
    return value if isinstance(value, dict) else {}


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = tables.get(name)
    return value if isinstance(value, Mapping) else {}
