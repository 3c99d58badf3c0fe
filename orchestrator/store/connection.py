"""DuckDB as the store uses it: in memory, with a place to spill that is nobody else's."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from orchestrator.store.files import Files


def open_duckdb(
    files: Files, *, memory_limit: str | None = None, threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A new in-memory database, which can read the locations of `files`.

    It spills to a folder that it makes when needed and removes when closed.
    """
    spill = Path(tempfile.gettempdir(), f"bocb-duckdb-{uuid.uuid4().hex}")
    connection = duckdb.connect(":memory:")
    connection.execute(f"SET temp_directory = {quote(str(spill))}")
    connection.execute("SET enable_progress_bar = false")
    filesystem = files.duckdb_filesystem()
    if filesystem is not None:
        connection.register_filesystem(filesystem)
    if memory_limit is not None:
        connection.execute(f"SET memory_limit = {quote(memory_limit)}")
    if threads is not None:
        connection.execute(f"SET threads = {threads}")
    return connection


def stream(
    connection: duckdb.DuckDBPyConnection, sql: str, batch_rows: int
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The answer to a query as its schema and batches; the rows of one file come in their order.

    Raises:
        duckdb.Error: The query cannot be run; also from the iterator, where pyarrow would report it as an `OSError`.
    """
    reader = connection.sql(sql).to_arrow_reader(batch_rows)
    return reader.schema, _with_duckdb_errors(reader)


def _with_duckdb_errors(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except (OSError, pa.ArrowException) as error:
        raise duckdb.OperationalError(str(error)) from error


def quote(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
