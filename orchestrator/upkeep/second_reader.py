"""Parquet files read twice: by pyarrow, which wrote them, and by fastparquet, which shares no code with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class DisagreementError(Exception):
    """The two readers do not give the same rows; the text says where."""


def read_twice(file: BinaryIO) -> Iterator[pa.Table]:
    """The rows of a Parquet file, one row group at a time, each proven to be what the second reader reads.

    Raises:
        pyarrow.ArrowException: The first reader cannot read it.
        OSError: So does this, as pyarrow reports a damaged page.
        DisagreementError: The second reader cannot read it, or reads something else.
    """
    first = pq.ParquetFile(file, page_checksum_verification=True)
    second = _frames(file)
    for number in range(first.num_row_groups):
        table = first.read_row_group(number)
        if table.num_rows == 0:
            continue
        frame, nulls = next(second, (None, {}))
        if frame is None or len(frame) != table.num_rows:
            raise DisagreementError(
                f"row group {number}: {table.num_rows} rows, but {0 if frame is None else len(frame)} for fastparquet"
            )
        for name in table.column_names:
            if not _agree(table[name].combine_chunks(), frame, name, nulls.get(name)):
                raise DisagreementError(f"row group {number}: pyarrow and fastparquet differ in column {name}")
        yield table
    if next(second, None) is not None:
        raise DisagreementError(f"fastparquet finds more than {first.num_row_groups} row groups")


def _frames(file: BinaryIO) -> Iterator[tuple[Any, dict[str, int | None]]]:
    """The row groups with rows as data frames, with the number of nulls that the file gives for each column."""
    # Deferred: it brings pandas, and no other command needs either.
    import fastparquet

    try:
        with warnings.catch_warnings(action="ignore"):  # it uses what pandas has deprecated
            reader = fastparquet.ParquetFile(file)
        for group in (group for group in reader.row_groups if group.num_rows):
            nulls = {
                ".".join(column.meta_data.path_in_schema): _null_count(column.meta_data.statistics)
                for column in group.columns
            }
            with warnings.catch_warnings(action="ignore"):
                frame = reader.read_row_group_file(group, reader.columns, [])
            yield frame, nulls
    # It was not made for damaged files: a wrong byte may raise anything.
    except Exception as error:
        raise DisagreementError(f"fastparquet cannot read it ({type(error).__name__}: {error})") from error


def _null_count(statistics: Any) -> int | None:
    return None if statistics is None else statistics.null_count


def _agree(column: pa.Array, frame: Any, name: str, nulls: int | None) -> bool:
    if name not in frame.columns or (nulls is not None and nulls != column.null_count):
        return False
    series = frame[name]
    if pa.types.is_floating(column.type):
        # A data frame does not tell null from NaN: the number of nulls above does.
        return np.array_equal(column.to_numpy(zero_copy_only=False), series.to_numpy(), equal_nan=True)
    return bool(pa.array(series, type=column.type, from_pandas=True).equals(column))
