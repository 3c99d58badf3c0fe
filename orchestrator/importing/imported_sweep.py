"""Stores results from elsewhere as a sweep: every row that a sweep has, with what is not known left open."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.clock import utc_now
from orchestrator.errors import UsageError
from orchestrator.importing.results import ImportedResults
from orchestrator.planning.imported_spec import IMPORTED, ImportRecord, import_record, import_spec
from orchestrator.planning.plan import cell_key
from orchestrator.provenance import code_version
from orchestrator.store.lease import claim
from orchestrator.store.reader import read_rows, read_table
from orchestrator.store.rows import check_row
from orchestrator.store.schema import Row, SweepRow, TrialRow
from orchestrator.store.store import Store, SweepStore
from orchestrator.store.writer import TableWriter

WRITE_SECONDS = 120.0
"""How long the store may take to take the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    sweep: str
    results: ImportedResults
    is_new: bool
    """False where the store had all of it."""

    @property
    def states(self) -> dict[str, int]:
        """Results by state."""
        return dict(sorted(Counter(result.state for result in self.results.results).items()))

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "sweep": self.sweep,
            "file": self.results.file,
            "is_new": self.is_new,
            "trials": len(self.results.results),
            "cells": len(self.results.cells),
            "states": self.states,
            "ignored": list(self.results.ignored),
        }


def import_sweep(store: Store, name: str, results: ImportedResults) -> Imported:
    """Stores results as a sweep of their own, all of them or none; the same results again change nothing.

    Raises:
        UsageError: The name is another sweep's.
        BusyError: Another process writes to the sweep.
        StoreError: The store cannot be written.
    """
    sweep = store.sweep(name)
    if _is_there(sweep, results):
        return Imported(sweep=name, results=results, is_new=False)
    with claim(sweep) as lease:
        lease.start_heartbeat()
        if _is_there(sweep, results):  # another process was faster
            return Imported(sweep=name, results=results, is_new=False)
        rows = _rows(name, results, lease.driver_epoch)
        for row in rows:
            check_row(row)
        # One round of writing at the end: a table's rows are one file, and the trials', written last, are there
        # as a whole or not at all.
        with TableWriter(sweep, lease, flush_seconds=WRITE_SECONDS) as writer:
            for row in rows:
                writer.add(row)
            writer.flush(WRITE_SECONDS)
    return Imported(sweep=name, results=results, is_new=True)


def _is_there(sweep: SweepStore, results: ImportedResults) -> bool:
    """Whether the store has all of the results; False also where an import was cut off, which is to be done again.

    Raises:
        UsageError: The sweep is another one.
    """
    if not sweep.exists():
        return False
    versions = read_rows(sweep, SweepRow)
    trials = len(read_table(sweep, TrialRow, columns=["trial_id"])["trial_id"])
    if not versions and not trials:
        return False
    record = import_record(versions[-1].spec) if versions else None
    if record is None:
        raise UsageError(
            f"sweep {sweep.name} is there already, and not as an import; choose another name with --sweep"
        )
    if record.results_sha256 != results.digest():
        raise UsageError(
            f"sweep {sweep.name} is there already, with other results (or another data set or recipe) from "
            f"{record.file}; choose another name with --sweep"
        )
    return trials == len(results.results)


def _rows(sweep: str, results: ImportedResults, driver_epoch: int) -> list[Row]:
    now = utc_now()
    record = ImportRecord(
        file=results.file,
        file_sha256=results.file_sha256,
        results_sha256=results.digest(),
        replicates=1 + max(result.replicate for result in results.results),
    )
    spec = import_spec(record, sweep=sweep, dataset=results.dataset, cells=results.cells)
    version = SweepRow(
        sweep=sweep,
        version=1,
        driver_epoch=driver_epoch,
        spec=spec,
        spec_sha256=hashlib.sha256(spec.encode()).hexdigest(),
        trials_planned=len(results.results),
        cells=json.dumps(results.cells),
        created_at=now,
        packages="{}",
        code_version=code_version(),
    )
    return [version, *_trial_rows(sweep, results, driver_epoch, now)]


def _trial_rows(sweep: str, results: ImportedResults, driver_epoch: int, now: datetime) -> list[TrialRow]:
    return [
        TrialRow(
            sweep=sweep,
            trial_id=f"{cell_key(one.backbone, one.recipe, one.optimizer)}.{IMPORTED}-s{one.replicate}",
            backbone=one.backbone,
            recipe=one.recipe,
            optimizer=one.optimizer,
            dataset=one.dataset,
            batch_size=0,
            role=IMPORTED,
            number=0,
            replicate=one.replicate,
            seed=one.replicate if one.seed is None else one.seed,
            state=one.state,
            reason=one.reason,
            score=one.score,
            score_rule="as imported",
            epochs_done=0,
            epochs_planned=0,
            hp="{}",
            hp_source=IMPORTED,
            classes=results.classes,
            attempt=0,
            driver_epoch=driver_epoch,
            started_at=now,
            ended_at=now,
            wall_seconds=0.0,
            code_version=code_version(),
            recipe_sha256="",
        )
        for one in results.results
    ]
