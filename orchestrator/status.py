"""How far a sweep is, read from the store alone: fast enough to be asked again and again."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from orchestrator.clock import utc_now
from orchestrator.planning.imported_spec import import_record
from orchestrator.store.drivers import DriverInfo, working_driver
from orchestrator.store.query import read
from orchestrator.store.store import Store
from orchestrator.time_left import RATE_TRIALS, seconds_left


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStatus:
    """One cell: ended trials by state, and its best score so far."""

    backbone: str
    recipe: str
    optimizer: str
    states: dict[str, int]
    best: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """One sweep."""

    sweep: str
    planned: int
    states: dict[str, int]
    """Ended trials by state."""
    cells: tuple[CellStatus, ...]
    running: int
    driver_alive: bool
    seconds_left: float | None
    """Estimate; None while nothing runs."""
    updated_at: datetime | None
    """When the last trial ended (UTC)."""
    imported_from: str | None = None
    """Name of the file that the results come from; None where they were measured here."""

    @property
    def done(self) -> int:
        """Trials that ended."""
        return sum(self.states.values())

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "sweep": self.sweep,
            "planned": self.planned,
            "states": self.states,
            "running": self.running,
            "seconds_left": self.seconds_left,
            "updated_at": self.updated_at.isoformat() if self.updated_at else None,
            "driver_alive": self.driver_alive,
            "imported_from": self.imported_from,
            "cells": [
                {
                    "backbone": cell.backbone,
                    "recipe": cell.recipe,
                    "optimizer": cell.optimizer,
                    "states": cell.states,
                    "best": cell.best,
                }
                for cell in self.cells
            ],
        }


def sweep_status(store: Store, name: str) -> SweepStatus:
    """The status of one sweep.

    Raises:
        UsageError: The store has no such sweep.
        StoreError: The store cannot be read.
    """
    driver = working_driver(store.existing_sweep(name))
    facts = read(store, lambda connection: _facts(connection, name))
    states: Counter[str] = Counter()
    for row in facts.counted:
        states[row[3]] += row[4]
    return SweepStatus(
        sweep=name,
        planned=facts.planned,
        states=dict(sorted(states.items())),
        cells=_cells(facts.cells, facts.counted),
        running=facts.running if driver else 0,
        driver_alive=driver is not None,
        seconds_left=_seconds_left(driver, facts, facts.planned - states.total()),
        updated_at=max((row[6] for row in facts.counted), default=None),
        imported_from=facts.imported_from,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the store says."""

    cells: list[list[str]]
    planned: int
    imported_from: str | None
    counted: list[tuple[Any, ...]]  # backbone, recipe, optimizer, state, trials, best score, last end
    running: int
    recent: list[datetime]  # newest first


def _facts(connection: duckdb.DuckDBPyConnection, name: str) -> _Facts:
    version = connection.execute(
        "SELECT cells, trials_planned, spec FROM sweeps WHERE sweep = ? ORDER BY version DESC LIMIT 1", [name]
    ).fetchone()
    counted = connection.execute(
        "SELECT backbone, recipe, optimizer, state, count(*), max(score), max(ended_at) "
        "FROM trials WHERE sweep = ? AND NOT superseded GROUP BY ALL",
        [name],
    ).fetchall()
    running = connection.execute(
        "SELECT count(*) FROM attempts WHERE sweep = ? AND outcome = 'RUNNING'", [name]
    ).fetchone()
    recent = connection.execute(
        "SELECT ended_at FROM trials WHERE sweep = ? ORDER BY ended_at DESC LIMIT ?", [name, RATE_TRIALS + 1]
    ).fetchall()
    record = import_record(version[2]) if version else None
    return _Facts(
        cells=json.loads(version[0]) if version else [],
        planned=int(version[1]) if version else 0,
        imported_from=record.file if record else None,
        counted=counted,
        running=int(running[0]) if running else 0,
        recent=[row[0] for row in recent],
    )


def _cells(planned: list[list[str]], counted: list[tuple[Any, ...]]) -> tuple[CellStatus, ...]:
    states: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    best: dict[tuple[str, ...], float] = {}
    for *cell, state, number, score, _ in counted:
        key = tuple(cell)
        states[key][state] = number
        if score is not None:
            best[key] = max(score, best.get(key, score))
    keys = list(dict.fromkeys([tuple(cell) for cell in planned] + sorted(states)))
    return tuple(
        CellStatus(backbone=key[0], recipe=key[1], optimizer=key[2], states=states.get(key, {}), best=best.get(key))
        for key in keys
    )


def _seconds_left(driver: DriverInfo | None, facts: _Facts, missing: int) -> float | None:
    if driver is None:
        return None
    ends = [(utc_now() - ended_at).total_seconds() for ended_at in facts.recent]
    return seconds_left(ends, driver.running_for, missing)
