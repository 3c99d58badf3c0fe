"""Records to Parquet bytes, and columns back to records."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.schema import (
    BOOLEAN,
    INTEGER,
    METRIC,
    MOMENT,
    PRECISE,
    ROW_TYPES,
    SMALL,
    TEXT,
    R,
    Row,
    arrow_schema,
    columns_of,
)
from orchestrator.store.seal import sealed_writer


def _is_integer(limit: int, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit


def _is_number(limit: float, value: Any) -> bool:
    if isinstance(value, float):
        return abs(value) <= limit or not math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= limit


def _is_a(accepted: type, value: Any) -> bool:
    return isinstance(value, accepted)


_FITS: dict[pa.DataType, Callable[[Any], bool]] = {
    SMALL: partial(_is_integer, 2**31),
    INTEGER: partial(_is_integer, 2**63),
    # A finite number may not become infinite: in float32 what lies half a step above the largest one does.
    METRIC: partial(_is_number, math.nextafter(2.0**128 - 2.0**103, 0)),
    PRECISE: partial(_is_number, sys.float_info.max),
    TEXT: partial(_is_a, str),
    MOMENT: partial(_is_a, datetime),
    BOOLEAN: partial(_is_a, bool),
}

# Made once, because every measurement passes through them.
_CHECKS = {
    row_type: [
        (column.name, _FITS[column.metadata["arrow"]], column.metadata["nullable"]) for column in columns_of(row_type)
    ]
    for row_type in ROW_TYPES
}


def check_row(row: Row) -> None:
    """Proves that a record can be stored as it is, so that no later batch fails because of it.

    Raises:
        StoreError: A value is missing, of a wrong type or out of range.
    """
    for name, fits, is_optional in _CHECKS[type(row)]:
        value = getattr(row, name)
        if not fits(value) and not (is_optional and value is None):
            kind = arrow_schema(type(row)).field(name).type
            raise StoreError(
                f"a row of table {row.TABLE} cannot be stored: column {name} takes {kind}, not {value!r}"
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
