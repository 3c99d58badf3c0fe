"""Rows of made-up sweeps, and a DuckDB connection with the tables that `orchestrator.store.query.read` shows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from orchestrator.store.schema import ROW_TYPES, AttemptRow, CurveRow, Row, SweepRow, TrialRow, arrow_schema

START = datetime(2026, 3, 1, 9, 0)  # noqa: DTZ001 - the store's times are UTC without a zone
CHANCE = 0.01


@dataclass
class Rows:
    """The rows of a store under construction."""

    sweeps: list[SweepRow] = field(default_factory=list)
    trials: list[TrialRow] = field(default_factory=list)
    curves: list[CurveRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)


def trial(**values: Any) -> TrialRow:
    """A COMPLETE confirm trial, except for what is given."""
    defaults: dict[str, Any] = {
        "sweep": "s", "trial_id": "t", "backbone": "resnet18", "recipe": "plain", "optimizer": "sgd",
        "dataset": "cifar100", "input_size": 32, "batch_size": 128, "precision": "fp32", "role": "confirm",
        "number": 0, "replicate": 0, "seed": 1, "state": "COMPLETE", "score": 0.5, "score_rule": "final val",
        "epochs_done": 5, "epochs_planned": 5, "hp": '{"lr":0.1}', "hp_source": "design", "hp_lr": 0.1,
        "hp_weight_decay": 5e-4, "attempt": 1, "driver_epoch": 1, "started_at": START,
        "ended_at": START + timedelta(minutes=3), "train_seconds": 170.0, "wall_seconds": 180.0, "device": "cpu",
        "code_version": "0.1.0+abc", "recipe_sha256": "r", "data_sha256": "d" * 64,
    }  # fmt: skip
    return TrialRow(**{**defaults, **values})


def spec(backbones: list[str], optimizers: list[str], **tables: dict[str, Any]) -> dict[str, Any]:
    """A recorded spec, with whole tables replaced."""
    return {
        "sweep": {"name": "s", "seed": 0},
        "grid": {"backbones": backbones, "optimizers": optimizers, "recipes": ["plain"], "exclude": []},
        "data": {"name": "cifar100", "validation": "split", "validation_fraction": 0.1, "image_size": None},
        "training": {"epochs": 5, "batch_size": 128, "precision": "auto", "score": "final"},
        "protocol": {
            "default": {"seeds": 0},
            "design": {"points": 8, "seeds": 1},
            "tune": {"trials": 0, "sampler": "tpe"},
            "confirm": {"top": 1, "seeds": 3, "train_on": "train"},
        },
        **tables,
    }


def sweep(spec_tables: dict[str, Any], planned: int, **values: Any) -> SweepRow:
    """A version of a sweep."""
    grid = spec_tables["grid"]
    cells = [[b, "plain", o] for b in grid["backbones"] for o in grid["optimizers"]]
    defaults: dict[str, Any] = {
        "sweep": "s", "version": 1, "driver_epoch": 1, "spec": json.dumps(spec_tables), "spec_sha256": "x",
        "trials_planned": planned, "cells": json.dumps(cells), "created_at": START, "code_version": "0.1.0+abc",
        "packages": '{"python":"3.11.7","torch":"2.13.0","ray":"2.60.0","optuna":"5.0.0","timm":"1.0.31"}',
    }  # fmt: skip
    return SweepRow(**{**defaults, **values})


def attempt(row: TrialRow, **values: Any) -> AttemptRow:
    """The only attempt of a trial that ended."""
    defaults = {
        "sweep": row.sweep, "trial_id": row.trial_id, "attempt": row.attempt, "driver_epoch": 1, "outcome": row.state,
        "reason": row.reason, "exception": "RuntimeError" if row.state == "FAIL" else None, "started_at": START,
    }  # fmt: skip
    return AttemptRow(**{**defaults, **values})


def connect(rows: Rows) -> duckdb.DuckDBPyConnection:
    """A connection with the four tables, typed as in the schema."""
    connection = duckdb.connect()
    by_table: dict[str, Sequence[Row]] = {
        "sweeps": rows.sweeps, "trials": rows.trials, "curves": rows.curves, "attempts": rows.attempts
    }  # fmt: skip
    for row_type in ROW_TYPES:
        values = [asdict(row) for row in by_table.get(row_type.TABLE, ())]
        table = pa.Table.from_pylist(values, schema=arrow_schema(row_type))
        connection.register("incoming", table)
        connection.execute(f"CREATE TABLE {row_type.TABLE} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return connection


def curve_of(row: TrialRow, epochs: int, rng: np.random.Generator) -> list[CurveRow]:
    """A learning curve that rises to the trial's score."""
    score = row.score or CHANCE
    rise = [score * (1 - math.exp(-4.0 * (epoch + 1) / epochs)) / (1 - math.exp(-4.0)) for epoch in range(epochs)]
    return [
        CurveRow(
            sweep=row.sweep, trial_id=row.trial_id, backbone=row.backbone, optimizer=row.optimizer, role=row.role,
            attempt=1, driver_epoch=1, epoch=epoch + 1, val_top1=max(0.0, value + 0.01 * rng.normal()), lr=0.1,
            seconds=1.0,
        )
        for epoch, value in enumerate(rise)
    ]  # fmt: skip


def made_up_sweep(
    backbones: Iterable[str], optimizers: Iterable[str], *, epochs: int = 30, points: int = 8, seeds: int = 3
) -> Rows:
    """A finished sweep with coupling: later backbones like later optimizers; some trials diverge, some fail."""
    rng = np.random.default_rng(7)
    names, others = list(backbones), list(optimizers)
    rows = Rows()
    for i, backbone in enumerate(names):
        for j, optimizer in enumerate(others):
            liking = (i / max(1, len(names) - 1) - 0.5) * (j / max(1, len(others) - 1) - 0.5)
            level = 0.70 + 0.015 * i / len(names) + 0.12 * liking + 0.01 * rng.normal()
            _add_cell(rows, f"{backbone}.{optimizer}", backbone, optimizer, level, epochs, points, seeds, rng)
    tables = spec(names, others)
    tables["protocol"] = {"design": {"points": points, "seeds": 1}, "confirm": {"top": 1, "seeds": seeds}}
    rows.sweeps = [sweep(tables, len(names) * len(others) * (points + seeds))]
    return rows


def _add_cell(
    rows: Rows, cell: str, backbone: str, optimizer: str, level: float, epochs: int, points: int, seeds: int,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    names = {"backbone": backbone, "optimizer": optimizer, "epochs_planned": epochs, "epochs_done": epochs}
    for number in range(points):
        lr = float(10 ** rng.uniform(-4, 0))
        loss = 0.06 * (math.log10(lr) + 2) ** 2
        state = "DIVERGED" if lr > 0.5 else "FAIL" if rng.uniform() < 0.02 else "COMPLETE"
        score = {"DIVERGED": CHANCE, "FAIL": None}.get(state, max(CHANCE, level - loss + 0.01 * rng.normal()))
        row = trial(
            trial_id=f"{cell}.design-{number:03d}-s0", role="design", number=number, state=state, score=score,
            hp_lr=lr, hp=json.dumps({"lr": lr}), reason="out of memory" if state == "FAIL" else None, **names,
        )  # fmt: skip
        rows.trials.append(row)
        rows.attempts.append(attempt(row))
    for seed in range(seeds):
        diverged = rng.uniform() < 0.02
        row = trial(
            trial_id=f"{cell}.confirm-design-000-s{seed}", role="confirm", number=0, seed=seed, replicate=seed,
            hp_lr=0.01, state="DIVERGED" if diverged else "COMPLETE",
            score=CHANCE if diverged else level + 0.006 * rng.normal(),
            repeats=f"{cell}.design-000-s0", **names,
        )  # fmt: skip
        rows.trials.append(row)
        rows.attempts.append(attempt(row))
        rows.curves += curve_of(row, epochs // 2 if diverged else epochs, rng)
