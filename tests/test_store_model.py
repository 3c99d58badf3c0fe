"""Writer, compaction, crashes, readers, damage and mending against a model, in every order hypothesis can think of.

`BOCB_MODEL_EXAMPLES` sets how many histories are tried; the default takes about 20 seconds.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from orchestrator.errors import StoreError, SupersededError
from orchestrator.store import writer as writer_module
from orchestrator.store.compaction import compact_table
from orchestrator.store.drivers import driver_of, now_with_zone
from orchestrator.store.lease import Lease, claim
from orchestrator.store.local_files import LocalFiles
from orchestrator.store.paths import SweepPaths
from orchestrator.store.query import run_query
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, CurveRow, Row, TrialRow
from orchestrator.store.store import SweepStore, open_store
from orchestrator.store.writer import TableWriter
from orchestrator.upkeep.mending import mend_sweep
from tests.store_examples import later, make_row

EXAMPLES = int(os.environ.get("BOCB_MODEL_EXAMPLES", "14"))
STEPS = 25
SERIAL = {TrialRow: "seed", CurveRow: "train_loss", AttemptRow: "pid"}
"""Per table, a column that tells every row that was ever added from every other."""


class FailingFiles(LocalFiles):
    """A file system that fails at the n-th change from now: before it is done or after, once or for ever.

    Failing for ever is what a crash looks like to the store: nothing that the process does has any effect.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.is_dead = False
        self._left: int | None = None
        self._after = False
        self._for_ever = False
        self._lock = threading.Lock()

    def fail_at(self, number: int, *, after: bool, for_ever: bool) -> None:
        with self._lock:
            self._left, self._after, self._for_ever = number, after, for_ever

    def never_fail(self) -> None:
        with self._lock:
            self._left = None

    def die(self) -> None:
        self.is_dead = True

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._raise_if_dead()
        with self._lock:
            is_due = self._left == 0
            self._left = None if self._left is None or is_due else self._left - 1
            after, for_ever = self._after, self._for_ever
        if is_due and not after:
            self._fail(for_ever=for_ever)
        yield
        if is_due and after:
            self._fail(for_ever=for_ever)

    def _fail(self, *, for_ever: bool) -> None:
        self.is_dead = self.is_dead or for_ever
        raise OSError(5, "Input/output error")

    def _raise_if_dead(self) -> None:
        if self.is_dead:
            raise OSError(5, "Input/output error")

    def write(self, name: str, data: bytes) -> None:
        with self._change():
            super().write(name, data)

    @contextmanager
    def new_file(self, name: str) -> Iterator[BinaryIO]:
        with self._change(), super().new_file(name) as file:
            yield file
            self._raise_if_dead()

    def create(self, name: str, data: bytes) -> None:
        with self.new_file(name) as file:
            file.write(data)

    def delete(self, name: str) -> None:
        with self._change():
            super().delete(name)

    def names(self, folder: str = "") -> list[str]:
        self._raise_if_dead()
        return super().names(folder)

    def exists(self, name: str) -> bool:
        self._raise_if_dead()
        return super().exists(name)

    def read(self, name: str) -> bytes:
        self._raise_if_dead()
        return super().read(name)


@dataclass
class Process:
    """One driver: what a process that runs a sweep has of the store."""

    files: FailingFiles
    sweep: SweepStore
    lease: Lease
    writer: TableWriter
    pending: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Draft:
    """A row that some driver is going to add."""

    row_type: type[Row]
    trial: str
    attempt: int
    other: int

    def row(self, driver_epoch: int, serial: int) -> Row:
        values: dict[str, Any] = {"trial_id": self.trial, "attempt": self.attempt, SERIAL[self.row_type]: serial}
        if self.row_type is CurveRow:
            values["epoch"] = self.other
        if self.row_type is AttemptRow:
            ended = later(self.attempt) if self.attempt > 1 else None
            values |= {"outcome": "STOPPED", "ended_at": ended, "attempt": self.other}
        row: Row = make_row(self.row_type, driver_epoch=driver_epoch, **values)
        return row


TABLES = st.sampled_from([TrialRow, CurveRow, AttemptRow])
ROWS = st.lists(
    st.builds(
        Draft, row_type=TABLES, trial=st.sampled_from("ab"), attempt=st.integers(1, 3), other=st.integers(1, 2)
    ),
    min_size=1,
    max_size=4,
)


class StoreMachine(RuleBasedStateMachine):
    """`sure` holds the rows that must be there, `unsure` those that a crash may or may not have let through."""

    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp(prefix="bocb-model-")
        self.hours = itertools.count(1)
        self.serials = itertools.count(1)
        self.sure: list[Row] = []
        self.unsure: list[Row] = []
        self.zombies: list[Process] = []
        self.damaged: set[Path] = set()

    @initialize(compact_after=st.sampled_from([3, 10**9]))
    def begin(self, compact_after: int) -> None:
        self.compact_after = compact_after
        self.process = self._new_process()

    def _new_process(self) -> Process:
        files = FailingFiles(self.root)
        sweep = SweepStore(paths=SweepPaths("s"), files=files)
        hours = next(self.hours)  # every driver finds the heartbeat of the one before expired
        lease = claim(sweep, now=lambda: now_with_zone() + timedelta(hours=hours))
        writer = TableWriter(sweep, lease, flush_seconds=1000, compact_after=self.compact_after)
        return Process(files=files, sweep=sweep, lease=lease, writer=writer)

    @rule(rows=ROWS)
    def add(self, rows: list[Draft]) -> None:
        for draft in rows:
            row = draft.row(self.process.lease.driver_epoch, next(self.serials))
            self.process.writer.add(row)
            self.process.pending.append(row)

    @rule()
    def flush(self) -> None:
        self.process.writer.flush(timeout=10)
        self._all_durable()

    @rule(row_type=TABLES)
    def compact(self, row_type: type[Row]) -> None:
        compact_table(self.process.sweep, row_type, self.process.lease)

    @rule(rows=ROWS, number=st.integers(0, 2), after=st.booleans())
    def flush_with_a_fault(self, rows: list[Draft], number: int, after: bool) -> None:
        self.add(rows)
        self.process.files.fail_at(number, after=after, for_ever=False)
        self.flush()
        self.process.files.never_fail()

    @rule(rows=ROWS, number=st.integers(0, 5), after=st.booleans())
    def compact_with_a_fault(self, rows: list[Draft], number: int, after: bool) -> None:
        self.add(rows)
        self.flush()
        self.process.files.fail_at(number, after=after, for_ever=False)
        with suppress(OSError, StoreError):
            self.compact(rows[0].row_type)
        self.process.files.never_fail()

    @rule(rows=ROWS, number=st.integers(0, 2), after=st.booleans())
    def crash_while_flushing(self, rows: list[Draft], number: int, after: bool) -> None:
        self.add(rows)
        self.process.files.fail_at(number, after=after, for_ever=True)
        while not self.process.files.is_dead:
            with suppress(StoreError):
                self.process.writer.flush(timeout=0.02)
                self._all_durable()
                break
        self.crash()

    @rule(rows=ROWS, number=st.integers(0, 5), after=st.booleans())
    def crash_while_compacting(self, rows: list[Draft], number: int, after: bool) -> None:
        self.add(rows)
        self.flush()
        self.process.files.fail_at(number, after=after, for_ever=True)
        with suppress(OSError, StoreError):
            self.compact(rows[0].row_type)
        self.crash()

    @rule()
    def crash(self) -> None:
        self.process.files.die()
        self.unsure += self.process.pending
        self._end(self.process)
        self.process = self._new_process()

    @precondition(lambda self: len(self.zombies) < 2)
    @rule()
    def take_over(self) -> None:
        """The old driver lives on and must find out that it counts no more."""
        self.unsure += self.process.pending
        self.zombies.append(self.process)
        self.process = self._new_process()

    @precondition(lambda self: self.zombies)
    @rule(data=st.data(), row_type=TABLES)
    def a_zombie_goes_on(self, data: st.DataObject, row_type: type[Row]) -> None:
        zombie = data.draw(st.sampled_from(self.zombies))
        with pytest.raises(SupersededError):
            compact_table(zombie.sweep, row_type, zombie.lease)
        # Rows from before the take-over may have been written then; this one must never be, and no model knows it.
        late = make_row(CurveRow, driver_epoch=zombie.lease.driver_epoch, train_loss=next(self.serials))
        with suppress(SupersededError):
            zombie.writer.add(late)
        with pytest.raises(SupersededError):
            zombie.writer.flush(timeout=10)

    @rule(
        row_type=TABLES,
        which=st.integers(0, 99),
        how=st.sampled_from(["flip", "cut", "delete"]),
        number=st.integers(0, 20),
        after=st.booleans(),
    )
    def damage_and_mend(self, row_type: type[Row], which: int, how: str, number: int, after: bool) -> None:
        """A driver is killed, a file is damaged, and mending is killed and tried again: sound files lose no row."""
        self.process.files.die()
        self._end(self.process)
        self._release()
        folder = Path(self.root, "s", row_type.TABLE)
        paths = sorted(folder.glob("*.*")) if folder.exists() else []
        path = paths[which % len(paths)] if paths else None
        if path is not None:
            damage(path, how)
            self.damaged.add(path)
        sound = {kind: newest(self._rows_on_disk(kind)) for kind in SERIAL}
        dying = FailingFiles(self.root)
        dying.fail_at(number, after=after, for_ever=True)
        with suppress(OSError, StoreError):
            mend_sweep(SweepStore(paths=SweepPaths("s"), files=dying), patience=0)
        self._release()
        mend_sweep(open_store(self.root).sweep("s"), patience=0)
        self.sure, self.unsure = [], []
        for kind, rows in sound.items():
            found = {key_of(row): row for row in read_rows(open_store(self.root).sweep("s"), kind)}
            assert found.keys() >= rows.keys(), "mending lost a row that a sound file had"
            for key, row in found.items():
                added = row.driver_epoch > self.process.lease.driver_epoch  # by mending: a mark, or an attempt's end
                assert added or row == rows.get(key), "mending brought back an older row"
            self.sure += found.values()
        self.process = self._new_process()

    def _release(self) -> None:
        """What a driver that was killed cannot do; without it the next one would wait for it to expire."""
        sweep = open_store(self.root).sweep("s")
        newest_driver = driver_of(sweep)
        assert newest_driver is not None
        Lease(sweep, newest_driver.driver_epoch).release()

    def _rows_on_disk(self, row_type: type[Row]) -> list[Row]:
        """Every row of every sound file, oldest first where nothing else decides."""
        paths = sorted(Path(self.root, "s", row_type.TABLE).glob("*.parquet"))
        tables = [pq.read_table(io.BytesIO(path.read_bytes())) for path in paths if path not in self.damaged]
        return [row_type(**record) for table in tables for record in table.to_pylist()]

    @rule()
    def read(self) -> None:
        store = open_store(self.root)
        for row_type in SERIAL:
            rows = read_rows(store.sweep("s"), row_type)
            self._check(row_type, rows)

    @rule(row_type=TABLES)
    def ask(self, row_type: type[Row]) -> None:
        with run_query(open_store(self.root), f"SELECT * FROM {row_type.TABLE}") as result:
            self._check(row_type, [row_type(**record) for record in result.table().to_pylist()])

    def teardown(self) -> None:
        if hasattr(self, "process"):
            self.flush()
            self.read()
            self._end(self.process)
        for zombie in self.zombies:
            self._end(zombie)
        shutil.rmtree(self.root)

    def _all_durable(self) -> None:
        self.sure += self.process.pending
        self.process.pending = []

    def _end(self, process: Process) -> None:
        """Ends the threads of a driver that can change nothing any more."""
        with suppress(StoreError, SupersededError):
            process.writer.close(timeout=0 if process.files.is_dead else 30)

    def _check(self, row_type: type[Row], rows: list[Any]) -> None:
        """One row of each key; it was added; and no row that must be there is newer."""
        found = {key_of(row): row for row in rows}
        assert len(found) == len(rows), "a key is there twice"
        sure = newest([row for row in self.sure if type(row) is row_type])
        known = {
            serial_of(row): row for row in self.sure + self.unsure + self.process.pending if type(row) is row_type
        }
        assert sure.keys() <= found.keys(), "a durable row is gone"
        for key, row in found.items():
            assert known.get(serial_of(row)) == row, "a row that nobody added"
            assert key not in sure or rank(row) >= rank(sure[key]), "an older row counts"
        # What was seen once must never vanish again.
        seen = {serial_of(row) for row in rows}
        self.sure += [row for row in self.unsure if type(row) is row_type and serial_of(row) in seen]
        self.unsure = [row for row in self.unsure if type(row) is not row_type or serial_of(row) not in seen]


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    match how:
        case "flip":
            path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :])
        case "cut":
            path.write_bytes(data[:-1])
        case "delete":
            path.unlink()


def serial_of(row: Row) -> Any:
    serial = getattr(row, SERIAL[type(row)])
    return (key_of(row), row.driver_epoch) if serial is None else serial  # None: an end that mending has recorded


def key_of(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in row.KEY)


def rank(row: Row) -> tuple[Any, ...]:
    """The newest driver's row counts, then the latest attempt or end (none is earliest), then the one added last."""
    if isinstance(row, AttemptRow):
        return (row.driver_epoch, row.ended_at is not None, row.ended_at or later(0), serial_of(row))
    assert isinstance(row, TrialRow | CurveRow)
    return (row.driver_epoch, row.attempt, serial_of(row))


def newest(rows: list[Row]) -> dict[tuple[Any, ...], Row]:
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if key_of(row) not in found or rank(row) >= rank(found[key_of(row)]):
            found[key_of(row)] = row
    return found


def test_the_store_behaves_as_the_model_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "FIRST_RETRY_SECONDS", 0.005)
    monkeypatch.setattr(writer_module, "LAST_RETRY_SECONDS", 0.01)
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
