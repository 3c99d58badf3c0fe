"""What every part of the store asks of the place its files lie in, wherever that is.

A name is relative to the store's root, with `/` between its parts. What is written appears whole or not at all and is
durable when the call returns. `local_files.py` keeps that in a folder, `object_files.py` in an object store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from orchestrator.errors import StoreError


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Turns the system's refusals into a `StoreError` that begins with `action` ("cannot read sweep 'a'")."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{action}: {describe(error)}") from error


def describe(error: OSError) -> str:
    """What the system said, and about which file."""
    said = error.strerror or str(error) or type(error).__name__
    return f"{said} ({error.filename})" if error.filename else said


class Files(Protocol):
    """The files below one root. Every method raises `OSError` where the place refuses or cannot be reached."""

    root: str
    """A path or a URI that opens the same files in another process."""

    flush_seconds: float
    """How long a writer should gather rows before it writes a file of them."""

    def location(self, name: str = "") -> str:
        """The absolute path or URI of a file, for messages and for DuckDB (see `duckdb_filesystem`)."""

    def local_path(self, name: str) -> Path | None:
        """Where a file lies on a file system of this machine; None in an object store."""

    def names(self, folder: str = "") -> list[str]:
        """What a folder holds at this moment, sorted, one level deep; nothing where there is no such folder."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file; a store that cannot be reached is an error and not a no."""

    def is_folder(self, name: str = "") -> bool:
        """Whether there is a folder of that name; in an object store, whether anything is below it."""

    def size(self, name: str) -> int:
        """Length of a file in bytes."""

    def read(self, name: str) -> bytes:
        """The whole content of a file, as one writer left it."""

    def open(self, name: str) -> BinaryIO:
        """A file for reading at any place, which must not be replaced meanwhile.

        If it is deleted meanwhile, it stays readable or reading raises FileNotFoundError.
        """

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces a file; a reader sees the old content or the new, never part of one."""

    def create(self, name: str, data: bytes) -> None:
        """Writes a file that must not exist yet; of several writers exactly one succeeds.

        Raises:
            FileExistsError: Another writer has the name; what is there is untouched.
        """

    def new_file(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file to write to, which appears under its name when the block ends without an exception.

        Raises:
            FileExistsError: On leaving the block: another writer has the name.
        """

    def delete(self, name: str) -> None:
        """Removes a file; one that is already gone is no error."""

    def delete_empty_folder(self, name: str) -> None:
        """Removes a folder if nothing is in it; where folders are not things of their own, they go by themselves."""

    def prove(self) -> None:
        """Proves that files can be created exclusively and deleted, where that is not certain.

        Raises:
            OSError: They cannot.
        """

    def delete_stale_temporaries(self, folder: str, *, older_than_seconds: float) -> None:
        """Removes what writers that were killed left below `folder`; a writer at work touches its file meanwhile."""

    def free_bytes(self) -> int | None:
        """Room that is left, in bytes; None where there is no such limit."""

    def duckdb_filesystem(self) -> object | None:
        """What DuckDB must be given to read the locations of this place; None where it reads them by itself."""
