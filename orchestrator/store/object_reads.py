"""How DuckDB reads a store in an object store: a file system of exactly that store's objects, read-only.

DuckDB's own S3 client would be an extension, fetched over the network, with credentials of its own. A registered file
system needs neither, stays under the lock that `query.py` puts on external access, and knows nothing else to reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from errno import EROFS
from fnmatch import fnmatchcase
from typing import Any, BinaryIO, Protocol

from fsspec.spec import AbstractFileSystem

KEPT_BYTES = 128 * 2**20
"""How much of objects is kept: DuckDB opens each file once to learn its columns and again to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEnd:
    """What one request tells of an object."""

    size: int
    tail: bytes
    """Its last bytes, at most as many as the store is asked for."""


class Objects(Protocol):
    """The objects of one store, as far as reading needs them; methods raise `OSError`."""

    root: str

    def name_at(self, location: str) -> str:
        """The name within the store of an object at a URI."""

    def names(self, folder: str = "") -> list[str]:
        """What is below a name, one level deep."""

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""

    def end_of(self, name: str) -> ObjectEnd:
        """An object's size and last bytes, by one request."""

    def open_at(self, name: str, end: ObjectEnd) -> BinaryIO:
        """An object of which the end is known already."""


class StoreFilesystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec carries no annotations
    """The objects of a store, for one DuckDB connection; what it has seen of an object it takes to stay so."""

    protocol = ("s3",)
    cachable = False  # fsspec would keep the first one for ever

    def __init__(self, files: Objects) -> None:
        super().__init__()
        self._files = files
        self._ends: dict[str, ObjectEnd] = {}
        self._room = KEPT_BYTES

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        """An object of the store.

        Raises:
            OSError: It is to be written, is not the store's, or cannot be read.
        """
        if mode not in ("r", "rb"):
            raise OSError(EROFS, "the store is read-only here", path)
        return self._files.open_at(self._files.name_at(path), self._end(path))

    def size(self, path: str) -> int:
        """Length of an object in bytes."""
        return self._end(path).size

    def exists(self, path: str, **_: Any) -> bool:
        """Whether the store has that object."""
        return self._files.exists(self._files.name_at(path))

    def isfile(self, path: str) -> bool:
        """Whether the store has that object."""
        return self.exists(path)

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - fsspec's signature
        """The same for all: what DuckDB may read of a store is never changed."""
        return datetime.fromtimestamp(0, UTC)

    def glob(self, path: str, **_: Any) -> list[str]:
        """The path itself, or the objects whose last part fits a pattern."""
        folder, _slash, pattern = path.rpartition("/")
        if not any(character in path for character in "*?["):
            return [path]
        name = "" if folder == self._files.root else self._files.name_at(folder)
        return [f"{folder}/{found}" for found in self._files.names(name) if fnmatchcase(found, pattern)]

    def _end(self, path: str) -> ObjectEnd:
        end = self._ends.get(path)
        if end is None:
            end = self._files.end_of(self._files.name_at(path))
            if len(end.tail) <= self._room:
                self._ends[path] = end
                self._room -= len(end.tail)
        return end
