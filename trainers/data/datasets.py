"""The parts of a data set, their splits, and a digest of both; kept for the life of a worker process.

Data sets that fit the device are uint8 arrays. Data sets of image files are decoded each time an image comes, also
small ones: a random resized crop is taken from the original, whatever its size.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.datasets import DatasetInfo
from search_spaces.errors import UserError
from trainers.config import DataConfig, TrainOn, Validation
from trainers.data.cifar import check_cifar, read_cifar
from trainers.data.dataset_info import LAYOUT_NAMES, describe_dataset, is_own, resolve_dataset
from trainers.data.own_data import load_own_data
from trainers.imports import check_source
from trainers.readers.layouts import open_layout
from trainers.readers.part import EncodedSet, check_limit, hash_split

_DIGITS_TEST_FRACTION = 1 / 6
_DIGITS_TEST_SEED = 0

_CIFAR_MEAN = (0.4914, 0.4822, 0.4465)
_CIFAR_STD = (0.2023, 0.1994, 0.2010)
"""The constants of the paper's configs, for CIFAR-100 and CIFAR-10 alike."""
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
"""What everybody normalises photographs by; images that are decoded on the way are not all seen beforehand."""


_BLOCK = 1024
"""Images that are looked at together where all would be too many."""


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
    train: ImageSet | EncodedSet
    validation: ImageSet | EncodedSet
    """What the `val_` numbers are measured on: the test part where the config says so."""
    test: ImageSet | EncodedSet
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    sha256: str
    """Digest of every image and label, and of which are trained on and which are validated on. Of an image that is
    decoded on the way its name and size in bytes stand for it."""


def check_data(config: DataConfig) -> None:
    """Checks a data section before anything starts: names, files, labels, split.

    Of image files, one of each class or shard is decoded.

    Raises:
        UserError: Something is wrong with it; the message names the field or the file.
    """
    info = resolve_dataset(config.name)
    if info.needs_path and config.path is None:
        raise UserError(f"data set {info.name} is read from files: give data.path, the folder that holds it")
    if config.image_size is not None and config.image_size < 1:
        raise UserError(f"data.image_size must be at least 1 pixel; got {config.image_size}")
    if config.validation is Validation.SPLIT and not 0 < config.validation_fraction < 1:
        raise UserError(f"data.validation_fraction must lie between 0 and 1; got {config.validation_fraction}")
    info = describe_dataset(config)
    if not info.train_count or not info.test_count:
        raise UserError(
            f"{info.name} has {info.train_count} training and {info.test_count} test images; it needs both"
        )
    per_class = info.train_count / info.classes
    if config.validation is Validation.SPLIT and not 0 < round(config.validation_fraction * per_class) < per_class:
        raise UserError(
            f"data.validation_fraction = {config.validation_fraction} leaves no image to train or to validate on: "
            f"{info.name} has about {per_class:.0f} training images per class"
        )
    if info.name in LAYOUT_NAMES:
        # Deferred: decoding brings torch, which takes seconds to import and which other data is checked without.
        from trainers.data.image_checks import check_layout

        check_layout(open_layout(info.name, str(config.path)), config.max_bad_samples)
    elif info.needs_path:
        check_cifar(info, Path(str(config.path)))


# One process trains on one data set; a second entry serves a spec's next run, a third only costs memory.
@functools.lru_cache(maxsize=2)
def load_trial_data(config: DataConfig, train_on: TrainOn) -> TrialData:
    """The parts a trial uses: the same for every trial with an equal config, whatever its seed.

    Raises:
        UserError: The data set is unknown, cannot be read, leaves a part empty, or is a function whose source is not
            the one that was planned with.
    """
    check_source(config.name, config.source_sha256, purpose=f"data set {config.name}")
    info = describe_dataset(config)
    if info.name in LAYOUT_NAMES:
        return _load_encoded(info, config, train_on)
    train, test = _load(info, config.path)
    mean, std = _statistics(info, train)
    everything = np.arange(len(train))
    if config.validation is Validation.TEST:
        chosen, held_out = everything, everything[:0]
    else:
        chosen, held_out = split_indices(train.labels, config.validation_fraction, config.split_seed)
    _check_split(info, config, chosen, held_out)
    on_test = _is_on_test(config, train_on)
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


def _load_encoded(info: DatasetInfo, config: DataConfig, train_on: TrainOn) -> TrialData:
    layout = open_layout(info.name, str(config.path))
    check_limit(layout.rejected, config.max_bad_samples, during="the data set")
    train, test = layout.train, layout.test
    everything = np.arange(len(train))
    if config.validation is Validation.TEST:
        chosen, held_out = everything, everything[:0]
    else:
        chosen, held_out = hash_split(train, config.validation_fraction, stream="split", seed=config.split_seed)
    _check_split(info, config, chosen, held_out)
    on_test = _is_on_test(config, train_on)
    validation = test if on_test else train.subset(held_out)
    train = train if on_test else train.subset(chosen)
    return TrialData(
        info=info,
        train=train,
        validation=validation,
        test=test,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        sha256=_encoded_digest(train, validation, test),
    )


def _is_on_test(config: DataConfig, train_on: TrainOn) -> bool:
    """Whether nothing of the training part is left to validate on."""
    return config.validation is Validation.TEST or train_on is TrainOn.ALL


def _check_split(
    info: DatasetInfo, config: DataConfig, chosen: NDArray[np.int64], held_out: NDArray[np.int64]
) -> None:
    if len(chosen) and (config.validation is Validation.TEST or len(held_out)):
        return
    raise UserError(
        f"validation_fraction = {config.validation_fraction} of {len(chosen) + len(held_out)} images of {info.name}"
        f" leaves {len(chosen)} to train on and {len(held_out)} to validate on; both must be above 0"
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
    if is_own(info.name):
        own = load_own_data(info.name)
        return (
            ImageSet(images=own.train_images, labels=own.train_labels),
            ImageSet(images=own.test_images, labels=own.test_labels),
        )
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
    counts = _level_counts(train.images)
    total = counts[0].sum()
    levels = np.arange(256) / 255
    mean = counts @ levels / total
    std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total)
    return tuple(mean.tolist()), tuple(std.tolist())


def _level_counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(C, 256) pixels of each level; block by block, because all of them as floats could outgrow the memory."""
    counts = np.zeros((images.shape[1], 256), dtype=np.int64)
    for start in range(0, len(images), _BLOCK):
        for channel, pixels in enumerate(images[start : start + _BLOCK].swapaxes(0, 1)):
            counts[channel] += np.bincount(pixels.ravel(), minlength=256)
    return counts


def _digest(train: ImageSet, test: ImageSet, trained: NDArray[np.int64], held_out: NDArray[np.int64]) -> str:
    digest = hashlib.sha256()
    for array in (train.images, train.labels, test.images, test.labels, trained, held_out):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _encoded_digest(*sets: EncodedSet) -> str:
    digest = hashlib.sha256()
    # Two of them are often of one part, and its digest takes seconds where it has a million images.
    indexes = {id(images.part): images.part.index for images in sets}
    parts = {key: index.digest() for key, index in indexes.items()}
    for images in sets:
        digest.update(parts[id(images.part)] + images.places.tobytes())
    return digest.hexdigest()
