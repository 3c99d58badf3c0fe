"""A digest that lies within the file it covers, so that no flipped bit of a file goes unnoticed.

A file is written with 64 zeros where its SHA-256 belongs; the digest is that of the file as it is then, zeros
included, and replaces them. So it covers everything: data, page headers, footer, magic numbers. File and digest are
one file, which appears and vanishes as one, and to every other reader the digest is one more key of the metadata.
Parquet's own page checksums, which are written too, cover the data of pages only, neither their headers nor the
footer; of the readers tested only pyarrow looks at them, and only when told to.

Files without a digest are those of version 1 of the schema.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

KEY = "sha256"
PARQUET_KEY = "bocb.sha256"
_EMPTY = b"0" * 64
_JSON_MARK = f'"{KEY}": "'.encode()
_PARQUET_MARK = PARQUET_KEY.encode() + b"\x18\x40"
"""The key in the footer, then Thrift's compact encoding of `next field, a string of 64 bytes`."""
_TAIL = 8
"""Length of the footer and magic number at the end of a Parquet file."""
_CHUNK = 2**20


class Seal(Enum):
    """What a file's digest says of it."""

    INTACT = "intact"
    BROKEN = "broken"
    NONE = "none"
    """There is no digest to compare with."""


def seal_json(content: Mapping[str, Any]) -> bytes:
    """A JSON object as the content of a file, with its digest under `sha256`."""
    data = json.dumps({**content, KEY: _EMPTY.decode()}, indent=1).encode()
    return _filled(data, data.rindex(_JSON_MARK) + len(_JSON_MARK), hashlib.sha256())


def unseal_json(data: bytes) -> dict[str, Any]:
    """The object in a file that `seal_json` made, without its digest, or in one that has none.

    Raises:
        ValueError: It is no JSON object, or not the one that was written.
    """
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - the content of a file is a value
    if content.pop(KEY, None) is None:
        return content
    place = data.rfind(_JSON_MARK) + len(_JSON_MARK)
    if _digest(io.BytesIO(data), place) != data[place : place + len(_EMPTY)]:
        raise ValueError("its content does not match its SHA-256")
    return content


@contextmanager
def sealed_writer(
    file: BinaryIO, schema: pa.Schema, *, dictionaries: bool | list[str] = True
) -> Iterator[pq.ParquetWriter]:
    """A Parquet writer whose file gets its digest when the block ends; `file` is written from front to back.

    Args:
        file: Where the bytes go.
        schema: Of the rows.
        dictionaries: The columns that are written with a dictionary, or all or none.
    """
    sink = _Sink(file)
    with pq.ParquetWriter(
        sink, schema, compression="zstd", write_page_checksum=True, use_dictionary=dictionaries
    ) as writer:
        yield writer
        writer.add_key_value_metadata({PARQUET_KEY: _EMPTY.decode()})
        sink.hold_back()
    sink.finish()


def parquet_seal(file: BinaryIO) -> Seal:
    """Compares a Parquet file with its digest; reads it once, in chunks."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL))
    length = int.from_bytes(file.read(_TAIL)[:4], "little")
    start = size - _TAIL - length
    if start < 0:
        return Seal.NONE  # no Parquet file at all: whoever parses it says so
    file.seek(start)
    footer = file.read(length)
    # The last one: text of a row may stand in the footer too, as a column's minimum, but before the keys.
    mark = footer.rfind(_PARQUET_MARK)
    if mark < 0:
        return Seal.NONE
    place = mark + len(_PARQUET_MARK)
    return Seal.INTACT if _digest(file, start + place) == footer[place : place + len(_EMPTY)] else Seal.BROKEN


class _Sink(io.RawIOBase):
    """Passes on what is written and digests it, until told to hold back the end with the place for the digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._held: bytearray | None = None
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._position += len(content)
        if self._held is not None:
            self._held += content
        else:
            self._sha256.update(content)
            self._file.write(content)
        return len(content)

    def hold_back(self) -> None:
        """Keeps what follows: at most a row group and the footer."""
        self._held = bytearray()

    def finish(self) -> None:
        """Writes what was held back, digest filled in."""
        data = bytes(self._held or b"")
        self._file.write(_filled(data, data.rindex(_PARQUET_MARK) + len(_PARQUET_MARK), self._sha256))


def _filled(data: bytes, place: int, before: hashlib._Hash) -> bytes:
    """The data with the digest of `before` and itself in place of the zeros."""
    before.update(data)
    return data[:place] + before.hexdigest().encode() + data[place + len(_EMPTY) :]


def _digest(file: BinaryIO, place: int) -> bytes:
    """The digest of a file with zeros at `place`, as hexadecimal digits."""
    sha256 = hashlib.sha256()
    file.seek(0)
    done = 0
    while done < place:
        chunk = file.read(min(_CHUNK, place - done))
        if not chunk:
            break
        sha256.update(chunk)
        done += len(chunk)
    file.seek(len(_EMPTY), io.SEEK_CUR)
    sha256.update(_EMPTY)
    while chunk := file.read(_CHUNK):
        sha256.update(chunk)
    return sha256.hexdigest().encode()
