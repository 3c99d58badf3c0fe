"""One pass over the headers of a WebDataset shard: which images it has, where, and with which labels.

Written on tarfile and not on the webdataset library: that one decodes pickled members and runs commands that a URL
names, and can neither say how many images there are nor begin in the middle.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from search_spaces.errors import DataError
from trainers.readers.location import StoredFile
from trainers.readers.shards import SHARD_ERRORS, shard_error

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "ppm", "tif", "tiff")
_LABEL_EXTENSIONS = ("cls", "json")
_LONGEST_LABEL = 2**20
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One sample of a shard."""

    key: str
    """The names of its members up to the first dot of the last part."""
    offset: int
    """Where the bytes of its image begin in the shard."""
    size: int
    label: int
    reason: str | None = None
    """Why it cannot be used, where it cannot."""


@dataclass(slots=True, kw_only=True)
class _Sample:
    """What was seen so far of the members of one key."""

    key: str
    image: tarfile.TarInfo | None = None
    labels: list[int] | None = None
    reason: str | None = None

    def finished(self) -> Member:
        labels, image = self.labels or [], self.image
        reason = self.reason
        if reason is None and image is None:
            reason = f"has no image (.{', .'.join(IMAGE_EXTENSIONS)})"
        if reason is None and not labels:
            reason = "has no label (.cls, or .json with a whole number under label)"
        return Member(
            key=self.key,
            offset=image.offset_data if image else 0,
            size=image.size if image else 0,
            label=labels[0] if labels else -1,
            reason=reason,
        )


def scan(shard: StoredFile) -> list[Member]:
    """The samples of a shard, in its order; the members of a sample must stand next to each other.

    Nothing is extracted, and no name of a member ever becomes a path.

    Raises:
        DataError: The shard is damaged or cut short.
    """
    try:
        with shard.open_buffered() as file, tarfile.open(fileobj=file, mode="r:") as archive:
            found = [sample.finished() for sample in _samples(archive)]
            _check_end(file, archive)
    except (*SHARD_ERRORS, tarfile.TarError) as error:
        raise shard_error(shard, "a tar archive", error) from error
    if not found:
        raise DataError(f"{shard.shown} holds no samples; expected images beside labels (KEY.jpg, KEY.cls)")
    return found


def _samples(archive: tarfile.TarFile) -> Iterator[_Sample]:
    sample: _Sample | None = None
    seen: set[str] = set()
    for member in archive:
        folder, slash, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        key = f"{folder}{slash}{stem}"
        if member.isdir() or (stem.startswith("__") and stem.endswith("__")) or not stem:
            continue
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key=key, reason="comes twice" if key in seen else None)
            seen.add(key)
        _add(sample, archive, member, extension.lower())
    if sample is not None:
        yield sample


def _add(sample: _Sample, archive: tarfile.TarFile, member: tarfile.TarInfo, extension: str) -> None:
    if extension not in (*IMAGE_EXTENSIONS, *_LABEL_EXTENSIONS):
        return
    if not member.isreg() or member.issparse():
        sample.reason = f"has a member that is no plain file: {member.name}"
    elif extension in IMAGE_EXTENSIONS:
        if sample.image is not None:
            sample.reason = f"has two images: {sample.image.name} and {member.name}"
        sample.image = member
    elif (label := _label(archive, member, extension)) is not None:
        # A label that stands in two forms must be the same in both.
        sample.labels = [*(sample.labels or []), label]
        if len(set(sample.labels)) > 1:
            sample.reason = f"has two labels: {sample.labels[0]} and {label}"
    elif extension == "cls":
        sample.reason = f"has no whole number in {member.name}"


def _label(archive: tarfile.TarFile, member: tarfile.TarInfo, extension: str) -> int | None:
    file = archive.extractfile(member) if member.size <= _LONGEST_LABEL else None
    content = file.read() if file is not None else b""
    try:
        label: object = int(content) if extension == "cls" else json.loads(content)["label"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return label if isinstance(label, int) and not isinstance(label, bool) and abs(label) < 2**62 else None


def _check_end(file: BinaryIO, archive: tarfile.TarFile) -> None:
    """Refuses an archive that ends without its mark: tarfile takes a damaged header, or none, for the end."""
    file.seek(archive.offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"it is cut short at byte {archive.offset}")
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"the header at byte {archive.offset} is damaged")
