"""Images as uint8 arrays, their splits, and a digest of both; kept for the life of a worker process."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.datasets import DatasetInfo, get_dataset
from search_spaces.errors import UserError
from trainers.cifar import check_cifar, read_cifar
from trainers.config import DataConfig, TrainOn, Validation

_DIGITS_TEST_FRACTION = 1 / 6
_DIGITS_TEST_SEED = 0

_CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
_CIFAR_STD = (0.2023, 0.1994, 0.2010)
"""The constants of the paper's configs, for CIFAR-100 and CIFAR-10 alike."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageSet:
    """Some labelled images."""

    images: NDArray[np.uint8]
    """(N, C, H, W)"""
    labels: NDArray[np.int64]
    """(N,)"""

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.int64]) -> ImageSet:
        """The images at some places, as a copy."""
        return ImageSet(images=self.images[indices], labels=self.labels[indices])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialData:
    """What one trial trains on, selects on and reports."""

    info: DatasetInfo
    train: ImageSet
    validation: ImageSet
    """What the `val_` numbers are measured on: the test part where the config says so."""
    test: ImageSet
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    sha256: str
    """Digest of every image and label, and of which are trained on and which are validated on."""


def check_data(config: DataConfig) -> None:
    """Checks a data section before anything starts: names, files, labels, split; decodes no images.

    Raises:
        UserError: Something is wrong with it; the message names the field or the file.
    """
    info = get_dataset(config.name)
    if info.needs_path and config.path is None:
        raise UserError(f"data set {info.name} is read from files: give data.path, the folder that holds it")
    if config.image_size is not None and config.image_size < 1:
        raise UserError(f"data.image_size must be at least 1 pixel; got {config.image_size}")
    if config.validation is Validation.SPLIT and not 0 < config.validation_fraction < 1:
        raise UserError(f"data.validation_fraction must lie between 0 and 1; got {config.validation_fraction}")
    per_class = info.train_count / info.classes
    if config.validation is Validation.SPLIT and not 0 < round(config.validation_fraction * per_class) < per_class:
        raise UserError(
            f"data.validation_fraction = {config.validation_fraction} leaves no image to train or to validate on: "
            f"{info.name} has about {per_class:.0f} training images per class"
        )
    if info.needs_path:
        check_cifar(info, Path(str(config.path)))


# One process trains on one data set; a second entry serves a spec's next run, a third only costs memory.
@functools.lru_cache(maxsize=2)
def load_trial_data(config: DataConfig, train_on: TrainOn) -> TrialData:
    """The parts a trial uses: the same for every trial with an equal config, whatever its seed.

    Raises:
        UserError: The data set is unknown, cannot be read, or leaves a part empty.
    """
    info = get_dataset(config.name)
    train, test = _load(info, config.path)
    mean, std = _statistics(info, train)
    everything = np.arange(len(train))
    if config.validation is Validation.TEST:
        chosen, held_out = everything, everything[:0]
    else:
        chosen, held_out = split_indices(train.labels, config.validation_fraction, config.split_seed)
    if not len(chosen) or (config.validation is Validation.SPLIT and not len(held_out)):
        raise UserError(
            f"validation_fraction = {config.validation_fraction} of {len(train)} images of {info.name} leaves"
            f" {len(chosen)} to train on and {len(held_out)} to validate on; both must be above 0"
        )
    on_test = config.validation is Validation.TEST or train_on is TrainOn.ALL
    trained = everything if on_test else chosen
    return TrialData(
        info=info,
        train=train if on_test else train.subset(trained),
        validation=test if on_test else train.subset(held_out),
        test=test,
        mean=mean,
        std=std,
        sha256=_digest(train, test, trained, everything[:0] if on_test else held_out),
    )


def split_indices(
    labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the images to keep and of those to hold out, both ascending.

    In each class, images are ordered by a hash of (seed, place) and the first `fraction` of them, rounded, are held
    out. So the split is balanced, and a function of seed and places alone.
    """
    held_out: list[int] = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label).tolist()
        places.sort(key=lambda place: hashlib.sha256(f"split/{seed}/{place}".encode()).digest())
        held_out += places[: round(fraction * len(places))]
    mask = np.zeros(len(labels), dtype=bool)
    mask[held_out] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


# The decoded files; split apart from them so that another validation fraction does not decode again.
@functools.lru_cache(maxsize=1)
def _load(info: DatasetInfo, path: str | None) -> tuple[ImageSet, ImageSet]:
    if info.name == "digits":
        return _load_digits()
    if path is None or not info.needs_path:
        raise UserError(f"data set {info.name} cannot be loaded as images from {path!r}")
    train, test = (read_cifar(info, Path(path), part) for part in ("train", "test"))
    return ImageSet(images=train[0], labels=train[1]), ImageSet(images=test[0], labels=test[1])


def _load_digits() -> tuple[ImageSet, ImageSet]:
    """scikit-learn's digits, its 0..16 spread over 0..255, a sixth of each class held out as the test part."""
    # Deferred: scikit-learn takes a second to import, and only this data set needs it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    everything = ImageSet(images=images, labels=digits.target.astype(np.int64))
    kept, held_out = split_indices(everything.labels, _DIGITS_TEST_FRACTION, _DIGITS_TEST_SEED)
    return everything.subset(kept), everything.subset(held_out)


def _statistics(info: DatasetInfo, train: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if info.name.startswith("cifar"):
        return _CIFAR_MEAN, _CIFAR_STD
    pixels = train.images / 255
    return tuple(pixels.mean(axis=(0, 2, 3)).tolist()), tuple(pixels.std(axis=(0, 2, 3)).tolist())


def _digest(train: ImageSet, test: ImageSet, trained: NDArray[np.int64], held_out: NDArray[np.int64]) -> str:
    digest = hashlib.sha256()
    for array in (train.images, train.labels, test.images, test.labels, trained, held_out):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
