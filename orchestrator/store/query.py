"""SQL over all sweeps of a store: one row per key whatever happened, and nothing but reading."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import IO, TypeVar

import duckdb
import pyarrow as pa

from orchestrator.errors import QueryError, StoreError, UsageError
from orchestrator.store.connection import open_duckdb, quote, stream
from orchestrator.store.files import store_errors
from orchestrator.store.guard import check_select, one_sentence, tells_of_damage
from orchestrator.store.latest import column_list, newest_rows, rows_of
from orchestrator.store.lease import DriverInfo, driver_of
from orchestrator.store.live import RETRIES, paths_of, table_files
from orchestrator.store.schema import ROW_TYPES, AttemptRow, Row
from orchestrator.store.store import Store, SweepStore
from orchestrator.store.views import READY_ANSWERS
from search_spaces.errors import unknown_name

T = TypeVar("T")

BATCH_ROWS = 61_440
MEMORY_BYTES = 64 * 2**20
VIEWS = (*(row_type.TABLE for row_type in ROW_TYPES), *READY_ANSWERS)


class QueryResult:
    """The whole answer to a query, in batches that can be read again; large ones lie in a temporary file."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, rows: int) -> None:
        self.schema = schema
        self.rows = rows
        self._file = file

    def __enter__(self) -> QueryResult:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, from the first."""
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            yield from reader

    def table(self) -> pa.Table:
        """All rows at once."""
        return pa.Table.from_batches(list(self.batches()), schema=self.schema)

    def close(self) -> None:
        """Removes the temporary file, if there is one."""
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """The files of one table over all sweeps, named as the store names them."""

    settled: tuple[str, ...]  # compacted files of sweeps that have no tail: one row per key as they are
    compacted: tuple[str, ...]
    tail: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """What there was to read when it was looked at."""

    tables: dict[type[Row], _Names]
    running: tuple[tuple[str, int], ...]  # sweep and epoch of each driver that lives

    @property
    def names(self) -> list[str]:
        """All files that were listed."""
        return [name for table in self.tables.values() for name in (*table.settled, *table.compacted, *table.tail)]


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the views over all sweeps, locked so that it reads only the store.

    The views list the files of this moment: a compaction by a running driver may delete them, and queries then fail.
    The lock does not stop `COPY ... TO` a file of the store, so SQL that is not ours goes through `run_query`.

    Raises:
        StoreError: The store cannot be read.
    """
    return _connect(store)[0]


def read(store: Store, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
    """What `ask` finds out on a connection with the views; it is called again where files vanished under it.

    Raises:
        StoreError: The store cannot be read.
    """
    return _retried(store, ask, lambda error, _: _store_error(store, error))


def run_query(store: Store, sql: str) -> QueryResult:
    """Runs a user's SQL.

    Raises:
        QueryError: It is not one SELECT statement that only reads the store, or cannot be run.
        StoreError: The store cannot be read.
    """
    check_select(sql)
    return _retried(store, lambda connection: _run(connection, sql), partial(_query_error, store))


def live_paths(store: Store, table: str | None = None) -> dict[str, dict[str, list[str]]]:
    """The Parquet files that count at this moment, for readers other than this one: by sweep, then by table.

    Right after a compaction they hold one row per key; files that a driver adds later may repeat keys, of which the
    newest row counts, and the next compaction deletes them.

    Args:
        store: The store.
        table: Name of one table; None for all.

    Raises:
        UsageError: There is no such table.
        StoreError: The store cannot be read.
    """
    tables = {row_type.TABLE: row_type for row_type in ROW_TYPES}
    if table is not None and table not in tables:
        raise UsageError(f"{unknown_name('table', table, tables)}; --paths takes the name of one table, or nothing")
    with store_errors(f"cannot read the store {store.uri}"):
        return {
            name: {
                key: paths_of(store.sweep(name), row_type, table_files(store.sweep(name), row_type).live)
                for key, row_type in tables.items()
                if table in (None, key)
            }
            for name in store.sweeps()
        }


def path_list(found: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """Paths by sweep and table, one on each line."""
    return "".join(f"{path}\n" for tables in found.values() for paths in tables.values() for path in paths)


def _retried(
    store: Store,
    ask: Callable[[duckdb.DuckDBPyConnection], T],
    explain: Callable[[duckdb.Error, _Listing], QueryError | StoreError],
) -> T:
    for _ in range(RETRIES):
        connection, listing = _connect(store)
        with connection:
            try:
                return ask(connection)
            except duckdb.Error as error:
                if _vanished(store, listing):
                    continue
                raise explain(error, listing) from error
    raise StoreError(f"the store {store.uri} changes too fast to be read; try again")


def _run(connection: duckdb.DuckDBPyConnection, sql: str) -> QueryResult:
    connection.execute("BEGIN TRANSACTION READ ONLY")
    answer, batches = stream(connection, sql, BATCH_ROWS)
    schema = pa.schema([field.with_name(name) for field, name in zip(answer, _unique(answer), strict=True)])
    file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - the result owns and closes it
    rows = 0
    try:
        with store_errors("the result cannot be kept on disk"), pa.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
                rows += batch.num_rows
    except BaseException:  # whatever it was goes on; only the file must not stay
        file.close()
        raise
    return QueryResult(file, schema, rows)


def _unique(schema: pa.Schema) -> list[str]:
    """Column names that differ, since objects and Parquet files need that: a, a_1, a_2."""
    names: list[str] = []
    for name in schema.names:
        count, unique = 0, name
        while unique in names:
            count += 1
            unique = f"{name}_{count}"
        names.append(unique)
    return names


def _query_error(store: Store, error: duckdb.Error, listing: _Listing) -> QueryError | StoreError:
    text = one_sentence(error)
    if tells_of_damage(error) or any(store.files.location(name) in text for name in listing.names):
        return _store_error(store, error)
    if isinstance(error, duckdb.CatalogException) and text.startswith("Table"):
        return QueryError(f"{text} (tables and views: {', '.join(VIEWS)})")
    return QueryError(f"the query cannot be run: {text}")


def _store_error(store: Store, error: duckdb.Error) -> StoreError:
    text = one_sentence(error)
    where = "" if store.files.location() in text else "; bocb verify says which file is damaged, if one is"
    return StoreError(f"the store {store.uri} cannot be read: {text}{where}")


def _connect(store: Store) -> tuple[duckdb.DuckDBPyConnection, _Listing]:
    with store_errors(f"cannot read the store {store.uri}"):
        for _ in range(RETRIES):
            listing = _list(store)
            connection = open_duckdb(store.files)
            try:
                _create_views(connection, store, listing)
            except duckdb.Error as error:
                connection.close()
                if _vanished(store, listing):
                    continue
                raise _store_error(store, error) from error
            _lock(connection, store)
            return connection, listing
    raise StoreError(f"the store {store.uri} changes too fast to be read; try again")


def _list(store: Store) -> _Listing:
    sweeps = [store.sweep(name) for name in store.sweeps()]
    found: dict[type[Row], list[_Names]] = {row_type: [] for row_type in ROW_TYPES}
    for row_type in ROW_TYPES:
        for sweep in sweeps:
            files = table_files(sweep, row_type)
            compacted = tuple(sweep.paths.in_table(row_type, name) for name in files.compacted)
            tail = tuple(sweep.paths.in_table(row_type, name) for name in files.tail)
            settled = () if tail else compacted
            found[row_type].append(_Names(settled=settled, compacted=compacted if tail else (), tail=tail))
    drivers = [(sweep.name, driver) for sweep in sweeps if (driver := working_driver(sweep)) is not None]
    return _Listing(
        tables={row_type: _merged(paths) for row_type, paths in found.items()},
        running=tuple((name, driver.driver_epoch) for name, driver in drivers),
    )


def working_driver(sweep: SweepStore) -> DriverInfo | None:
    """The driver of a sweep if it is known to be at work; damage to its claim or heartbeat is for `bocb verify`.

    Raises:
        StoreError: The store cannot be reached.
    """
    try:
        driver = driver_of(sweep)
    except StoreError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None
    return driver if driver is not None and driver.alive else None


def _merged(paths: Sequence[_Names]) -> _Names:
    return _Names(
        settled=tuple(name for item in paths for name in item.settled),
        compacted=tuple(name for item in paths for name in item.compacted),
        tail=tuple(name for item in paths for name in item.tail),
    )


def _vanished(store: Store, listing: _Listing) -> bool:
    """Whether a compaction has deleted a file since it was listed, for another listing to be worth a try."""
    folders = {name.rpartition("/")[0] for name in listing.names}
    there = {f"{folder}/{name}" for folder in folders for name in store.files.names(folder)}
    return not there.issuperset(listing.names)


def _create_views(connection: duckdb.DuckDBPyConnection, store: Store, listing: _Listing) -> None:
    def locations(names: Sequence[str]) -> list[str]:
        return [store.files.location(name) for name in names]

    # Files are immutable, and each is scanned more than once: its footer need not be read again.
    connection.execute("SET parquet_metadata_cache = true")
    # Creating a view opens all files below it. The ready answers are therefore made over empty tables first, and find
    # the files when they are asked.
    for row_type in listing.tables:
        connection.execute(f"CREATE VIEW {row_type.TABLE} AS {rows_of(row_type, [])}")
    for name, sql in READY_ANSWERS.items():
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    for row_type, table in listing.tables.items():
        sql = newest_rows(row_type, compacted=locations(table.compacted), tail=locations(table.tail), filtered=True)
        if table.settled:
            sql = f"{rows_of(row_type, locations(table.settled))} UNION ALL SELECT * FROM ({sql})"  # noqa: S608 - built by `newest_rows`
        if row_type is AttemptRow:
            sql = _with_lost(sql, listing.running)
        columns = column_list(row_type)
        connection.execute(f"CREATE OR REPLACE VIEW {row_type.TABLE} AS SELECT {columns} FROM ({sql})")  # noqa: S608 - as above


def _with_lost(sql: str, running: Sequence[tuple[str, int]]) -> str:
    """An attempt that began and did not end is lost unless the driver that began it is at work."""
    alive = " OR ".join(f"(sweep = {quote(name)} AND driver_epoch = {epoch})" for name, epoch in running) or "false"
    lost = f"CASE WHEN outcome = 'RUNNING' AND NOT ({alive}) THEN 'LOST' ELSE outcome END"
    return f"SELECT * REPLACE ({lost} AS outcome) FROM ({sql})"  # noqa: S608 - names are quoted


def _lock(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    connection.execute(f"SET allowed_directories = [{quote(store.files.location() + '/')}]")
    for option in (
        "autoload_known_extensions",
        "autoinstall_known_extensions",
        "allow_community_extensions",
        "python_enable_replacements",
        "enable_external_access",
    ):
        connection.execute(f"SET {option} = false")
    connection.execute("SET lock_configuration = true")
