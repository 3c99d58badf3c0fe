"""Where results are kept: a store is a folder of sweeps, or a prefix in an object store."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orchestrator.errors import StoreError, UsageError
from orchestrator.store.files import Files, describe
from orchestrator.store.local_files import LocalFiles
from orchestrator.store.paths import SWEEP_NAME, SweepPaths
from orchestrator.store.schema import ROW_TYPES
from search_spaces.errors import unknown_name

DEFAULT_STORE = "./bocb-store"
OBJECT_SCHEME = "s3://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStore:
    """The files of one sweep, whether or not there are any yet."""

    paths: SweepPaths
    files: Files

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.paths.sweep

    def exists(self) -> bool:
        """Whether anything was ever recorded: a driver's claim, or a row (a copied sweep may lack its drivers)."""
        folders = (self.paths.drivers, *(self.paths.table(row_type) for row_type in ROW_TYPES))
        return any(self.files.names(folder) for folder in folders)


class Store:
    """The sweeps below one folder, or one prefix."""

    def __init__(self, uri: str) -> None:
        """Opens a store without looking at it; `uri` is the `files.root` of one that `open_store` gave."""
        self.uri = uri
        self.files = _files_at(uri)

    def sweeps(self) -> list[str]:
        """Names of the sweeps in the store, sorted."""
        return [name for name in self.files.names() if SWEEP_NAME.fullmatch(name) and self.sweep(name).exists()]

    def sweep(self, name: str) -> SweepStore:
        """A sweep, existing or not.

        Raises:
            UsageError: The name cannot be a sweep's.
        """
        return SweepStore(paths=SweepPaths(name), files=self.files)

    def existing_sweep(self, name: str) -> SweepStore:
        """A sweep to read.

        Raises:
            UsageError: There is none of this name; the message names those there are.
        """
        sweep = self.sweep(name)
        if sweep.exists():
            return sweep
        known = self.sweeps()
        if not known:
            raise UsageError(f"unknown sweep {name!r}; the store {self.uri} holds no sweeps")
        raise UsageError(f"{unknown_name('sweep', name, known)} (in the store {self.uri})")


def open_store(uri: str | None = None, *, create: bool = False) -> Store:
    """The store at `uri`, else at BOCB_STORE, else at ./bocb-store.

    Args:
        uri: A local path, a file:// URI or an s3:// URI.
        create: Prove that it can be written, or made where there is none; whether or not, nothing is left behind.

    Raises:
        StoreError: It cannot be a store, or not be read, or (with `create`) not be written.
    """
    given = uri if uri is not None else os.environ.get("BOCB_STORE") or DEFAULT_STORE
    if not given:
        raise UsageError("--store is empty; give a folder or a URI, or leave it out")
    if given.lower().startswith(OBJECT_SCHEME):
        return _open_object_store(given, create=create)
    return _open_folder(given, create=create)


def _open_folder(given: str, *, create: bool) -> Store:
    path = _local_path(given)
    try:
        if path.exists() and not path.is_dir():
            raise StoreError(f"the store {given!r} is a file; give a folder")
        # A store that is to be made needs the nearest folder that is there: nothing is made until it is needed.
        folder = next(place for place in (path, *path.parents) if place.exists()) if create else path
        if create and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        wanted = os.R_OK | os.X_OK | (os.W_OK if create else 0)
        if folder.exists() and not os.access(folder, wanted):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        verb = "written" if create else "read"
        raise StoreError(f"the store {given!r} cannot be {verb}: {describe(error)}") from error
    return Store(str(path))


def _open_object_store(given: str, *, create: bool) -> Store:
    store = Store(OBJECT_SCHEME + given[len(OBJECT_SCHEME) :].rstrip("/"))
    try:
        store.files.is_folder()
        if create:
            store.files.prove()
    except OSError as error:
        verb = "written" if create else "read"
        raise StoreError(f"the store {given!r} cannot be {verb}: {describe(error)}") from error
    return store


def _files_at(uri: str) -> Files:
    """The one place that knows which kinds of stores there are."""
    if not uri.startswith(OBJECT_SCHEME):
        return LocalFiles(uri)
    # Deferred: it is an extra, and takes a second to import.
    try:
        from orchestrator.store.object_files import ObjectFiles
    except ImportError as error:
        raise StoreError(
            f"the store {uri!r} needs {error.name}, which is not installed: pip install 'bocb[s3]'"
        ) from error
    return ObjectFiles(uri)


def _local_path(given: str) -> Path:
    if "\0" in given:
        raise StoreError(f"the store {given!r} is not a path")
    if "://" not in given and not given.startswith("file:"):
        return Path(given).expanduser().absolute()
    parts = urlsplit(given) if _SCHEME.match(given) else None
    if parts is None or parts.scheme.lower() != "file":
        raise StoreError(
            f"the store {given!r} is of a kind that is not supported: give a folder, a file:// URI, or "
            "s3://bucket/prefix (AWS_ENDPOINT_URL names a store that is not Amazon's)"
        )
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise StoreError(f"the store {given!r} is not a local file URI; write file:///absolute/path")
    return Path(unquote(parts.path))
