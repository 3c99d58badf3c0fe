"""One Parquet file of a table, checked as closely as can be: digest, page checksums, schema, two readers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import StoreError
from orchestrator.store.paths import PartName, parse_part
from orchestrator.store.schema import SCHEMA_VERSION, Row, arrow_schema
from orchestrator.store.seal import Seal, parquet_seal
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.second_reader import DisagreementError, read_twice

_MAGIC = b"PAR1"
_SMALLEST = 12
_VERSION, _TABLE = b"bocb.schema_version", b"bocb.table"
_UNSEALED_KEYS = {_VERSION, _TABLE, b"ARROW:schema"}
"""What the footer of a file without a digest has; one more or fewer, and the digest's own key was hit."""


class DamagedFileError(StoreError):
    """A file is not what was written; the text says why."""


class NewerFileError(StoreError):
    """A file was written by a newer bocb."""


def rows_of_file(sweep: SweepStore, row_type: type[Row], name: str) -> Iterator[pa.Table]:
    """The rows of one file of a table, a row group at a time, each checked before it is given out.

    Raises:
        DamagedFileError: The file is damaged; rows given out before are not to be trusted either.
        NewerFileError: Its schema is of a later version than this one knows.
        FileNotFoundError: It is not there.
    """
    # At once: it is read by three readers, and files of a table have a bounded size.
    file = io.BytesIO(sweep.files.read(sweep.paths.in_table(row_type, name)))
    seal = _check_seal(file)
    _check_schema(file, row_type, seal)
    part = parse_part(name)
    groups = read_twice(file)
    while True:
        try:
            table = next(groups, None)
        except (pa.ArrowException, OSError, DisagreementError) as error:
            raise DamagedFileError(_first_line(error)) from error
        if table is None:
            return
        _check_rows(table, sweep.name, part)
        yield table


def rows_claimed(sweep: SweepStore, row_type: type[Row], name: str) -> int | None:
    """How many rows a damaged file says it has, or None where it cannot even say that."""
    try:
        with sweep.files.open(sweep.paths.in_table(row_type, name)) as file:
            return int(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowException):
        return None


def _check_seal(file: BinaryIO) -> Seal:
    size = file.seek(0, 2)
    if size < _SMALLEST:
        raise DamagedFileError(f"it is cut off after {size} bytes" if size else "it is empty")
    file.seek(-len(_MAGIC), 2)
    if file.read() != _MAGIC:
        raise DamagedFileError(f"it does not end like a Parquet file: cut off after {size} bytes, or overwritten")
    seal = parquet_seal(file)
    if seal is Seal.BROKEN:
        raise DamagedFileError("its content does not match its SHA-256")
    return seal


def _check_schema(file: BinaryIO, row_type: type[Row], seal: Seal) -> None:
    file.seek(0)
    try:
        parquet = pq.ParquetFile(file)
        keys, found = parquet.metadata.metadata or {}, parquet.schema_arrow
        version = int(keys.get(_VERSION, b""))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedFileError(f"its footer cannot be read ({_first_line(error)})") from error
    if seal is Seal.NONE and (version != 1 or set(keys) != _UNSEALED_KEYS):
        raise DamagedFileError("its SHA-256 is gone")
    if version > SCHEMA_VERSION:
        raise NewerFileError(f"schema version {version}, this bocb knows {SCHEMA_VERSION}")
    if keys.get(_TABLE) != row_type.TABLE.encode():
        raise DamagedFileError(f"it says that it is of table {keys.get(_TABLE, b'').decode(errors='replace')!r}")
    _check_columns(found, arrow_schema(row_type), is_older=version < SCHEMA_VERSION)


def _check_columns(found: pa.Schema, wanted: pa.Schema, *, is_older: bool) -> None:
    unknown = [name for name in found.names if name not in wanted.names]
    missing = [name for name in wanted.names if name not in found.names]
    if unknown or (missing and not is_older):
        raise DamagedFileError(
            f"its columns are not the schema's: missing {missing or 'none'}, unknown {unknown or 'none'}"
        )
    if found.names != [name for name in wanted.names if name in found.names]:
        raise DamagedFileError("its columns are in another order than the schema's")
    for column in found:
        expected = wanted.field(column.name)
        if (column.type, column.nullable) != (expected.type, expected.nullable):
            raise DamagedFileError(f"column {column.name} is {column.type}, not {expected.type} as in the schema")


def _check_rows(table: pa.Table, sweep: str, part: PartName | None) -> None:
    sweeps = table["sweep"].unique().to_pylist()
    if sweeps != [sweep]:
        raise DamagedFileError(
            f"it has rows of sweep {', '.join(sorted(map(repr, sweeps)))} in the folder of {sweep!r}"
        )
    epochs = table["driver_epoch"].unique().to_pylist()
    if part is not None and epochs != [part.driver_epoch]:
        raise DamagedFileError(f"its name says driver {part.driver_epoch}, its rows driver {epochs}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
