"""What a sweep has recorded, one row per key, for those who continue or analyse it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import duckdb
import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.connection import open_duckdb, quote
from orchestrator.store.files import store_errors
from orchestrator.store.latest import newest_rows
from orchestrator.store.live import TableFiles, paths_of, read_live, require
from orchestrator.store.rows import decode_rows
from orchestrator.store.schema import AttemptRow, CurveRow, Row, SweepRow, TrialRow, arrow_schema
from orchestrator.store.store import SweepStore

R = TypeVar("R", SweepRow, TrialRow, CurveRow, AttemptRow)


def read_rows(sweep: SweepStore, row_type: type[R], *, trials: Collection[str] | None = None) -> list[R]:
    """The newest row of each key as records, sorted by key; times are UTC without a zone.

    Args:
        sweep: The sweep.
        row_type: The table.
        trials: Ids of the trials whose rows are wanted; None for all. No other row is held in memory.

    Raises:
        StoreError: A file of the table cannot be read.
    """
    return decode_rows(read_table(sweep, row_type, trials=trials), row_type)


def read_table(sweep: SweepStore, row_type: type[Row], *, trials: Collection[str] | None = None) -> pa.Table:
    """The newest row of each key as an Arrow table, sorted by key, with the columns of the schema and no others.

    Args:
        sweep: The sweep.
        row_type: The table.
        trials: Ids of the trials whose rows are wanted; None for all.

    Raises:
        StoreError: A file of the table cannot be read.
    """
    with store_errors(f"cannot read sweep {sweep.name!r}"):
        return read_live(sweep, row_type, lambda files: _read(sweep, row_type, files, trials))


def _read(sweep: SweepStore, row_type: type[Row], files: TableFiles, trials: Collection[str] | None) -> pa.Table:
    wanted = "" if trials is None else f"WHERE trial_id IN ({', '.join(map(quote, sorted(trials)))})"
    sql = newest_rows(
        row_type,
        compacted=paths_of(sweep, row_type, files.compacted),
        tail=paths_of(sweep, row_type, files.tail),
    )
    sql = f"SELECT * FROM ({sql}) {wanted} ORDER BY {', '.join(row_type.KEY)}"  # noqa: S608 - ids are quoted
    with open_duckdb(sweep.files) as connection:
        try:
            table = connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            require(sweep, row_type, files.live)
            raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} cannot be read: {error}") from error
    return pa.Table.from_arrays(table.columns, schema=arrow_schema(row_type))
