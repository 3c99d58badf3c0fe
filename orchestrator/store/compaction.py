"""Many small parts into few sorted files with one row per key, safe to kill at any instant.

New files are written first; then a manifest is created that makes them count and the old ones not, in one step; only
then the old ones are deleted. Deleting goes by one manifest and by the listing it came with: what is in there was
replaced or has a name that can never count any more, so that even a superseded driver that wakes up in the middle
deletes nothing that counts.

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
from orchestrator.store.live import RETRIES, Manifest, TableFiles, read_live
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


def fold(sweep: SweepStore, lease: Lease) -> None:
    """Folds every table of a sweep that comes to rest, and deletes what that replaces.

    Any Parquet reader then sees one row per key in a table's folder, as after `compact`, at a cost that does not grow
    with the sweep; only the files are a few more.

    Raises:
        StoreError: A table cannot be read or written; it is as it was.
        SupersededError: A newer driver has claimed the sweep.
    """
    with store_errors(f"cannot fold sweep {sweep.name!r}"):
        for row_type in ROW_TYPES:
            _compact(sweep, row_type, lease, _merge_tiers, keep_replaced=False)


def compact_table(sweep: SweepStore, row_type: type[Row], lease: Lease) -> CompactionSummary:
    """Compacts one table into as few files as it needs.

    Raises:
        StoreError: The table cannot be read, or a newer bocb has written to it.
        SupersededError: A newer driver has claimed the sweep.
    """
    files_before, rows_before, bytes_before = _measure(sweep, row_type)
    _compact(sweep, row_type, lease, _merge_all, keep_replaced=False)
    files_after, rows_after, bytes_after = _measure(sweep, row_type)
    return CompactionSummary(
        table=row_type.TABLE,
        files_before=files_before,
        files_after=files_after,
        rows_before=rows_before,
        rows_after=rows_after,
        bytes_before=bytes_before,
        bytes_after=bytes_after,
    )


def fold_table(sweep: SweepStore, row_type: type[Row], lease: Lease) -> None:
    """Moves the parts of one table into compacted files while a sweep runs, at a cost that does not grow with it.

    What it replaces stays until the next compaction, for the readers that are at it.

    Raises:
        StoreError: The table cannot be read, or a newer bocb has written to it.
        SupersededError: A newer driver has claimed the sweep.
    """
    _compact(sweep, row_type, lease, _merge_tiers, keep_replaced=True)


def _merge_all(files: TableFiles, rows: Mapping[str, int]) -> list[str]:
    """Nothing, where the table has no parts and no more files than its rows fill."""
    total = sum(rows[name] for name in files.compacted)
    needed = max(1, math.ceil(total / ROWS_PER_FILE))
    return list(files.compacted) if files.foldable() or len(files.compacted) > needed else []


def _merge_tiers(files: TableFiles, rows: Mapping[str, int]) -> list[str]:
    new_rows = sum(rows[part.file] for part in files.foldable())
    compacted = {name: rows[name] for name in files.compacted}
    return files_to_merge(compacted, new_rows, limit=ROWS_PER_FILE) if new_rows else []


def _compact(sweep: SweepStore, row_type: type[Row], lease: Lease, choose: Choice, *, keep_replaced: bool) -> None:
    def once(files: TableFiles) -> None:
        _compact_files(sweep, row_type, lease, files, choose, keep_replaced=keep_replaced)

    for _ in range(RETRIES):
        lease.check()
        try:
            return read_live(sweep, row_type, once)
        except FileExistsError:
            continue  # another compaction was faster: begin again from what it made
    raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} is being compacted by another process")


def _compact_files(
    sweep: SweepStore, row_type: type[Row], lease: Lease, files: TableFiles, choose: Choice, *, keep_replaced: bool
) -> None:
    rows = {name: _rows_in(sweep, row_type, name) for name in files.live}
    foldable, merged = files.foldable(), choose(files, rows)
    if not foldable and not merged and not _orphans(files):
        _delete_replaced(sweep, row_type, files, files.manifest)
        return
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
    _delete_replaced(sweep, row_type, files, manifest, keep=files.live if keep_replaced else ())


def _rows_in(sweep: SweepStore, row_type: type[Row], name: str) -> int:
    """Rows of a Parquet file; refuses one whose columns this version does not know: compacting would lose them."""
    path = sweep.paths.in_table(row_type, name)
    try:
        with sweep.files.open(path) as file:
            metadata = pq.read_metadata(file)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowInvalid) as error:  # Arrow has an OSError for some damages
        raise StoreError(f"{sweep.files.location(path)} cannot be read as Parquet: {error}") from error
    version = int((metadata.metadata or {}).get(b"bocb.schema_version", b"1"))
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"table {row_type.TABLE} of sweep {sweep.name!r} was written by a newer bocb (schema {version}, this one "
            f"knows {SCHEMA_VERSION}); compact it with that version"
        )
    return int(metadata.num_rows)


def _measure(sweep: SweepStore, row_type: type[Row]) -> tuple[int, int, int]:
    """How many files of a table count, and their rows and bytes."""

    def measure(files: TableFiles) -> tuple[int, int, int]:
        paths = [sweep.paths.in_table(row_type, name) for name in files.live]
        rows = sum(_rows_in(sweep, row_type, name) for name in files.live)
        return len(paths), rows, sum(map(sweep.files.size, paths))

    return read_live(sweep, row_type, measure)


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
