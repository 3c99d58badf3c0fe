"""Many small parts into few sorted files with one row per key, safe to kill at any instant.

New files are written first; then a manifest is created that makes them count and the old ones not, in one step; only
then the old ones are deleted. Deleting goes by the listing taken before the manifest, and no name in it is ever used
again, so that even a superseded driver that wakes up in the middle can delete nothing that counts.

Two forms: `compact_table`, for a table at rest, leaves as few files as there can be; `fold_table`, beside a running
sweep, rewrites only what keeps files few and keys single.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import StoreError
from orchestrator.store.compacted_files import ROWS_PER_FILE, write_compacted
from orchestrator.store.files import store_errors
from orchestrator.store.lease import Lease
from orchestrator.store.live import RETRIES, Manifest, TableFiles, read_live, table_files
from orchestrator.store.paths import parse_compacted, parse_manifest, parse_part
from orchestrator.store.schema import ROW_TYPES, SCHEMA_VERSION, Row
from orchestrator.store.store import SweepStore
from orchestrator.store.tiers import files_to_merge

STALE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionSummary:
    """What a compaction did to one table. Bytes and rows are those of the Parquet files that count."""

    table: str
    files_before: int
    files_after: int
    rows_before: int
    rows_after: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """How much a set of files holds."""

    rows_of: Mapping[str, int]
    bytes: int

    @property
    def files(self) -> int:
        return len(self.rows_of)

    @property
    def rows(self) -> int:
        return sum(self.rows_of.values())


Choice = Callable[[TableFiles, Mapping[str, int]], list[str]]
"""Which compacted files a compaction merges, given the files and how many rows each of them holds."""


def compact(sweep: SweepStore, lease: Lease) -> list[CompactionSummary]:
    """Compacts every table of a sweep; afterwards any Parquet reader sees one row per key in a table's folder.

    Raises:
        StoreError: A table cannot be read or written; it is as it was.
        SupersededError: A newer driver has claimed the sweep.
    """
    with store_errors(f"cannot compact sweep {sweep.name!r}"):
        summaries = [compact_table(sweep, row_type, lease) for row_type in ROW_TYPES]
        sweep.files.delete_stale_temporaries(sweep.name, older_than_seconds=STALE_SECONDS)
    return summaries


def compact_table(sweep: SweepStore, row_type: type[Row], lease: Lease) -> CompactionSummary:
    """Compacts one table into as few files as it needs.

    Raises:
        StoreError: The table cannot be read, or a newer bocb has written to it.
        SupersededError: A newer driver has claimed the sweep.
    """
    return _compact(sweep, row_type, lease, _merge_all, keep_replaced=False)


def fold_table(sweep: SweepStore, row_type: type[Row], lease: Lease) -> CompactionSummary:
    """Moves the parts of one table into compacted files while a sweep runs, at a cost that does not grow with it.

    What it replaces stays until the next fold, or `delete_replaced`, for the readers that are at it.

    Raises:
        StoreError: The table cannot be read, or a newer bocb has written to it.
        SupersededError: A newer driver has claimed the sweep.
    """
    return _compact(sweep, row_type, lease, _merge_tiers, keep_replaced=True)


def delete_replaced(sweep: SweepStore, row_type: type[Row], lease: Lease) -> None:
    """Deletes what folds have left for readers, so that other programs find one row per key in compacted files.

    Raises:
        StoreError: The table cannot be read.
        SupersededError: A newer driver has claimed the sweep.
    """
    lease.check()
    files = table_files(sweep, row_type)
    _delete_replaced(sweep, row_type, files, files.manifest)


def _merge_all(files: TableFiles, rows: Mapping[str, int]) -> list[str]:
    """Nothing, where the table has no parts and no more files than its rows fill."""
    total = sum(rows[name] for name in files.compacted)
    settled = not files.foldable() and len(files.compacted) <= max(1, math.ceil(total / ROWS_PER_FILE))
    return [] if settled else list(files.compacted)


def _merge_tiers(files: TableFiles, rows: Mapping[str, int]) -> list[str]:
    new_rows = sum(rows[part.file] for part in files.foldable())
    compacted = {name: rows[name] for name in files.compacted}
    return files_to_merge(compacted, new_rows, limit=ROWS_PER_FILE) if new_rows else []


def _compact(
    sweep: SweepStore, row_type: type[Row], lease: Lease, choose: Choice, *, keep_replaced: bool
) -> CompactionSummary:
    def once(files: TableFiles) -> CompactionSummary:
        return _compact_files(sweep, row_type, lease, files, choose, keep_replaced=keep_replaced)

    for _ in range(RETRIES):
        lease.check()
        try:
            return read_live(sweep, row_type, once)
        except FileExistsError:
            continue  # another compaction was faster: begin again from what it made
    raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} is being compacted by another process")


def _compact_files(
    sweep: SweepStore, row_type: type[Row], lease: Lease, files: TableFiles, choose: Choice, *, keep_replaced: bool
) -> CompactionSummary:
    before = _measure(sweep, row_type, files.live)
    foldable, merged = files.foldable(), choose(files, before.rows_of)
    if not foldable and not merged and not _orphans(files):
        _delete_replaced(sweep, row_type, files, files.manifest)
        return _summary(row_type, before, before)
    generation = files.last_compaction() + 1
    written = list(files.compacted)
    if foldable or merged:
        written = write_compacted(sweep, row_type, files, generation, merged)
    manifest = Manifest(
        generation=files.manifest.generation + 1,
        files=tuple(written),
        folded=dict(files.manifest.folded) | {part.driver_epoch: part.sequence for part in foldable},
        last_compaction=generation,
    )
    lease.check()
    sweep.files.create(sweep.paths.manifest(row_type, manifest.generation), manifest.to_json())
    after = _measure(sweep, row_type, TableFiles(names=files.names, manifest=manifest).live)
    _delete_replaced(sweep, row_type, files, manifest, keep=files.live if keep_replaced else ())
    return _summary(row_type, before, after)


def _measure(sweep: SweepStore, row_type: type[Row], names: tuple[str, ...]) -> _Size:
    """Also refuses files whose columns this version does not know: compacting would lose them."""
    rows: dict[str, int] = {}
    size = 0
    for name in names:
        path = sweep.paths.in_table(row_type, name)
        with sweep.files.open(path) as file:
            try:
                metadata = pq.read_metadata(file)
            except pa.ArrowInvalid as error:
                raise StoreError(f"{sweep.files.location(path)} is not a readable Parquet file: {error}") from error
        version = int((metadata.metadata or {}).get(b"bocb.schema_version", b"1"))
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"table {row_type.TABLE} of sweep {sweep.name!r} was written by a newer bocb (schema {version}, this "
                f"one knows {SCHEMA_VERSION}); compact it with that version"
            )
        rows[name] = metadata.num_rows
        size += sweep.files.size(path)
    return _Size(rows_of=rows, bytes=size)


def _orphans(files: TableFiles) -> list[str]:
    """Compacted files that do not count: left by a compaction that was killed, or being written by another."""
    return [name for name in files.names if parse_compacted(name) is not None and name not in files.compacted]


def _delete_replaced(
    sweep: SweepStore, row_type: type[Row], files: TableFiles, manifest: Manifest, keep: tuple[str, ...] = ()
) -> None:
    for name in files.names:
        if name in keep:
            continue
        part, generation = parse_part(name), parse_manifest(name)
        covered = part is not None and manifest.covers(part)
        older = generation is not None and generation < manifest.generation
        replaced = parse_compacted(name) is not None and name not in manifest.files
        if covered or older or replaced:
            sweep.files.delete(sweep.paths.in_table(row_type, name))


def _summary(row_type: type[Row], before: _Size, after: _Size) -> CompactionSummary:
    return CompactionSummary(
        table=row_type.TABLE,
        files_before=before.files,
        files_after=after.files,
        rows_before=before.rows,
        rows_after=after.rows,
        bytes_before=before.bytes,
        bytes_after=after.bytes,
    )
