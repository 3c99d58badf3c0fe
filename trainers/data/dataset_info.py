"""What is known of a data set: from its name alone, and from its files without decoding an image."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.datasets import DatasetInfo, get_dataset
from search_spaces.errors import UserError
from search_spaces.recipe_info import Form
from trainers.config import DataConfig

LAYOUT_NAMES = ("imagefolder", "imagenet")
"""Data sets of image files, in any layout that `trainers.readers.layouts` knows."""

_SMALL = 64
"""Side in pixels of the largest images that recipes treat as CIFAR's."""


def is_own(name: str) -> bool:
    """Whether a data set is a function of the user's own, `package.module:function`."""
    return ":" in name


def resolve_dataset(name: str) -> DatasetInfo:
    """The record for a name of the catalogue, or of a user's own function, which is called.

    Raises:
        UserError: No data set has that name, or the function cannot be had or returns something else.
    """
    if is_own(name):
        return _own_dataset(name)
    return get_dataset(name)


def describe_dataset(config: DataConfig) -> DatasetInfo:
    """The record of a data set with the numbers of classes and images that its files have.

    Folders are listed, footers and headers of shards are read; no image is decoded.

    Raises:
        UserError: The data set is unknown, or a file is missing or damaged.
    """
    info = resolve_dataset(config.name)
    if config.name not in LAYOUT_NAMES:
        return info
    if config.path is None:
        raise UserError(f"data set {info.name} is read from files: give data.path, the folder that holds it")
    # Deferred: names must be resolved without waiting for numpy and pyarrow.
    from trainers.readers.layouts import open_layout

    layout = open_layout(config.name, config.path)
    return replace(info, classes=layout.classes, train_count=len(layout.train), test_count=len(layout.test))


def _own_dataset(name: str) -> DatasetInfo:
    # Deferred, as above.
    from trainers.data.own_data import load_own_data

    data = load_own_data(name)
    size = data.train_images.shape[2]
    return DatasetInfo(
        name=name,
        classes=data.classes,
        image_size=size,
        channels=data.train_images.shape[1],
        train_count=len(data.train_labels),
        test_count=len(data.test_labels),
        needs_path=False,
        recipe="pytorch",
        form=Form.CIFAR if size <= _SMALL else Form.IMAGENET,
        source="own code",
    )
