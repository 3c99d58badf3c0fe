"""Records to Parquet bytes, and columns back to records."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.schema import (
    BOOLEAN,
    INTEGER,
    MOMENT,
    SMALL,
    TEXT,
    AttemptRow,
    CurveRow,
    Row,
    SweepRow,
    TrialRow,
    arrow_schema,
    columns_of,
)
from orchestrator.store.seal import sealed_writer

R = TypeVar("R", SweepRow, TrialRow, CurveRow, AttemptRow)

_LIMITS = {SMALL: 2**31, INTEGER: 2**63}


def check_row(row: Row) -> None:
    """Proves that a record can be stored as it is, so that no later batch fails because of it.

    Raises:
        StoreError: A value is missing, of a wrong type or out of range.
    """
    for column in columns_of(type(row)):
        value = getattr(row, column.name)
        if value is None and column.metadata["nullable"]:
            continue
        if not _fits(value, column.metadata["arrow"]):
            raise StoreError(
                f"a row of table {row.TABLE} cannot be stored: column {column.name} takes "
                f"{column.metadata['arrow']}, not {value!r}"
            )


def _fits(value: Any, kind: pa.DataType) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == MOMENT:
        return isinstance(value, datetime)
    if isinstance(value, bool) or kind == BOOLEAN:
        return isinstance(value, bool) and kind == BOOLEAN
    if kind in _LIMITS:
        return isinstance(value, int) and -_LIMITS[kind] <= value < _LIMITS[kind]
    # A finite number may not become infinite in float32.
    return isinstance(value, (int, float)) and (
        not math.isfinite(value) or math.isfinite(pa.scalar(float(value), kind).as_py())
    )


def encode_part(rows: Sequence[Row]) -> bytes:
    """One Parquet file holding the rows of one table. Times with a zone become UTC."""
    schema = arrow_schema(type(rows[0]))
    columns = [
        pa.array([_storable(getattr(row, column.name)) for row in rows], schema.field(column.name).type)
        for column in columns_of(type(rows[0]))
    ]
    buffer = io.BytesIO()
    with sealed_writer(buffer, schema) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return buffer.getvalue()


def _storable(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        # A traceback may carry undecodable bytes of a file name; losing the row for them would be worse.
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def decode_rows(table: pa.Table, row_type: type[R]) -> list[R]:
    """The records of a table that has the columns of `row_type`."""
    return [row_type(**record) for record in table.to_pylist()]
