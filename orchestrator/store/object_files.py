"""A store in an object store: S3, and what speaks its protocol.

Objects have no folders and no rename, and a store in another room loses answers. So content goes up in one piece; an
exclusive create is the store's own (`If-None-Match: *`), and carries a mark by which a writer knows its own object
when the answer to an earlier try was lost. Nothing temporary is ever in the store: content is gathered here first.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Any, BinaryIO, cast

import s3fs

from orchestrator.errors import StoreError
from orchestrator.store.object_reads import ObjectEnd, StoreFilesystem
from orchestrator.store.object_requests import answer_code, requested

TAIL_BYTES = 2**20
"""The last bytes of an object come with its first request: all of a small one, the footer of a large Parquet file."""
BLOCK_BYTES = 2**20
CHUNK_BYTES = 256 * 2**20
"""Objects of twice this size and more go up in chunks of it."""
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0

_ROOT = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*)*")
_MARK = "bocb-writer"


def object_root(uri: str) -> str:
    """The root of a store that a URI names, without a slash at its end.

    Raises:
        StoreError: It names no bucket, or holds what could be read as something else.
    """
    root = uri.rstrip("/")
    if _ROOT.fullmatch(root):
        return root
    raise StoreError(
        f"the store {uri!r} is not s3://bucket/prefix with a prefix of letters, digits and ._=+@- "
        "no part of which begins with a dot"
    )


class ObjectFiles:
    """The objects below a prefix, as `Files` promises them.

    What may pass is tried again within each method; `object_requests.requested` says what is raised at last.
    """

    flush_seconds = 60.0

    def __init__(self, root: str) -> None:
        self.root = object_root(root)
        self._bucket, _, self._prefix = self.root.removeprefix("s3://").partition("/")
        self._store = _connection()

    def location(self, name: str = "") -> str:
        """The URI of an object."""
        return f"{self.root}/{name}" if name else self.root

    def local_path(self, name: str) -> Path | None:  # noqa: ARG002 - the protocol's signature
        """None: an object lies on no file system."""
        return None

    def name_at(self, location: str) -> str:
        """The name of which `location` is the URI.

        Raises:
            OSError: It is not below the root.
        """
        name = location.removeprefix(self.root + "/")
        self._key(name)
        if self.location(name) != location:
            raise OSError(EINVAL, f"not in the store {self.root}", location)
        return name

    def names(self, folder: str = "") -> list[str]:
        """What lies one level below a folder, sorted; asked of the store each time."""
        prefix = self._folder_key(folder)
        found: set[str] = set()
        page: dict[str, Any] = {}
        while True:
            token = page.get("NextContinuationToken")
            more = {"ContinuationToken": token} if token else {}
            page = self._ask("list_objects_v2", folder, Prefix=prefix, Delimiter="/", **more)
            found |= {item["Key"].removeprefix(prefix) for item in page.get("Contents", ())}
            found |= {item["Prefix"].removeprefix(prefix)[:-1] for item in page.get("CommonPrefixes", ())}
            if not page.get("IsTruncated"):
                return sorted(found - {""})  # other tools mark a folder by an object of that name

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        try:
            self._ask("head_object", name, Key=self._key(name))
        except FileNotFoundError:
            return False
        return True

    def is_folder(self, name: str = "") -> bool:
        """Whether anything lies below that name."""
        return bool(self._ask("list_objects_v2", name, Prefix=self._folder_key(name), MaxKeys=1).get("Contents"))

    def size(self, name: str) -> int:
        """Length of an object in bytes."""
        return int(self._ask("head_object", name, Key=self._key(name))["ContentLength"])

    def read(self, name: str) -> bytes:
        """The whole content of an object."""
        return self.read_range(name, 0, None)

    def read_range(self, name: str, start: int, end: int | None) -> bytes:
        """The bytes from `start` up to `end`; a negative `start` without an `end` means the last bytes."""
        path = self._path(name)
        try:
            return bytes(requested(lambda: self._store.cat_file(path, start=start, end=end), self.location(name)))
        except OSError as error:
            if error.__cause__ is not None and answer_code(error.__cause__) == "InvalidRange":
                return b""  # an empty object has no range
            raise

    def end_of(self, name: str) -> ObjectEnd:
        """The end of an object: one request for a small one, two for a large one."""
        tail = self.read_range(name, -TAIL_BYTES, None)
        return ObjectEnd(size=len(tail) if len(tail) < TAIL_BYTES else self.size(name), tail=tail)

    def open(self, name: str) -> BinaryIO:
        """An object for reading; of a large one only what is read is fetched."""
        return self.open_at(name, self.end_of(name))

    def open_at(self, name: str, end: ObjectEnd) -> BinaryIO:
        """As `open`, for an object whose end is known already."""
        if end.size == len(end.tail):
            return io.BytesIO(end.tail)
        return io.BufferedReader(_Ranges(self, name, end), BLOCK_BYTES)

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces an object."""
        path = self._path(name)
        requested(lambda: self._store.pipe_file(path, data, chunksize=CHUNK_BYTES), self.location(name))

    def create(self, name: str, data: bytes) -> None:
        """Writes an object that must not exist yet.

        Raises:
            FileExistsError: Another writer has the name.
        """
        path = self._path(name)
        self._create(name, lambda how: self._store.pipe_file(path, data, chunksize=CHUNK_BYTES, **how))

    @contextmanager
    def new_file(self, name: str) -> Iterator[BinaryIO]:
        """A local temporary file, which goes up when the block ends without an exception.

        Raises:
            FileExistsError: On leaving the block: another writer has the name.
        """
        path = self._path(name)
        with tempfile.NamedTemporaryFile(prefix="bocb-upload-") as file:
            yield cast("BinaryIO", file)
            file.flush()
            self._create(name, lambda how: self._store.put_file(file.name, path, chunksize=CHUNK_BYTES, **how))

    def delete(self, name: str) -> None:
        """Removes an object; one that is already gone is no error."""
        self._ask("delete_object", name, Key=self._key(name))

    def delete_empty_folder(self, name: str) -> None:
        """Nothing to do: a folder goes with its last object."""

    def delete_stale_temporaries(self, folder: str, *, older_than_seconds: float) -> None:
        """Nothing to do: none are made."""

    def free_bytes(self) -> None:
        """None: there is no limit."""

    def duckdb_filesystem(self) -> object:
        """A read-only file system of these objects and no others."""
        return StoreFilesystem(self)

    def prove(self) -> None:
        """Proves that objects can be made and deleted, and that a second create of a name is refused.

        Some stores that speak S3 ignore `If-None-Match`; two drivers there could both hold a sweep.

        Raises:
            OSError: They cannot, or it is not.
        """
        name = f".probe-{uuid.uuid4().hex}"
        self.create(name, b"first")
        try:
            self.create(name, b"second")
        except FileExistsError:
            return
        finally:
            self.delete(name)
        raise OSError(EINVAL, "the object store ignores If-None-Match, so two drivers could run one sweep", self.root)

    def _create(self, name: str, upload: Callable[[dict[str, Any]], None]) -> None:
        mark = uuid.uuid4().hex
        try:
            requested(lambda: upload({"mode": "create", "Metadata": {_MARK: mark}}), self.location(name))
        except FileExistsError:
            # Also libraries below repeat a request whose connection broke, so any try may have been a second one.
            if self._ask("head_object", name, Key=self._key(name)).get("Metadata", {}).get(_MARK) != mark:
                raise

    def _ask(self, operation: str, name: str, **parameters: Any) -> dict[str, Any]:
        def request() -> dict[str, Any]:
            answer: dict[str, Any] = self._store.call_s3(operation, Bucket=self._bucket, **parameters)
            return answer

        return requested(request, self.location(name))

    def _key(self, name: str) -> str:
        parts = name.split("/")
        if any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts):
            raise OSError(EINVAL, "not a name of an object in the store", self.location(name))
        return f"{self._prefix}/{name}" if self._prefix else name

    def _folder_key(self, name: str) -> str:
        key = self._key(name) if name else self._prefix
        return f"{key}/" if key else ""

    def _path(self, name: str) -> str:
        return f"{self._bucket}/{self._key(name)}"


class _Ranges(io.RawIOBase):
    """A large object, of which each read fetches a range."""

    def __init__(self, files: ObjectFiles, name: str, end: ObjectEnd) -> None:
        super().__init__()
        self._files = files
        self._name = name
        self._end = end
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        stop = min(self._position + len(buffer), self._end.size)
        if stop <= self._position:
            return 0
        first = self._end.size - len(self._end.tail)
        if self._position >= first:
            data = self._end.tail[self._position - first : stop - first]
        else:
            data = self._files.read_range(self._name, self._position, stop)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _connection() -> Any:
    """The connection to the store that the standard AWS variables name; equal settings share one."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    store = s3fs.S3FileSystem(
        endpoint_url=endpoint,  # botocore reads these by itself; given, they tell one connection from another
        use_listings_cache=False,
        config_kwargs={
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": ANSWER_SECONDS,
            "retries": {"max_attempts": 0},
        },
    )
    store.retries = 1
    return store
