"""Recognises the layout of a data set of image files and opens its parts."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.errors import DataError
from trainers.readers.image_folder import FolderPart, find_parts, open_folder
from trainers.readers.location import local_folder
from trainers.readers.parquet_shards import described_classes, open_parquet
from trainers.readers.part import EncodedSet, Part, hash_split, whole
from trainers.readers.shards import TEST, TRAIN, find_shards
from trainers.readers.tar_shards import open_tar

_TEST_FRACTION = 0.1
"""Of a folder without parts; it is held out by a hash of the images' names."""
_TEST_SEED = 0
_IMAGENET = 1000
_SYNSET = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """The two official parts of a data set."""

    train: EncodedSet
    test: EncodedSet
    classes: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the images of both lie."""
        return (self.train.part,) if self.test.part is self.train.part else (self.train.part, self.test.part)

    @property
    def rejected(self) -> tuple[str, ...]:
        """Sentences on samples that are left out because their label cannot be used."""
        return tuple(sentence for part in self.parts for sentence in part.index.rejected)


# A sweep has one data set; a listing of a million files takes a while.
@functools.lru_cache(maxsize=2)
def open_layout(name: str, path: str) -> Layout:
    """Finds tar shards, Parquet shards or class folders, in this order, and opens both parts.

    Args:
        name: "imagenet" wants the 1000 classes of ImageNet-1K, "imagefolder" takes what there is.
        path: A folder, or the URI of one with shards.

    Raises:
        DataError: There is no such layout, a file of it is missing or damaged, or classes do not fit.
    """
    folder = local_folder(path)
    classes = _IMAGENET if name == "imagenet" else None
    if shards := find_shards(path, ".tar"):
        return _of_parts(open_tar(shards[TRAIN], classes), open_tar(shards[TEST], classes), classes)
    if shards := find_shards(path, ".parquet"):
        train, test = open_parquet(shards[TRAIN], classes), open_parquet(shards[TEST], classes)
        return _of_parts(train, test, classes or described_classes(train))
    if folder is None:
        raise DataError(f"{path} has neither *train*.tar nor *train*.parquet; of a URI only shards are read")
    train_folder, test_folder = find_parts(folder)
    train_part = open_folder(train_folder)
    if classes is not None:
        _check_synsets(train_part)
    if test_folder is not None:
        test_part = open_folder(test_folder)
        _check_same_classes(train_part, test_part)
        return _of_parts(train_part, test_part, len(train_part.classes))
    everything = whole(train_part)
    kept, held_out = hash_split(everything, _TEST_FRACTION, stream="test", seed=_TEST_SEED)
    return Layout(train=everything.subset(kept), test=everything.subset(held_out), classes=len(train_part.classes))


def _of_parts(train: Part, test: Part, classes: int | None) -> Layout:
    """Both parts whole; where nothing says how many classes there are, the labels do."""
    labels = np.concatenate([train.index.labels, test.index.labels])
    return Layout(
        train=whole(train), test=whole(test), classes=classes or (int(labels.max()) + 1 if len(labels) else 0)
    )


def _check_synsets(part: FolderPart) -> None:
    wrong = [name for name in part.classes if not _SYNSET.fullmatch(name)]
    if wrong:
        raise DataError(
            f"{part.folder / wrong[0]} is no folder of an ImageNet class (n01440764 and so on); for other images"
            ' take data.name = "imagefolder"'
        )
    if len(part.classes) != _IMAGENET:
        raise DataError(
            f"{part.folder} has {len(part.classes)} classes; ImageNet-1K has {_IMAGENET} (for a part of it take"
            ' data.name = "imagefolder")'
        )


def _check_same_classes(train: FolderPart, test: FolderPart) -> None:
    for one, other in ((train, test), (test, train)):
        missing = sorted(set(one.classes) - set(other.classes))
        if missing:
            raise DataError(f"{other.folder} lacks the class {missing[0]}, which {one.folder} has{_more(missing)}")


def _more(missing: Sequence[str]) -> str:
    return f" ({len(missing)} such classes)" if len(missing) > 1 else ""
