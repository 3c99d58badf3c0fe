"""Which files of a table count, whatever was running or was killed meanwhile.

A compaction writes new files, then a manifest that lists them and says how far each driver's parts are folded into
them, and only then deletes what it has replaced. Manifest N + 1 is made by whoever first creates it, out of exactly
what manifest N and the parts beside it hold, so that the newest manifest is always complete.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.errors import StoreError, UsageError
from orchestrator.store.files import describe, store_errors
from orchestrator.store.paths import PartName, parse_compacted, parse_manifest, parse_part
from orchestrator.store.schema import ROW_TYPES, Row
from orchestrator.store.seal import seal_json, unseal_json
from orchestrator.store.store import Store, SweepStore
from search_spaces.errors import unknown_name

T = TypeVar("T")

RETRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a compaction left."""

    generation: int = 0
    files: tuple[str, ...] = ()
    """Names of the compacted files that count."""
    folded: Mapping[int, int] = field(default_factory=dict)
    """Per driver epoch, the last sequence number whose part is contained in `files`."""
    last_compaction: int = 0
    """No compacted file of this generation or a lower one may be written again: it may be about to be deleted."""

    def covers(self, part: PartName) -> bool:
        """Whether a part is contained in the compacted files."""
        return part.sequence <= self.folded.get(part.driver_epoch, 0)

    def to_json(self) -> bytes:
        """The content of the manifest's file."""
        content = {
            "files": list(self.files),
            "folded": {str(epoch): sequence for epoch, sequence in sorted(self.folded.items())},
            "last_compaction": self.last_compaction,
        }
        return seal_json(content)

    @staticmethod
    def from_json(generation: int, data: bytes) -> Manifest:
        """The manifest whose file holds `data`."""
        content = unseal_json(data)
        return Manifest(
            generation=generation,
            files=tuple(content["files"]),
            folded={int(epoch): int(sequence) for epoch, sequence in content["folded"].items()},
            last_compaction=int(content["last_compaction"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFiles:
    """The files of a table at one instant."""

    names: tuple[str, ...]
    """Everything in the table's folder."""
    manifest: Manifest

    @property
    def compacted(self) -> tuple[str, ...]:
        """Files that hold one row per key, among all of them together."""
        return self.manifest.files

    @property
    def tail(self) -> tuple[str, ...]:
        """Parts that are not compacted yet, in the order they were written."""
        return tuple(part.file for part in self._parts if not self.manifest.covers(part))

    @property
    def live(self) -> tuple[str, ...]:
        """All files that count."""
        return self.compacted + self.tail

    @property
    def lacks_manifest(self) -> bool:
        """Whether there must have been a manifest: parts are gone, and nothing but a compaction deletes them."""
        parts = self._parts
        firsts = {part.driver_epoch: part.sequence for part in reversed(parts)}
        is_compacted = any(parse_compacted(name) for name in self.names)
        return not self.manifest.generation and is_compacted and (not parts or max(firsts.values()) > 1)

    def foldable(self) -> tuple[PartName, ...]:
        """The parts a compaction may fold: those before each driver's first gap.

        A listing taken while a driver writes may show a part and miss an earlier one; folding across the gap would
        hide the earlier one for ever.
        """
        reached = dict(self.manifest.folded)
        found = []
        for part in self._parts:
            if part.sequence == reached.get(part.driver_epoch, 0) + 1:
                reached[part.driver_epoch] = part.sequence
                found.append(part)
        return tuple(found)

    def last_sequence(self, driver_epoch: int) -> int:
        """The highest sequence number a driver has used, 0 for none."""
        written = (part.sequence for part in self._parts if part.driver_epoch == driver_epoch)
        return max(self.manifest.folded.get(driver_epoch, 0), *written, 0)

    def last_compaction(self) -> int:
        """The highest generation of any compacted file, finished or not."""
        return max(self.manifest.last_compaction, *(parse_compacted(name) or 0 for name in self.names), 0)

    @property
    def _parts(self) -> list[PartName]:
        return sorted(part for name in self.names if (part := parse_part(name)))


class DamagedManifestError(StoreError):
    """The newest manifest of a table is gone or cannot be read, so that nobody can say which of its files count."""

    def __init__(self, message: str, files: TableFiles) -> None:
        super().__init__(message)
        self.files = files
        """The table's files, with a manifest of that generation that lists nothing."""


def table_files(sweep: SweepStore, row_type: type[Row]) -> TableFiles:
    """The files of a table; files listed may be deleted by a compaction at any moment (see `read_live`)."""
    folder = sweep.paths.table(row_type)
    for _ in range(RETRIES):
        names = sweep.files.names(folder)
        if not names and sweep.files.exists(folder) and not sweep.files.is_folder(folder):
            location = sweep.files.location(folder)
            raise StoreError(f"{location} is a file; it should be the folder of table {row_type.TABLE}")
        generation = _newest_manifest(names)
        # A compaction that finished during the listing has deleted parts the listing had not reached; the listing is
        # whole if none has, because a manifest is created before anything is deleted.
        if _newest_manifest(sweep.files.names(folder)) != generation:
            continue
        if generation == 0:
            files = TableFiles(names=tuple(names), manifest=Manifest())
            if files.lacks_manifest:
                raise DamagedManifestError(
                    f"the list of the compacted files in {sweep.files.location(folder)} is gone; bocb verify "
                    f"{sweep.name} --mend makes it anew",
                    files,
                )
            return files
        try:
            data = sweep.files.read(sweep.paths.manifest(row_type, generation))
        except FileNotFoundError:
            continue
        try:
            manifest = Manifest.from_json(generation, data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            name = sweep.files.location(sweep.paths.manifest(row_type, generation))
            raise DamagedManifestError(
                f"the manifest {name} is damaged ({error}); bocb verify {sweep.name} --mend makes it anew",
                TableFiles(names=tuple(names), manifest=Manifest(generation=generation)),
            ) from error
        return TableFiles(names=tuple(names), manifest=manifest)
    raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} changes too fast to be read; try again")


def read_live(sweep: SweepStore, row_type: type[Row], read: Callable[[TableFiles], T]) -> T:
    """Calls `read` with the files that count, again with a new listing where one of them has vanished meanwhile.

    Raises:
        StoreError: A file the manifest lists is missing for good.
    """
    for attempt in range(RETRIES):
        try:
            return read(table_files(sweep, row_type))
        except FileNotFoundError as error:
            if attempt == RETRIES - 1:
                raise StoreError(
                    f"table {row_type.TABLE} of sweep {sweep.name!r} lacks a file that its manifest lists: "
                    f"{describe(error)}"
                ) from error
    raise AssertionError("the loop returns or raises")


def live_paths(store: Store, table: str | None = None) -> dict[str, dict[str, list[str]]]:
    """The Parquet files that count at this moment, for readers other than this one: by sweep, then by table.

    Right after a compaction they hold one row per key; files that a driver adds later may repeat keys, of which the
    newest row counts, and the next compaction deletes them.

    Args:
        store: The store.
        table: Name of one table; None for all.

    Raises:
        UsageError: There is no such table.
        StoreError: The store cannot be read.
    """
    tables = {row_type.TABLE: row_type for row_type in ROW_TYPES}
    if table is not None and table not in tables:
        raise UsageError(f"{unknown_name('table', table, tables)}; --paths takes the name of one table, or nothing")
    with store_errors(f"cannot read the store {store.uri}"):
        return {
            name: {
                key: paths_of(store.sweep(name), row_type, table_files(store.sweep(name), row_type).live)
                for key, row_type in tables.items()
                if table in (None, key)
            }
            for name in store.sweeps()
        }


def paths_of(sweep: SweepStore, row_type: type[Row], names: Sequence[str]) -> list[str]:
    """Where files of a table lie, for libraries that open files themselves."""
    return [sweep.files.location(sweep.paths.in_table(row_type, name)) for name in names]


def require(sweep: SweepStore, row_type: type[Row], names: Sequence[str]) -> None:
    """Tells a file that has vanished from one that cannot be read, after a library failed without saying which.

    Raises:
        FileNotFoundError: One of the files is gone.
    """
    for name in names:
        path = sweep.paths.in_table(row_type, name)
        if not sweep.files.exists(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), sweep.files.location(path))


def _newest_manifest(names: list[str]) -> int:
    return max((parse_manifest(name) or 0 for name in names), default=0)
