"""What a sweep has recorded, one row per key, for those who continue or analyse it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import duckdb
import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.connection import open_duckdb, quote
from orchestrator.store.files import store_errors
from orchestrator.store.guard import one_sentence
from orchestrator.store.latest import newest_rows
from orchestrator.store.live import TableFiles, paths_of, read_live, require
from orchestrator.store.rows import decode_rows
from orchestrator.store.schema import (
    R,
    Row,
    arrow_schema,
    columns_of,
)
from orchestrator.store.store import SweepStore

ANY: Mapping[str, str | Collection[str]] = {}
"""A condition that every row fulfils."""


def read_rows(
    sweep: SweepStore,
    row_type: type[R],
    *,
    where: Mapping[str, str | Collection[str]] = ANY,
    without: Collection[str] = (),
) -> list[R]:
    """The newest row of each key as records, sorted by key; times are UTC without a zone.

    Args:
        sweep: The sweep.
        row_type: The table.
        where: Columns of the key, or what follows from it, and the value or values that are wanted.
        without: Optional columns that are not wanted: they are not read, and None in the records.

    Raises:
        StoreError: A file of the table cannot be read.
    """
    names = [column.name for column in columns_of(row_type) if column.name not in without]
    return decode_rows(read_table(sweep, row_type, where=where, columns=names), row_type)


def read_table(
    sweep: SweepStore,
    row_type: type[Row],
    *,
    where: Mapping[str, str | Collection[str]] = ANY,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The newest row of each key as an Arrow table, sorted by key.

    Args:
        sweep: The sweep.
        row_type: The table.
        where: As for `read_rows`.
        columns: Those to read; None for all of the schema. There are never others.

    Raises:
        StoreError: A file of the table cannot be read.
    """
    schema = arrow_schema(row_type)
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
    condition = " AND ".join(_among(name, wanted) for name, wanted in where.items()) or "true"

    def read(files: TableFiles) -> pa.Table:
        rows = newest_rows(
            row_type,
            compacted=paths_of(sweep, row_type, files.compacted),
            tail=paths_of(sweep, row_type, files.tail),
            filtered=bool(where),
        )
        sql = f"SELECT {', '.join(schema.names)} FROM ({rows}) WHERE {condition} ORDER BY {', '.join(row_type.KEY)}"  # noqa: S608 - names come from the schema and values are quoted
        with open_duckdb(sweep.files) as connection:
            try:
                return connection.sql(sql).to_arrow_table()
            except duckdb.Error as error:
                require(sweep, row_type, files.live)
                raise StoreError(
                    f"table {row_type.TABLE} of sweep {sweep.name!r} cannot be read: {one_sentence(error)}"
                ) from error

    with store_errors(f"cannot read sweep {sweep.name!r}"):
        return pa.Table.from_arrays(read_live(sweep, row_type, read).columns, schema=schema)


def _among(name: str, wanted: str | Collection[str]) -> str:
    values = [wanted] if isinstance(wanted, str) else sorted(wanted)
    return f"{name} IN ({', '.join(map(quote, values))})" if values else "false"
