"""Folders of image files, one folder per class, as torchvision's ImageFolder and ImageNet's own layout have them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from search_spaces.errors import DataError
from trainers.readers.part import Index, first_places

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Files of other kinds are no images and are passed over; case does not matter."""

_TEST_FOLDERS = ("val", "validation", "valid", "test")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FolderPart:
    """Implements `trainers.readers.part.Part`; every image is a run of its own. Its name is its path in the part."""

    index: Index
    folder: Path
    classes: tuple[str, ...]
    """Names of the class folders, sorted: a class's place in here is its label."""

    def read(self, run: int, places: Sequence[int]) -> Mapping[int, bytes]:
        """The encoded image of a run, by place.

        Raises:
            DataError: The file cannot be read.
        """
        del run  # the same as its place
        return {place: self._read(place) for place in places}

    def _read(self, place: int) -> bytes:
        path = self._path(place)
        try:
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error

    def _path(self, place: int) -> Path:
        return self.folder / str(self.index.names[place])

    def where(self, place: int) -> str:
        """The file of an image, for a message."""
        return str(self._path(place))


def find_parts(root: Path) -> tuple[Path, Path | None]:
    """The folder of the training part and that of the test part; None where the root is one set without parts.

    The test part is `val` (also spelt validation or valid), or `test` where there is no such folder.

    Raises:
        DataError: There is a training part but no test part.
    """
    if not (root / "train").is_dir():
        return root, None
    for name in _TEST_FOLDERS:
        if (root / name).is_dir():
            return root / "train", root / name
    raise DataError(f"{root} has the folder train but neither val nor test beside it")


def open_folder(folder: Path) -> FolderPart:
    """The part that a folder of class folders is; folders within a class's belong to that class.

    Raises:
        DataError: It has no class folders, or one holds no images.
    """
    classes = sorted(entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith("."))
    loose = [entry.name for entry in _entries(folder) if entry.is_file() and entry.name.lower().endswith(SUFFIXES)]
    if not classes:
        found = f"{len(loose)} images in no class's folder" if loose else "neither folders nor images"
        raise DataError(f"{folder} holds {found}; expected a folder for each class, with its images")
    names: list[str] = []
    labels: list[int] = []
    sizes: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(_images(folder / name, name))
        if not files:
            raise DataError(f"{folder / name} holds no images; a class needs some ({', '.join(SUFFIXES)})")
        names += [path for path, _ in files]
        sizes += [size for _, size in files]
        labels += [label] * len(files)
    return FolderPart(
        index=Index(
            names=pa.array(names, pa.string()),
            labels=np.array(labels, dtype=np.int64),
            sizes=np.array(sizes, dtype=np.int64),
            runs=np.arange(len(names) + 1, dtype=np.int64),
            firsts=first_places(np.array(labels, dtype=np.int64)),
            rejected=tuple(f"{folder / name} lies in no class's folder" for name in sorted(loose)),
        ),
        folder=folder,
        classes=tuple(classes),
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from error


def _images(folder: Path, name: str) -> Iterator[tuple[str, int]]:
    """Path in the part and size in bytes of each image; a link to nothing has size -1 and fails when it is read."""
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _images(folder / entry.name, f"{name}/{entry.name}")
        elif entry.name.lower().endswith(SUFFIXES):
            try:
                size = entry.stat().st_size
            except FileNotFoundError:
                size = -1
            yield f"{name}/{entry.name}", size
