"""A store in a folder: every other module names files, this one touches them.

What is written survives a power cut: content is written under a temporary name on the same file system, fsynced,
moved or linked into place, and then the folder is fsynced too.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY_FOLDER = ".tmp"


class LocalFiles:
    """The files below one folder, as `Files` promises them; methods raise `OSError` as the system reports it."""

    flush_seconds = 1.0

    def __init__(self, root: str) -> None:
        self.root = root

    def location(self, name: str = "") -> str:
        """The absolute path of a file, for libraries that open files themselves."""
        return str(self._path(name))

    def local_path(self, name: str) -> Path | None:
        """The same as a path."""
        return self._path(name)

    def names(self, folder: str = "") -> list[str]:
        """What a folder holds, sorted; nothing where there is no such folder."""
        try:
            return sorted(entry.name for entry in self._path(folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        """Whether there is such a file or folder; an unreachable store is an error and not a no."""
        try:
            self._path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_folder(self, name: str = "") -> bool:
        """Whether there is a folder of that name."""
        return self._path(name).is_dir()

    def size(self, name: str) -> int:
        """Length of a file in bytes."""
        return self._path(name).stat().st_size

    def read(self, name: str) -> bytes:
        """The whole content of a file."""
        return self._path(name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """A file for reading; one that is deleted meanwhile stays readable."""
        return self._path(name).open("rb")

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces a file; a reader sees the old content or the new, never part of one."""
        with self._temporary(name) as (temporary, file):
            file.write(data)
            _sync(file)
            temporary.replace(self._path(name))
        _sync_folder(self._path(name).parent)

    def create(self, name: str, data: bytes) -> None:
        """Writes a file that must not exist yet; of several writers exactly one succeeds.

        Raises:
            FileExistsError: The name is taken; what is there is untouched.
        """
        with self.new_file(name) as file:
            file.write(data)

    @contextmanager
    def new_file(self, name: str) -> Iterator[BinaryIO]:
        """A file to write to, which appears under its name when the block ends without an exception.

        Raises:
            FileExistsError: On leaving the block: the name is taken.
        """
        with self._temporary(name) as (temporary, file):
            yield file
            _sync(file)
            _link(temporary, self._path(name))
        _sync_folder(self._path(name).parent)

    def delete(self, name: str) -> None:
        """Removes a file; one that is already gone is no error."""
        self._path(name).unlink(missing_ok=True)

    def delete_empty_folder(self, name: str) -> None:
        """Removes a folder if nothing is in it."""
        with suppress(OSError):  # a folder that someone writes into again stays
            self._path(name).rmdir()

    def delete_stale_temporaries(self, folder: str, *, older_than_seconds: float) -> None:
        """Removes what writers that were killed left below `folder`; a writer at work touches its file meanwhile."""
        for name in self.names(f"{folder}/{TEMPORARY_FOLDER}"):
            path = self._path(f"{folder}/{TEMPORARY_FOLDER}/{name}")
            try:
                age = time.time() - path.stat().st_mtime
            except FileNotFoundError:
                continue
            if age > older_than_seconds:
                path.unlink(missing_ok=True)

    def prove(self) -> None:
        """Nothing to do: file systems create exclusively."""

    def free_bytes(self) -> int | None:
        """Room that is left on the file system, in bytes."""
        root = Path(self.root)
        return shutil.disk_usage(next(folder for folder in (root, *root.parents) if folder.exists())).free

    def duckdb_filesystem(self) -> None:
        """None: DuckDB reads local paths by itself."""

    def _path(self, name: str) -> Path:
        return Path(self.root, name)

    @contextmanager
    def _temporary(self, name: str) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file beside the folder of `name`: on its file system, but where no reader of tables looks."""
        _make_folder(self._path(name).parent)
        folder = self._path(name.split("/", 1)[0]) / TEMPORARY_FOLDER if "/" in name else self._path(TEMPORARY_FOLDER)
        folder.mkdir(exist_ok=True)
        temporary = folder / f"{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as file:
                yield temporary, file
        finally:
            temporary.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _link(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)  # unlike a rename, it fails when the target exists
    except FileExistsError:
        # NFS repeats a request whose answer was lost, and then reports that our own link exists.
        if not temporary.samefile(target):
            raise


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
