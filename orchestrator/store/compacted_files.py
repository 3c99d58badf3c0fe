"""The writing of compacted files: sorted runs of the newest rows, and older files again without the rows replaced."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import StoreError
from orchestrator.store.connection import open_duckdb, stream
from orchestrator.store.latest import contested_places, newest_rows, rows_of
from orchestrator.store.live import TableFiles, paths_of, require
from orchestrator.store.paths import compacted_name
from orchestrator.store.schema import METRIC, MOMENT, PRECISE, Row, arrow_schema, columns_of
from orchestrator.store.seal import sealed_writer
from orchestrator.store.store import SweepStore

ROWS_PER_GROUP = 61_440
"""A cell's rows lie together and readers decode whole groups, so a smaller one answers sooner and a larger one packs
better. A multiple of 2048, DuckDB's own step."""
ROWS_PER_FILE = 32 * ROWS_PER_GROUP
MEMORY_LIMIT = "1GB"
THREADS = 2  # it runs beside a sweep, and every thread takes its share of the memory
_ACCURACIES = ("val_top", "test_top")


def write_compacted(
    sweep: SweepStore, row_type: type[Row], files: TableFiles, generation: int, merged: Sequence[str]
) -> list[str]:
    """Writes the newest rows of everything foldable and of the files `merged`, sorted by key.

    A file outside `merged` that has some of these keys too is written again without them, so that compacted files
    still hold each key once among them.

    Returns:
        The names of the compacted files that count from now on.

    Raises:
        StoreError: A file cannot be read.
        FileNotFoundError: A file has vanished.
        FileExistsError: Another compaction has this generation.
    """
    tail = [part.file for part in files.foldable()]
    others = [name for name in files.compacted if name not in merged]
    try:
        with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT, threads=THREADS) as connection:
            replaced = _replaced_rows(connection, sweep, row_type, others, tail)
            sql = newest_rows(
                row_type,
                compacted=paths_of(sweep, row_type, merged),
                tail=paths_of(sweep, row_type, tail),
                contested=paths_of(sweep, row_type, list(replaced)),
            )
            run = sorted_rows(connection, row_type, sql)
            names = write_run(sweep, row_type, generation, 0, run)
            for name, numbers in replaced.items():
                kept = _without(_batches(connection, rows_of(row_type, paths_of(sweep, row_type, [name]))), numbers)
                names += write_run(sweep, row_type, generation, len(names), kept)
    except (duckdb.Error, pa.ArrowException) as error:
        require(sweep, row_type, files.live)
        raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} cannot be compacted: {error}") from error
    return [name for name in others if name not in replaced] + names


def _replaced_rows(
    connection: duckdb.DuckDBPyConnection,
    sweep: SweepStore,
    row_type: type[Row],
    compacted: Sequence[str],
    tail: Sequence[str],
) -> dict[str, list[int]]:
    """Per compacted file, the numbers of the rows whose keys the tail has too; reads key columns only."""
    if not compacted or not tail:
        return {}
    paths = {"compacted": paths_of(sweep, row_type, compacted), "tail": paths_of(sweep, row_type, tail)}
    found: dict[str, list[int]] = defaultdict(list)
    for path, number in connection.execute(contested_places(row_type, **paths)).fetchall():
        found[posixpath.basename(path)].append(number)
    return found


def sorted_rows(connection: duckdb.DuckDBPyConnection, row_type: type[Row], sql: str) -> Iterator[pa.RecordBatch]:
    """The rows of a SELECT, in the order in which compacted files have them."""
    return _batches(connection, f"{sql} ORDER BY {', '.join(row_type.KEY)}")


def _batches(connection: duckdb.DuckDBPyConnection, sql: str) -> Iterator[pa.RecordBatch]:
    return stream(connection, sql, ROWS_PER_GROUP)[1]


def _without(batches: Iterator[pa.RecordBatch], numbers: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The rows of a file except those of the given numbers. DuckDB gives the rows of one file in their order."""
    left_out = np.asarray(numbers, dtype=np.int64)
    first = 0
    for batch in batches:
        keep = np.ones(batch.num_rows, dtype=bool)
        here = left_out[(left_out >= first) & (left_out < first + batch.num_rows)]
        keep[here - first] = False
        first += batch.num_rows
        if keep.any():
            yield batch.filter(pa.array(keep))


def write_run(
    sweep: SweepStore, row_type: type[Row], generation: int, number: int, batches: Iterator[pa.RecordBatch]
) -> list[str]:
    """Writes rows to files of at most `ROWS_PER_FILE`, the first of which has that number; none for no rows.

    Returns:
        The names of the files.

    Raises:
        FileExistsError: Another compaction has this generation.
    """
    names: list[str] = []
    batch = next(batches, None)
    while batch is not None:
        names.append(compacted_name(generation, number + len(names)))
        with (
            sweep.files.new_file(sweep.paths.in_table(row_type, names[-1])) as file,
            _parquet_writer(file, row_type) as writer,
        ):
            batch = _fill(writer, batch, batches)
    return names


def _fill(writer: pq.ParquetWriter, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    """Writes as many batches as fit into one file; returns the one that did not fit."""
    rows, batch = 0, first
    while batch is not None and (rows == 0 or rows + batch.num_rows <= ROWS_PER_FILE):
        writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=writer.schema), ROWS_PER_GROUP)
        rows += batch.num_rows
        batch = next(rest, None)
    return batch


@contextmanager
def _parquet_writer(file: BinaryIO, row_type: type[Row]) -> Iterator[pq.ParquetWriter]:
    """Dictionaries only where values repeat: one of a million random floats is larger than the floats."""
    repeating = [
        column.name
        for column in columns_of(row_type)
        if column.metadata["arrow"] not in (METRIC, PRECISE, MOMENT) or column.name.startswith(_ACCURACIES)
    ]
    with sealed_writer(file, arrow_schema(row_type), dictionaries=repeating) as writer:
        yield writer
