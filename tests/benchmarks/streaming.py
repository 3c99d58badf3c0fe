"""A large sweep through the real writer: what a row costs from the first to the last, files and memory meanwhile."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.store.lease import Lease, claim
from orchestrator.store.live import table_files
from orchestrator.store.schema import ROW_TYPES
from orchestrator.store.store import SweepStore, open_store
from orchestrator.store.writer import TableWriter
from tests.benchmarks.made_up_trials import SWEEP, MadeUpTrial, rows_in_order, sweep_row

ROWS_PER_FLUSH = 2000
"""Rows handed over before the store is waited for: thousands of small parts, as in a sweep that runs for days."""
SECTIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A tenth of the sweep."""

    rows: int
    """Rows so far, at its end."""
    wall_microseconds: float
    """Per row, waiting for the disk included."""
    cpu_microseconds: float
    """Per row, of all threads: making the row up, checking, encoding, compacting."""
    live_files: int
    """Most files that counted at any moment, all tables together."""
    all_files: int
    """Most files there were, with those kept for readers."""
    memory_megabytes: int
    """Largest resident size of the process so far."""


def stream(root: Path, trials: int, epochs: int, *, cells: int) -> list[Section]:
    """Writes a sweep to a new store at `root`."""
    sweep = open_store(str(root), create=True).sweep(SWEEP)
    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.1) as writer:
        lease.start_heartbeat()
        writer.add(sweep_row(trials, cells=cells, driver_epoch=lease.driver_epoch))
        return _stream(sweep, lease, writer, trials, epochs, cells)


def _stream(
    sweep: SweepStore, lease: Lease, writer: TableWriter, trials: int, epochs: int, cells: int
) -> list[Section]:
    made = (
        MadeUpTrial(index=index, epochs=epochs, cells=cells, driver_epoch=lease.driver_epoch)
        for index in range(trials)
    )
    sections: list[Section] = []
    wall, cpu = time.perf_counter(), time.process_time()
    rows, first, waiting, most = 0, 0, 0, (0, 0)
    for batch in rows_in_order(made):
        for row in batch:
            writer.add(row)
        rows, waiting = rows + len(batch), waiting + len(batch)
        if waiting >= ROWS_PER_FLUSH:
            writer.flush()
            waiting, most = 0, tuple(map(max, most, count_files(sweep)))
        if rows >= trials * (epochs + 3) * (len(sections) + 1) // SECTIONS:
            now = time.perf_counter(), time.process_time()
            section = Section(
                rows=rows,
                wall_microseconds=(now[0] - wall) / (rows - first) * 1e6,
                cpu_microseconds=(now[1] - cpu) / (rows - first) * 1e6,
                live_files=most[0],
                all_files=most[1],
                memory_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            )
            print(section, file=sys.stderr, flush=True)
            sections.append(section)
            (wall, cpu), first, most = now, rows, (0, 0)
    return sections


def count_files(sweep: SweepStore) -> tuple[int, int]:
    """Files that count and all files of the sweep's tables."""
    live = sum(len(table_files(sweep, row_type).live) for row_type in ROW_TYPES)
    return live, sum(len(sweep.files.names(sweep.paths.table(row_type))) for row_type in ROW_TYPES)
