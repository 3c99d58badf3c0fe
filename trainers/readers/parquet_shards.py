"""Parquet shards as the Hugging Face hub has them: a column of encoded images and a column of labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from search_spaces.errors import DataError
from trainers.readers.location import StoredFile
from trainers.readers.part import Index, first_places
from trainers.readers.shards import SHARD_ERRORS, for_each, shard_error

_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "labels")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Shard:
    """What one shard says without its images being read."""

    file: StoredFile
    footer: pq.FileMetaData
    image_column: str
    labels: NDArray[np.int64]
    classes: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParquetPart:
    """Implements `trainers.readers.part.Part`; a run is a row group. An image's name is its shard's and its row."""

    index: Index
    shards: tuple[_Shard, ...]
    shard_of: NDArray[np.int64]
    """(N,)"""
    rows: NDArray[np.int64]
    """(N,) in the shard."""
    row_groups: NDArray[np.int64]
    """(R, 2) of each run: its row group in the shard, and that group's first row."""

    def read(self, run: int, places: Sequence[int]) -> Mapping[int, bytes]:
        """The encoded images at some places of a run, by place; an image of null is empty.

        Raises:
            DataError: The row group cannot be read.
        """
        shard = self.shards[self.shard_of[places[0]]]
        group, first_row = (int(value) for value in self.row_groups[run])
        try:
            with shard.file.open() as file:
                reader = pq.ParquetFile(file, metadata=shard.footer)
                table = reader.read_row_group(group, columns=[shard.image_column], use_threads=False)
        except SHARD_ERRORS as error:
            raise shard_error(shard.file, "Parquet", error) from error
        column = table.column(0).combine_chunks()
        if pa.types.is_struct(column.type):
            column = column.field("bytes")
        return {place: column[int(self.rows[place]) - first_row].as_py() or b"" for place in places}

    def where(self, place: int) -> str:
        """The file of an image, with its row, for a message."""
        return f"row {self.rows[place]} of {self.shards[self.shard_of[place]].file.shown}"


def open_parquet(files: Sequence[StoredFile], classes: int | None) -> ParquetPart:
    """The part that some Parquet shards are.

    Args:
        files: In their order.
        classes: Labels are 0 to this, exclusive; None takes what the shards' own description of their labels says.

    Raises:
        DataError: A shard is damaged, or has other columns.
    """
    shards = for_each(files, _look)
    limit = classes if classes is not None else shards[0].classes
    good = [(shard.labels >= 0) & (shard.labels < (limit or np.inf)) for shard in shards]
    rows = [np.flatnonzero(mask) for mask in good]
    numbers = range(len(shards))
    rejected = tuple(
        f"row {row} of {shard.file.shown} has the label {shard.labels[row]}; labels are 0 to"
        f" {limit - 1 if limit else 'the number of classes - 1'}"
        for shard, mask in zip(shards, good, strict=True)
        for row in np.flatnonzero(~mask)
    )
    runs, row_groups = _runs(shards, rows)
    shard_of = np.concatenate([np.full(len(rows[n]), n, dtype=np.int64) for n in numbers])
    return ParquetPart(
        index=Index(
            names=pa.array([f"{shards[n].file.name}#{row}" for n in numbers for row in rows[n]], pa.string()),
            labels=np.concatenate([shard.labels[kept] for shard, kept in zip(shards, rows, strict=True)]),
            sizes=np.concatenate([np.full(len(rows[n]), shards[n].file.size, dtype=np.int64) for n in numbers]),
            runs=runs,
            firsts=first_places(shard_of),
            rejected=rejected,
        ),
        shards=tuple(shards),
        shard_of=shard_of,
        rows=np.concatenate(rows),
        row_groups=row_groups,
    )


def described_classes(part: ParquetPart) -> int | None:
    """How many classes the shards say there are, as the hub's own do; None where they do not."""
    return part.shards[0].classes


def _runs(shards: Sequence[_Shard], rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of the runs in places, and the row group of each."""
    bounds, groups = [0], []
    for shard, kept in zip(shards, rows, strict=True):
        first_row = 0
        for group in range(shard.footer.num_row_groups):
            last_row = first_row + shard.footer.row_group(group).num_rows
            count = int(np.searchsorted(kept, last_row) - np.searchsorted(kept, first_row))
            if count:
                bounds.append(bounds[-1] + count)
                groups.append((group, first_row))
            first_row = last_row
    return np.array(bounds, dtype=np.int64), np.array(groups, dtype=np.int64).reshape(-1, 2)


def _look(file: StoredFile) -> _Shard:
    try:
        with file.open() as opened:
            reader = pq.ParquetFile(opened)
            schema = reader.schema_arrow
            image, label = (_column(file, schema, names) for names in (_IMAGE_COLUMNS, _LABEL_COLUMNS))
            column = reader.read(columns=[label], use_threads=False).column(0)
    except SHARD_ERRORS as error:
        raise shard_error(file, "Parquet", error) from error
    _check_types(file, schema.field(image), column)
    return _Shard(
        file=file,
        footer=reader.metadata,
        image_column=image,
        # What is null has no label, and no label is -1.
        labels=np.asarray(column.fill_null(-1).to_numpy(), dtype=np.int64),
        classes=_described_classes(schema, label),
    )


def _column(file: StoredFile, schema: pa.Schema, names: Sequence[str]) -> str:
    for name in names:
        if name in schema.names:
            return name
    raise DataError(f"{file.shown} has no column {' or '.join(names)}; its columns are {', '.join(schema.names)}")


def _check_types(file: StoredFile, image: pa.Field, labels: pa.ChunkedArray) -> None:
    kind = image.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise DataError(
            f"column {image.name} of {file.shown} is {image.type}; expected bytes, or a struct with bytes"
        )
    if not pa.types.is_integer(labels.type):
        raise DataError(f"the labels of {file.shown} are {labels.type}; expected whole numbers")
    if not len(labels):
        raise DataError(f"{file.shown} holds no images")


def _described_classes(schema: pa.Schema, label: str) -> int | None:
    """The number of class names in what the hub writes into a file's schema."""
    try:
        described = json.loads((schema.metadata or {})[b"huggingface"])
        return len(described["info"]["features"][label]["names"])
    except (KeyError, TypeError, ValueError):
        return None
