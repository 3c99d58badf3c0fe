"""Reads a CSV file into named text fields with their lines, whatever program wrote it."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import UsageError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
MAX_BYTES = 64 * 2**20
"""Of a file: beyond it, it is not a table of results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of a file."""

    line: int
    """Line of the file that it ends on, from 1."""
    fields: Mapping[str, str]
    """By column name in lower case, without the spaces around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A whole file as text."""

    columns: tuple[str, ...]
    """In lower case, in the order of the file."""
    records: tuple[Record, ...]
    delimiter: str


def read_bytes(path: Path) -> bytes:
    """The content of a file that a user named.

    Raises:
        UsageError: There is none, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; give a CSV file of results") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path} cannot be read: {why}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES // 2**20} MiB, which no table of results is")
    return data


def parse_file(data: bytes, name: str, *, required: Sequence[str]) -> ResultFile:
    """The rows of a CSV file: UTF-8 (or UTF-16 with its mark), separated by commas, semicolons or tabs.

    Rows without any text are left out.

    Args:
        data: The file's content.
        name: What messages call it.
        required: Columns that it must have.

    Raises:
        UsageError: It is no such file; the message names the line.
    """
    text = _decoded(data, name)
    delimiter = _delimiter(text, required)
    rows = _rows(text, delimiter, name)
    if not rows:
        raise UsageError(f"{name} is empty; its first line must name the columns {', '.join(required)}")
    _, header = rows[0]
    while header and not header[-1]:
        header.pop()
    columns = tuple(column.casefold() for column in header)
    _check_columns(columns, name, required)
    return ResultFile(
        columns=columns,
        records=tuple(_record(line, row, columns, name) for line, row in rows[1:]),
        delimiter=delimiter,
    )


def _decoded(data: bytes, name: str) -> str:
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name} is not UTF-8 text (line {line}): save it as CSV in UTF-8") from None
    if "\0" in text:
        raise UsageError(
            f"{name} is not a CSV file: line {text.count(chr(10), 0, text.index(chr(0))) + 1} holds zeros"
        )
    return text


def _delimiter(text: str, required: Sequence[str]) -> str:
    """The one with which the first line that says anything has the required columns, else the commonest there."""
    first = next((line for line in text.splitlines() if line.strip(" \t,;")), "")
    for delimiter in DELIMITERS:
        names = {part.strip(' "').casefold() for part in first.split(delimiter)}
        if names.issuperset(required):
            return delimiter
    return max(DELIMITERS, key=first.count)


def _rows(text: str, delimiter: str, name: str) -> list[tuple[int, list[str]]]:
    """Rows with any text, each with its line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows = []
    try:
        for row in reader:
            stripped = [field.strip() for field in row]
            if any(stripped):
                rows.append((reader.line_num, stripped))
    except csv.Error as error:
        raise UsageError(f"{name} line {reader.line_num} is not CSV: {error}") from None
    return rows


def _check_columns(columns: Sequence[str], name: str, required: Sequence[str]) -> None:
    missing = [column for column in required if column not in columns]
    if missing:
        raise UsageError(
            f"{name} has no column {' and no column '.join(missing)}; its first line must name "
            f"{', '.join(required)}, and names {', '.join(map(repr, columns))[:200]}"
        )
    for column in columns:
        if columns.count(column) > 1:
            raise UsageError(f"{name} has the column {column!r} twice; rename or remove one")


def _record(line: int, row: Sequence[str], columns: Sequence[str], name: str) -> Record:
    fields, beyond = row[: len(columns)], row[len(columns) :]
    if any(beyond) or len(fields) < len(columns):
        raise UsageError(
            f"{name} line {line} has {len(row)} fields and the first line {len(columns)} columns; "
            "a name with a delimiter in it stands in double quotes"
        )
    return Record(line=line, fields=dict(zip(columns, fields, strict=True)))
