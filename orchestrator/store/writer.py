"""The driver's way to the tables: rows are handed over at once and made durable by a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from orchestrator.errors import BocbError, StoreError, SupersededError
from orchestrator.store.compaction import fold_table
from orchestrator.store.files import describe
from orchestrator.store.lease import Lease
from orchestrator.store.live import table_files
from orchestrator.store.rows import check_row, encode_part
from orchestrator.store.schema import WRITE_ORDER, Row
from orchestrator.store.store import SweepStore

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Table:
    """What a table's rows still wait for."""

    row_type: type[Row]
    pending: list[Row] = field(default_factory=list)
    added: int = 0
    durable: int = 0
    sequence: int | None = None  # of the next part; None: to be learnt from the store
    tail: int = 0  # parts since the last compaction


class TableWriter:
    """Writes a sweep's rows, in the order they were added, one immutable part per table and flush.

    Rows are never dropped: while the store cannot be written they wait in memory, `trouble` says so, and writing is
    tried again and again. Once a newer driver has claimed the sweep, or the writer has failed for good, every method
    that hands over rows or waits for them raises.
    """

    def __init__(
        self, sweep: SweepStore, lease: Lease, *, flush_seconds: float | None = None, compact_after: int = 30
    ) -> None:
        self._sweep = sweep
        self._lease = lease
        self._flush_seconds = sweep.files.flush_seconds if flush_seconds is None else flush_seconds
        self._compact_after = compact_after
        self._tables = {row_type: _Table(row_type) for row_type in WRITE_ORDER}
        self._added = 0
        self._durable_ticket = 0
        self._changed = threading.Condition()
        self._urgent = False
        self._closing = False
        self._abandoned = False
        self._failure: BocbError | None = None
        self._trouble: str | None = None
        self._compactor: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="table-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def trouble(self) -> str | None:
        """A sentence for the user while the store cannot be written, else None."""
        return self._trouble

    def add(self, row: Row) -> int:
        """Hands a row over; from any thread, without waiting for the store.

        Returns:
            A ticket for `is_durable`.

        Raises:
            SupersededError: A newer driver has claimed the sweep.
            StoreError: The row can never be stored, or the writer is closed or has failed.
        """
        check_row(row)
        if (row.sweep, row.driver_epoch) != (self._sweep.name, self._lease.driver_epoch):
            raise StoreError(
                f"a row of sweep {row.sweep!r} and driver {row.driver_epoch} was given to the writer of sweep "
                f"{self._sweep.name!r} and driver {self._lease.driver_epoch}"
            )
        with self._changed:
            self._raise_failure()
            if self._closing:
                raise StoreError(f"the writer of sweep {self._sweep.name!r} is closed")
            table = self._tables[type(row)]
            table.pending.append(row)
            table.added += 1
            self._added += 1
            return self._added

    def is_durable(self, ticket: int) -> bool:
        """Whether the row of that ticket, and every row added before it, would survive a power cut."""
        return self._durable_ticket >= ticket

    def check(self) -> None:
        """Raises what `add` would raise, so that a driver without news also hears of it.

        Raises:
            SupersededError: A newer driver has claimed the sweep.
            StoreError: The writer has failed.
        """
        with self._changed:
            self._raise_failure()

    def flush(self, timeout: float | None = None) -> None:
        """Returns when every row added before is durable.

        Raises:
            SupersededError: A newer driver has claimed the sweep.
            StoreError: `timeout` seconds have passed, or the writer has failed or was closed before.
        """
        with self._changed:
            wanted = {row_type: table.added for row_type, table in self._tables.items()}
            self._wait(lambda: all(self._tables[kind].durable >= count for kind, count in wanted.items()), timeout)

    def close(self, timeout: float | None = 60.0) -> None:
        """Writes what is pending and ends the threads, which write nothing more after an error. May be called again.

        Raises:
            SupersededError: A newer driver has claimed the sweep.
            StoreError: The writer has failed, or rows could not be written within `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            self._closing = True
            try:
                self._wait(lambda: not self._pending(), timeout)
            finally:
                self._abandoned = True
                self._changed.notify_all()
        self._thread.join(5.0)  # a store that hangs may keep the thread; it is told to write nothing more
        if self._compactor is not None:
            self._compactor.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _wait(self, done: Callable[[], bool], timeout: float | None) -> None:
        """With the lock held: waits for `done`, and asks the thread to hurry."""
        self._urgent = True
        self._changed.notify_all()
        self._changed.wait_for(lambda: done() or self._failure is not None or self._abandoned, timeout)
        if done():
            return
        self._raise_failure()
        late = "the writer is closed" if self._abandoned else f"the store did not take them within {timeout:g} s"
        raise StoreError(
            f"{self._pending()} rows of sweep {self._sweep.name!r} are not written: {self._trouble or late}"
        )

    def _raise_failure(self) -> None:
        if self._failure is not None:
            # Without the traceback of its last raising: it is raised again and again.
            raise self._failure.with_traceback(None)

    def _pending(self) -> int:
        return sum(len(table.pending) for table in self._tables.values())

    def _run(self) -> None:
        try:
            self._write_until_closed()
        except BocbError as error:
            self._failure = error
        # Whoever waits for rows has to hear of it, whatever it is.
        except Exception as error:  # noqa: BLE001
            self._failure = StoreError(
                f"the writer of sweep {self._sweep.name!r} has failed: {type(error).__name__}: {error}"
            )
            self._failure.__cause__ = error
        with self._changed:
            self._changed.notify_all()

    def _write_until_closed(self) -> None:
        delay = self._flush_seconds
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._urgent or self._abandoned, delay)
                self._urgent = False
                if self._abandoned:
                    return
            try:
                self._write_round()
                self._compact_long_tables()
                self._trouble = None
                delay = self._flush_seconds
            except OSError as error:
                delay = FIRST_RETRY_SECONDS if self._trouble is None else min(2 * delay, LAST_RETRY_SECONDS)
                self._trouble = (
                    f"results cannot be written ({describe(error)}); {self._pending()} rows wait in memory and "
                    f"are tried again every {delay:g} s"
                )
                _log.warning("%s", self._trouble)

    def _write_round(self) -> None:
        """Writes what is pending now: all tables up to the same moment, so that no trial goes before its curve."""
        with self._changed:
            due = {row_type: list(table.pending) for row_type, table in self._tables.items()}
            ticket = self._added
        for row_type, table in self._tables.items():
            self._write(table, due[row_type])
        self._durable_ticket = ticket

    def _write(self, table: _Table, rows: list[Row]) -> None:
        if not rows:
            return
        self._lease.check()
        if table.sequence is None:
            files = table_files(self._sweep, table.row_type)
            table.sequence = files.last_sequence(self._lease.driver_epoch) + 1
            table.tail = len(files.foldable())
        sequence, table.sequence = table.sequence, None
        # Should this fail, the part may be there all the same (and even be compacted): a part is never written again
        # under its number, the next number is learnt from the store, and equal rows count once.
        self._sweep.files.create(
            self._sweep.paths.part(table.row_type, self._lease.driver_epoch, sequence), encode_part(rows)
        )
        table.sequence = sequence + 1
        with self._changed:
            del table.pending[: len(rows)]
            table.durable += len(rows)
            self._changed.notify_all()
        table.tail += 1

    def _compact_long_tables(self) -> None:
        long = [table for table in self._tables.values() if table.tail > self._compact_after]
        if not long or (self._compactor is not None and self._compactor.is_alive()):
            return
        for table in long:
            table.tail = 0
        # A thread of its own, so that rows become durable meanwhile.
        self._compactor = threading.Thread(
            target=self._fold, args=([table.row_type for table in long],), name="compactor", daemon=True
        )
        self._compactor.start()

    def _fold(self, row_types: list[type[Row]]) -> None:
        for row_type in row_types:
            try:
                fold_table(self._sweep, row_type, self._lease)
            except (OSError, StoreError, SupersededError) as error:
                # Nothing is lost, the table is only slower to read; the next one tries again.
                _log.warning("table %s was not compacted: %s", row_type.TABLE, error)
