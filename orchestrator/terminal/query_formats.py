"""A query's result as text for people, or as JSON, CSV or Parquet for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from orchestrator.store.query import QueryResult

Format = Literal["table", "json", "csv", "parquet"]

TABLE_ROWS = 1000
CELL_WIDTH = 60


def write_result(result: QueryResult, form: Format, out: BinaryIO, *, width: int = 120) -> None:
    """Writes a result, batch by batch.

    Args:
        result: What `run_query` returned.
        form: `table` (its first 1000 rows), `json` (a list with an object per row; NaN and infinities are null, times
            ISO), `csv` (with a header; null is empty) or `parquet`.
        out: Where the bytes go; text is UTF-8.
        width: Columns of the terminal. A wider table is written as one block of lines per row.
    """
    _WRITERS[form](result, out, width)


def _write_json(result: QueryResult, out: BinaryIO, _width: int) -> None:
    separator = "["
    for row in _rows(result):
        line = json.dumps({name: _json_value(value) for name, value in row.items()}, ensure_ascii=False)
        out.write(f"{separator}\n{line}".encode())
        separator = ","
    out.write(b"\n]\n" if separator == "," else b"[]\n")


def _write_csv(result: QueryResult, out: BinaryIO, _width: int) -> None:
    _write_csv_row(out, result.schema.names)
    for row in _rows(result):
        _write_csv_row(out, [_text(value) for value in row.values()])


def _write_csv_row(out: BinaryIO, cells: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    out.write(line.getvalue().encode())


def _write_parquet(result: QueryResult, out: BinaryIO, _width: int) -> None:
    with pq.ParquetWriter(out, result.schema, compression="zstd") as writer:
        for batch in result.batches():
            writer.write_batch(batch)


def _write_table(result: QueryResult, out: BinaryIO, width: int) -> None:
    rows = [row for _, row in zip(range(TABLE_ROWS), _rows(result), strict=False)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for field in result.schema:
        table.add_column(Text(field.name), justify="right" if _is_number(field.type) else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    text = io.StringIO()
    console = Console(file=text, width=1_000_000, color_system=None, force_terminal=False)
    needed = Measurement.get(console, console.options, table).maximum
    if needed > width and rows:
        _write_blocks(rows, text)
    else:
        console.width = max(needed, 1)
        console.print(table)
    if result.rows > len(rows):
        text.write(f"the first {len(rows)} of {result.rows} rows; --format csv, json and parquet write all\n")
    elif not rows:
        text.write("no rows\n")
    out.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()).encode())


def _write_blocks(rows: list[dict[str, Any]], text: io.StringIO) -> None:
    """A line per value, for rows that are wider than the terminal."""
    indent = max(len(name) for name in rows[0])
    for number, row in enumerate(rows, start=1):
        text.write(f"-- row {number} --\n")
        for name, value in row.items():
            lines = _short(value).splitlines() or [""]
            text.write(f"{name:<{indent}}  {lines[0]}\n")
            text.writelines(f"{'':<{indent}}  {line}\n" for line in lines[1:])


def _cell(value: Any) -> Text:
    """A value on one line; as `Text`, because brackets in a string are no markup."""
    text = Text(" ".join(_short(value).split()))
    text.truncate(CELL_WIDTH, overflow="ellipsis")
    return text


def _rows(result: QueryResult) -> Iterator[dict[str, Any]]:
    for batch in result.batches():
        yield from batch.to_pylist()


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _short(value: Any) -> str:
    plain = _scalar(value) if isinstance(value, Decimal) else value
    return f"{plain:.6g}" if isinstance(plain, float) else _text(plain)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (str, float)):
        return str(value)
    plain = _json_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _json_value(value: Any) -> Any:
    """What JSON can hold of a value, nested ones included."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):  # what DuckDB's sum of integers comes as
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


_WRITERS: dict[Format, Callable[[QueryResult, BinaryIO, int], None]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
    "parquet": _write_parquet,
}
