"""Indexes of tar shards, kept on this machine: making one reads the headers of every shard, using it one file.

A kept index is found by names, sizes and times of the shards, so it cannot be taken for another's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainers.readers.location import StoredFile

_logger = logging.getLogger(__name__)

_VERSION = 1
"""Of what a scan finds: another one makes every kept index useless."""
SCHEMA = pa.schema(
    [
        ("shard", pa.int64()),  # its place among the shards
        ("key", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("label", pa.int64()),
        ("reason", pa.string()),
    ]
)
"""One row per sample, with the fields of `tar_scan.Member`."""


def cache_folder() -> Path:
    """Where indexes are kept: `bocb/indexes` in `XDG_CACHE_HOME`, which is `~/.cache` unless set.

    Raises:
        FileNotFoundError: That is not set, and this user has no home.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(given or Path.home() / ".cache") / "bocb" / "indexes"
    except RuntimeError as error:
        raise FileNotFoundError(f"{error}; set XDG_CACHE_HOME") from error


def kept_index(shards: Sequence[StoredFile]) -> pa.Table | None:
    """What `keep_index` was given for these shards; None where nothing is kept, or it cannot be read."""
    try:
        table = pq.read_table(cache_folder() / _file_name(shards))
    except (OSError, pa.ArrowException):
        return None
    return table if table.schema.equals(SCHEMA) else None


def keep_index(shards: Sequence[StoredFile], table: pa.Table) -> None:
    """Keeps a table of `SCHEMA`; where that is impossible the next process scans again, and the log says so."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{uuid.uuid4().hex}.tmp"
        try:
            pq.write_table(table, temporary, compression="zstd")
            temporary.replace(folder / _file_name(shards))
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, pa.ArrowException) as error:
        _logger.warning("the index of %d shards cannot be kept: %s", len(shards), error)


def _file_name(shards: Sequence[StoredFile]) -> str:
    digest = hashlib.sha256(f"tar/{_VERSION}".encode())
    for shard in shards:
        digest.update(f"\0{shard.shown}\0{shard.size}\0{shard.modified_ns}".encode(errors="surrogateescape"))
    return f"{digest.hexdigest()[:32]}.parquet"
