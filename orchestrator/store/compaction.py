"""Many small parts into few sorted files with one row per key, safe to kill at any instant.

New files are written first; then a manifest is created that makes them count and the old ones not, in one step; only
then the old ones are deleted. Deleting goes by the listing taken before the manifest, and no name in it is ever used
again, so that even a superseded driver that wakes up in the middle can delete nothing that counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestrator.errors import StoreError
from orchestrator.store.connection import open_duckdb
from orchestrator.store.files import store_errors
from orchestrator.store.latest import newest_rows
from orchestrator.store.lease import Lease
from orchestrator.store.live import RETRIES, Manifest, TableFiles, paths_of, read_live, require
from orchestrator.store.paths import compacted_name, parse_compacted, parse_manifest, parse_part
from orchestrator.store.schema import ROW_TYPES, SCHEMA_VERSION, Row, arrow_schema
from orchestrator.store.store import SweepStore

ROWS_PER_FILE = 2_000_000
ROWS_PER_GROUP = 122_880
MEMORY_LIMIT = "1GB"
THREADS = 2  # it runs beside a sweep, and every thread takes its share of the memory
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

    files: int
    rows: int
    bytes: int


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
    """Compacts one table.

    Raises:
        StoreError: The table cannot be read, or a newer bocb has written to it.
        SupersededError: A newer driver has claimed the sweep.
    """
    for _ in range(RETRIES):
        lease.check()
        try:
            return read_live(sweep, row_type, lambda files: _compact_files(sweep, row_type, lease, files))
        except FileExistsError:
            continue  # another compaction was faster: begin again from what it made
    raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} is being compacted by another process")


def _compact_files(sweep: SweepStore, row_type: type[Row], lease: Lease, files: TableFiles) -> CompactionSummary:
    before = _measure(sweep, row_type, files.live)
    foldable = files.foldable()
    if not foldable and not _orphans(files):
        _delete_replaced(sweep, row_type, files, files.manifest)
        return _summary(row_type, before, before)
    generation = files.last_compaction() + 1
    written = list(files.compacted)
    if foldable:
        written = _write_compacted(sweep, row_type, files, generation)
    manifest = Manifest(
        generation=files.manifest.generation + 1,
        files=tuple(written),
        folded=dict(files.manifest.folded) | {part.driver_epoch: part.sequence for part in foldable},
        last_compaction=generation,
    )
    lease.check()
    sweep.files.create(sweep.paths.manifest(row_type, manifest.generation), manifest.to_json())
    after = _measure(sweep, row_type, TableFiles(names=files.names, manifest=manifest).live)
    _delete_replaced(sweep, row_type, files, manifest)
    return _summary(row_type, before, after)


def _write_compacted(sweep: SweepStore, row_type: type[Row], files: TableFiles, generation: int) -> list[str]:
    """Writes the newest row of every key, sorted; returns the names of the files."""
    names: list[str] = []
    with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT, threads=THREADS) as connection:
        sql = newest_rows(
            row_type,
            compacted=paths_of(sweep, row_type, files.compacted),
            tail=paths_of(sweep, row_type, [part.file for part in files.foldable()]),
        )
        try:
            reader = connection.sql(f"{sql} ORDER BY {', '.join(row_type.KEY)}").to_arrow_reader(ROWS_PER_GROUP)
            batches = iter(reader)
            batch = next(batches, None)
            while batch is not None:
                names.append(compacted_name(generation, len(names)))
                batch = _write_file(sweep, row_type, names[-1], batch, batches)
        except (duckdb.Error, pa.ArrowException) as error:
            require(sweep, row_type, files.live)
            raise StoreError(
                f"table {row_type.TABLE} of sweep {sweep.name!r} cannot be compacted: {error}"
            ) from error
    return names


def _write_file(
    sweep: SweepStore, row_type: type[Row], name: str, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]
) -> pa.RecordBatch | None:
    """Writes one file of at most ROWS_PER_FILE rows; returns the batch that did not fit."""
    schema = arrow_schema(row_type)
    rows = 0
    batch: pa.RecordBatch | None = first
    with (
        sweep.files.new_file(sweep.paths.in_table(row_type, name)) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        while batch is not None and (rows == 0 or rows + batch.num_rows <= ROWS_PER_FILE):
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema), ROWS_PER_GROUP)
            rows += batch.num_rows
            batch = next(rest, None)
    return batch


def _measure(sweep: SweepStore, row_type: type[Row], names: tuple[str, ...]) -> _Size:
    """Also refuses files whose columns this version does not know: compacting would lose them."""
    rows = size = 0
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
        rows += metadata.num_rows
        size += sweep.files.size(path)
    return _Size(files=len(names), rows=rows, bytes=size)


def _orphans(files: TableFiles) -> list[str]:
    """Compacted files that do not count: left by a compaction that was killed, or being written by another."""
    return [name for name in files.names if parse_compacted(name) is not None and name not in files.compacted]


def _delete_replaced(sweep: SweepStore, row_type: type[Row], files: TableFiles, manifest: Manifest) -> None:
    for name in files.names:
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
