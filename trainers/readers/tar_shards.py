"""WebDataset tar shards: images beside their labels, read in runs of neighbours by one request each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from search_spaces.errors import DataError
from trainers.readers.index_cache import SCHEMA, keep_index, kept_index
from trainers.readers.location import StoredFile
from trainers.readers.part import Index, first_places
from trainers.readers.shards import SHARD_ERRORS, for_each, shard_error
from trainers.readers.tar_scan import scan

RUN = 64
"""Images read together: of ImageNet about 7 MB, where an object store and a disk are at full speed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TarPart:
    """Implements `trainers.readers.part.Part`. An image's name is its key, so shards can be made anew."""

    index: Index
    shards: tuple[StoredFile, ...]
    shard_of: NDArray[np.int64]
    """(N,)"""
    offsets: NDArray[np.int64]
    """(N,) bytes."""

    def read(self, run: int, places: Sequence[int]) -> Mapping[int, bytes]:
        """The encoded images at some places of a run, by place.

        Raises:
            DataError: The shard cannot be read there.
        """
        del run  # its places say where to read
        ends = {place: int(self.offsets[place] + self.index.sizes[place]) for place in places}
        start, end = min(int(self.offsets[place]) for place in places), max(ends.values())
        shard = self.shards[self.shard_of[places[0]]]
        try:
            with shard.open() as file:
                content = file.read_at(end - start, start)
        except SHARD_ERRORS as error:
            raise shard_error(shard, "a tar archive", error) from error
        if len(content) < end - start:
            raise DataError(f"{shard.shown} has become shorter since it was indexed; start again with whole shards")
        return {place: content[int(self.offsets[place]) - start : ends[place] - start] for place in places}

    def where(self, place: int) -> str:
        """The file of an image, with its member, for a message."""
        return f"{self.index.names[place].as_py()} in {self.shards[self.shard_of[place]].shown}"


def open_tar(shards: Sequence[StoredFile], classes: int | None) -> TarPart:
    """The part that some tar shards are.

    Args:
        shards: In their order.
        classes: Labels are 0 to this, exclusive; None accepts every label from 0.

    Raises:
        DataError: A shard is damaged.
    """
    table = kept_index(shards)
    if table is None:
        table = _scanned(shards)
        keep_index(shards, table)
    labels = _numbers(table, "label")
    is_usable = np.asarray(table.column("reason").is_null()) & (labels >= 0) & (labels < (classes or np.inf))
    usable = table.filter(pa.array(is_usable))
    shard_of = _numbers(usable, "shard")
    return TarPart(
        index=Index(
            names=usable.column("key").combine_chunks(),
            labels=_numbers(usable, "label"),
            sizes=_numbers(usable, "size"),
            runs=_runs(np.bincount(shard_of, minlength=len(shards))),
            firsts=first_places(shard_of),
            rejected=tuple(
                f"{row['key']} in {shards[row['shard']].shown} {row['reason'] or _wrong_label(row['label'], classes)}"
                for row in table.filter(pa.array(~is_usable)).to_pylist()
            ),
        ),
        shards=tuple(shards),
        shard_of=shard_of,
        offsets=_numbers(usable, "offset"),
    )


def _scanned(shards: Sequence[StoredFile]) -> pa.Table:
    rows = [
        {"shard": number, **asdict(member)}
        for number, members in enumerate(for_each(shards, scan))
        for member in members
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def _numbers(table: pa.Table, column: str) -> NDArray[np.int64]:
    return np.asarray(table.column(column).to_numpy(), dtype=np.int64)


def _runs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bounds of runs of at most `RUN` images, none of which reaches from one shard into the next."""
    ends = np.cumsum(counts)
    starts = [np.arange(end - count, end, RUN) for count, end in zip(counts, ends, strict=True)]
    return np.concatenate([*starts, ends[-1:]])


def _wrong_label(label: int, classes: int | None) -> str:
    return f"has the label {label}; labels are 0 to {classes - 1 if classes else 'the number of classes - 1'}"
