"""Rows and parts for the tests of the store: every required column gets a value of its type unless one is given."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq

from orchestrator.store.live import table_files
from orchestrator.store.rows import encode_part
from orchestrator.store.schema import BOOLEAN, INTEGER, METRIC, MOMENT, PRECISE, SMALL, TEXT, Row, columns_of
from orchestrator.store.store import Store, SweepStore

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC).replace(tzinfo=None)
_VALUES = {TEXT: "x", INTEGER: 2**40, SMALL: 1, METRIC: 0.25, PRECISE: 0.1, MOMENT: NOON, BOOLEAN: False}


def make_row(row_type: type[Row], **values: Any) -> Any:
    """A row whose required columns are filled in; sweep "s" and driver 1 unless given."""
    required = {c.name: _VALUES[c.metadata["arrow"]] for c in columns_of(row_type) if not c.metadata["nullable"]}
    return row_type(**(required | {"sweep": "s", "driver_epoch": 1} | values))


def put_part(sweep: SweepStore, rows: list[Any]) -> str:
    """Writes rows of one table and driver as its next part, as a driver would; returns the part's name."""
    row_type, epoch = type(rows[0]), rows[0].driver_epoch
    sequence = table_files(sweep, row_type).last_sequence(epoch) + 1
    name = sweep.paths.part(row_type, epoch, sequence)
    sweep.files.create(name, encode_part(rows))
    return name


def damage_column(store: Store, name: str, column: str) -> None:
    """Puts nonsense in the place of a column's first page, where the file's footer stays as it is."""
    data = bytearray(store.files.read(name))
    chunks = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    chunk = next(part for part in map(chunks.column, range(chunks.num_columns)) if part.path_in_schema == column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + 16] = bytes(16)
    store.files.write(name, bytes(data))


def later(seconds: float) -> datetime:
    """A moment after noon."""
    return NOON + timedelta(seconds=seconds)
