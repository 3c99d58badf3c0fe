"""The data sets that can be swept on, as data; `trainers.data.datasets` reads them."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces.errors import unknown_name
from search_spaces.recipe_info import Form


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """One data set: its shape, and whether a spec must say where its files are."""

    name: str
    classes: int
    """0 where only the files say it; `trainers.data.dataset_info.describe_dataset` asks them."""
    image_size: int
    """Side in pixels; of images of many sizes, what they are brought to unless a spec says otherwise."""
    channels: int
    train_count: int
    """0 where only the files say it, and so is `test_count`."""
    test_count: int
    needs_path: bool
    recipe: str
    """The recipe of a sweep that names none."""
    form: Form = Form.CIFAR
    """Which form of a recipe it takes."""
    source: str = ""


DATASETS: tuple[DatasetInfo, ...] = (
    DatasetInfo(
        name="digits",
        classes=10,
        image_size=8,
        channels=1,
        train_count=1498,
        test_count=299,
        needs_path=False,
        recipe="digits",
        source="scikit-learn load_digits (part of UCI optdigits), comes with the installation",
    ),
    DatasetInfo(
        name="synthetic",
        classes=10,
        image_size=8,
        channels=1,
        train_count=1000,
        test_count=1000,
        needs_path=False,
        recipe="digits",
        source="no images: learning curves with planted coupling (trainers.synthetic)",
    ),
    DatasetInfo(
        name="cifar10",
        classes=10,
        image_size=32,
        channels=3,
        train_count=50_000,
        test_count=10_000,
        needs_path=True,
        recipe="pytorch",
        source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    DatasetInfo(
        name="cifar100",
        classes=100,
        image_size=32,
        channels=3,
        train_count=50_000,
        test_count=10_000,
        needs_path=True,
        recipe="pytorch",
        source="Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html; fine labels",
    ),
    DatasetInfo(
        name="imagefolder",
        classes=0,
        image_size=224,
        channels=3,
        train_count=0,
        test_count=0,
        needs_path=True,
        recipe="pytorch",
        form=Form.IMAGENET,
        source="any images with labels: a folder per class, Parquet shards, or WebDataset tar shards",
    ),
    DatasetInfo(
        name="imagenet",
        classes=1000,
        image_size=224,
        channels=3,
        train_count=1_281_167,
        test_count=50_000,
        needs_path=True,
        recipe="pytorch",
        form=Form.IMAGENET,
        source="ILSVRC 2012, Russakovsky et al. 2015: a folder per class, Parquet shards, or WebDataset tar shards",
    ),
)


def list_datasets() -> tuple[DatasetInfo, ...]:
    """Every data set."""
    return DATASETS


def get_dataset(name: str) -> DatasetInfo:
    """The data set of that name.

    Raises:
        UserError: No data set has that name.
    """
    for info in DATASETS:
        if info.name == name:
            return info
    raise unknown_name("data set", name, (info.name for info in DATASETS))
