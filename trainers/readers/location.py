"""Where a data set lies: a folder of this machine, or a prefix of an object store that pyarrow can read."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pafs

from search_spaces.errors import DataError

_LOCAL_BUFFER = 2**12
_REMOTE_BUFFER = 2**23
"""Bytes of one request for headers: in an object store a request costs more than its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredFile:
    """One file at a location."""

    files: pafs.FileSystem
    path: str
    """As the file system knows it."""
    shown: str
    """As a user knows it."""
    size: int
    modified_ns: int

    @property
    def name(self) -> str:
        """Last part of its path."""
        return self.path.rpartition("/")[2]

    def open(self) -> pa.NativeFile:
        """The file, for reading at any place.

        Raises:
            OSError: It cannot be opened.
        """
        return self.files.open_input_file(self.path)

    def open_buffered(self) -> BinaryIO:
        """The file, for reading from its beginning with small steps.

        Raises:
            OSError: It cannot be opened.
        """
        is_local = isinstance(self.files, pafs.LocalFileSystem)
        return cast("BinaryIO", io.BufferedReader(self.open(), _LOCAL_BUFFER if is_local else _REMOTE_BUFFER))


def is_uri(path: str) -> bool:
    """Whether a path names something in an object store."""
    return "://" in path


def local_folder(path: str) -> Path | None:
    """The folder that a path names; None for a URI.

    Raises:
        DataError: There is no such folder.
    """
    if is_uri(path):
        return None
    folder = Path(path)
    if folder.is_file():
        raise DataError(f"{path} is a file; data.path names a folder")
    if not folder.is_dir():
        raise DataError(f"data.path does not exist: {path}")
    return folder


def list_files(path: str, below: str = "") -> tuple[StoredFile, ...]:
    """The files directly in a folder of a location, by name; none where there is no such folder.

    Args:
        path: A folder, or a URI such as `s3://bucket/prefix`.
        below: A folder in it.

    Raises:
        DataError: The location cannot be reached.
    """
    try:
        files, root = pafs.FileSystem.from_uri(path) if is_uri(path) else (pafs.LocalFileSystem(), os.fspath(path))
        folder = f"{root.rstrip('/')}/{below}".rstrip("/")
        found = files.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"data.path = {path} cannot be listed: {error}") from error
    shown = f"{path.partition('?')[0].rstrip('/')}/{below}".rstrip("/")
    return tuple(
        StoredFile(
            files=files,
            path=info.path,
            shown=f"{shown}/{info.base_name}",
            size=info.size,
            modified_ns=info.mtime_ns or 0,
        )
        for info in sorted(found, key=lambda info: info.path)
        if info.type is pafs.FileType.File
    )
