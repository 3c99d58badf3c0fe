"""CIFAR-10 and CIFAR-100 from whichever layout a user has: official pickles, a torchvision root, or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.datasets import DatasetInfo
from search_spaces.errors import DataError
from trainers.data.cifar_parquet import check_images, find_shards, read_images, read_labels
from trainers.data.cifar_pickle import read_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Official:
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_key: str
    label_columns: tuple[str, ...]
    """Names of the label column in Parquet."""


_OFFICIAL = {
    "cifar10": _Official(
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test=("test_batch",),
        label_key="labels",
        label_columns=("label",),
    ),
    "cifar100": _Official(
        folder="cifar-100-python",
        train=("train",),
        test=("test",),
        label_key="fine_labels",
        label_columns=("fine_label", "label"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CifarFiles:
    """The files of one copy of the data."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    is_parquet: bool


def find_files(info: DatasetInfo, path: Path) -> CifarFiles:
    """Recognises the layout under `path` and checks that no file of it is missing.

    `path` is the folder with the official files, its parent (a torchvision root), or a folder with
    `train-*.parquet` and `test-*.parquet`, or its parent (a clone of the hub's repository).

    Raises:
        DataError: The folder or one of its files is missing, or the layout is none of these.
    """
    official = _OFFICIAL[info.name]
    if path.is_file():
        raise DataError(f"{path} is a file; data.path of {info.name} names a folder{_extract_hint(path)}")
    if not path.is_dir():
        raise DataError(f"data.path of {info.name} does not exist: {path}")
    for folder in (path, path / official.folder):
        if any((folder / name).exists() for name in official.train):
            return _official_files(info, folder, official)
    for folder in (path, path / "data", path / info.name):
        if any(folder.glob("train-*.parquet")):
            return _parquet_files(info, folder)
    archives = sorted(path.glob("cifar-*.tar.gz"))
    hint = _extract_hint(archives[0]) if archives else ""
    raise DataError(
        f"no {info.name} in {path}; expected {official.folder}/{official.train[0]} (official files) or"
        f" train-*.parquet (Parquet){hint}"
    )


def _extract_hint(archive: Path) -> str:
    if archive.name.endswith((".tar.gz", ".tgz")):
        return f"; extract it first: tar xzf {archive} -C {archive.parent}"
    return ""


def _official_files(info: DatasetInfo, folder: Path, official: _Official) -> CifarFiles:
    for name in (*official.train, *official.test):
        if not (folder / name).is_file():
            expected = ", ".join((*official.train, *official.test))
            raise DataError(f"{info.name} in {folder} lacks the file {name}; expected {expected}")
    return CifarFiles(
        train=tuple(folder / name for name in official.train),
        test=tuple(folder / name for name in official.test),
        is_parquet=False,
    )


def _parquet_files(info: DatasetInfo, folder: Path) -> CifarFiles:
    train, test = find_shards(folder, "train"), find_shards(folder, "test")
    if not test:
        raise DataError(f"{info.name} in {folder} has no test part; expected test-*.parquet beside train-*.parquet")
    return CifarFiles(train=tuple(train), test=tuple(test), is_parquet=True)


def check_cifar(info: DatasetInfo, path: Path) -> None:
    """Opens every file and checks its labels and images.

    Raises:
        DataError: A file is missing or damaged, or a label is out of range; the message names the file.
    """
    files = find_files(info, path)
    for file in (*files.train, *files.test):
        _checked_labels(info, file, _reader(info, files)(file))
        if files.is_parquet:
            check_images(file)


def read_cifar(info: DatasetInfo, path: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) and labels (N,) of `part` ("train" or "test"), in the order of the files.

    Raises:
        DataError: A file is missing or damaged, or a label is out of range; the message names the file.
    """
    files = find_files(info, path)
    paths = files.train if part == "train" else files.test
    label_key = _OFFICIAL[info.name].label_key
    images, labels = [], []
    for file in paths:
        if files.is_parquet:
            images.append(read_images(file))
            labels.append(_checked_labels(info, file, _reader(info, files)(file)))
        else:
            batch_images, batch_labels = read_batch(file, label_key)
            images.append(batch_images)
            labels.append(_checked_labels(info, file, batch_labels))
    return np.concatenate(images), np.concatenate(labels)


def _reader(info: DatasetInfo, files: CifarFiles) -> Callable[[Path], NDArray[np.int64]]:
    official = _OFFICIAL[info.name]
    if files.is_parquet:
        return lambda file: read_labels(file, official.label_columns)
    return lambda file: read_batch(file, official.label_key)[1]


def _checked_labels(info: DatasetInfo, file: Path, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(labels):
        raise DataError(f"{file} holds no images; expected some of {info.name}")
    wrong = labels[(labels < 0) | (labels >= info.classes)]
    if len(wrong):
        raise DataError(f"{file} has the label {wrong[0]}; the labels of {info.name} are 0 to {info.classes - 1}")
    return labels
