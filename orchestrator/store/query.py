"""SQL over all sweeps of a store: one row per key whatever happened, and nothing but reading."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import IO, TypeVar

import duckdb
import pyarrow as pa

from orchestrator.errors import QueryError, StoreError
from orchestrator.store.connection import open_duckdb, quote, stream
from orchestrator.store.files import store_errors
from orchestrator.store.guard import check_select, one_sentence, tells_of_damage
from orchestrator.store.listing import Listing, has_vanished, list_store
from orchestrator.store.live import RETRIES
from orchestrator.store.store import Store
from orchestrator.store.views import VIEWS, create_views

T = TypeVar("T")
_Explain = Callable[[Store, Listing, duckdb.Error], QueryError | StoreError]

BATCH_ROWS = 61_440
MEMORY_BYTES = 64 * 2**20


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


def read(store: Store, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
    """What `ask` finds out on a connection with the views; it is called again where files vanished under it.

    The connection is locked so that it reads only the store. That does not stop `COPY ... TO` a file of the store, so
    SQL that is not ours goes through `run_query`.

    Raises:
        StoreError: The store cannot be read.
    """
    return _read(store, ask, _store_error)


def run_query(store: Store, sql: str) -> QueryResult:
    """Runs a user's SQL.

    Raises:
        QueryError: It is not one SELECT statement that only reads the store, or cannot be run.
        StoreError: The store cannot be read.
    """
    check_select(sql)
    return _read(store, partial(_run, sql), _query_error)


def _read(store: Store, ask: Callable[[duckdb.DuckDBPyConnection], T], explain: _Explain) -> T:
    with store_errors(f"cannot read the store {store.uri}"):
        for _ in range(RETRIES):
            listing = list_store(store)
            why: _Explain = _store_error
            with open_duckdb(store.files) as connection:
                try:
                    create_views(connection, store, listing)
                    _lock(connection, store)
                    why = explain
                    return ask(connection)
                except duckdb.Error as error:
                    if not has_vanished(store, listing):
                        raise why(store, listing, error) from error
    raise StoreError(f"the store {store.uri} changes too fast to be read; try again")


def _run(sql: str, connection: duckdb.DuckDBPyConnection) -> QueryResult:
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


def _query_error(store: Store, listing: Listing, error: duckdb.Error) -> QueryError | StoreError:
    text = one_sentence(error)
    if tells_of_damage(error) or any(store.files.location(name) in text for name in listing.names):
        return _store_error(store, listing, error)
    if isinstance(error, duckdb.CatalogException) and text.startswith("Table"):
        return QueryError(f"{text} (tables and views: {', '.join(VIEWS)})")
    return QueryError(f"the query cannot be run: {text}")


def _store_error(store: Store, _: Listing, error: duckdb.Error) -> StoreError:
    text = one_sentence(error)
    where = "" if store.files.location() in text else "; bocb verify says which file is damaged, if one is"
    return StoreError(f"the store {store.uri} cannot be read: {text}{where}")


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
