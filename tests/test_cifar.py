"""CIFAR in each layout people have it in, and what is said of files that are missing, damaged or hostile."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from search_spaces.datasets import get_dataset
from search_spaces.errors import UserError
from tests.trial_examples import named_recipe, trial
from trainers.config import DataConfig, TrainOn, Validation
from trainers.data.cifar import check_cifar, read_cifar
from trainers.data.datasets import check_data, load_trial_data
from trainers.make import make_trainer

REAL = Path(os.environ.get("BOCB_CIFAR100", Path(__file__).parents[2] / "shared/data/cifar100"))

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
LABELS = np.arange(30) % 10


def write_pickle(path: Path, pixels: np.ndarray, labels: np.ndarray, key: str, *, protocol: int) -> None:
    fields = {b"data": pixels.reshape(len(pixels), -1), key.encode(): labels.tolist(), b"filenames": [b"x.png"]}
    path.write_bytes(pickle.dumps(fields, protocol=protocol))


def write_official(folder: Path, name: str, protocol: int = 2) -> None:
    """The first 25 images as the training part, the last 5 as the test part."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "cifar100":
        write_pickle(folder / "train", PIXELS[:25], LABELS[:25], "fine_labels", protocol=protocol)
        write_pickle(folder / "test", PIXELS[25:], LABELS[25:], "fine_labels", protocol=protocol)
        return
    for number in range(5):
        part = slice(number * 5, number * 5 + 5)
        path = folder / f"data_batch_{number + 1}"
        write_pickle(path, PIXELS[part], LABELS[part], "labels", protocol=protocol)
    write_pickle(folder / "test_batch", PIXELS[25:], LABELS[25:], "labels", protocol=protocol)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(path: Path, part: slice, label: str) -> None:
    images = [{"bytes": png(image), "path": None} for image in PIXELS[part]]
    pq.write_table(pa.table({"img": images, label: pa.array(LABELS[part], pa.int64())}), path)


def write_parquet(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    label = "fine_label" if name == "cifar100" else "label"
    write_shard(folder / "train-00000-of-00002.parquet", slice(0, 10), label)
    write_shard(folder / "train-00001-of-00002.parquet", slice(10, 25), label)
    write_shard(folder / "test-00000-of-00001.parquet", slice(25, 30), label)


FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
LAYOUTS: dict[str, Callable[[Path, str], None]] = {
    "official folder": write_official,
    "pickles of Python 3": lambda path, name: write_official(path, name, protocol=5),
    "torchvision root": lambda path, name: write_official(path / FOLDERS[name], name),
    "parquet folder": write_parquet,
    "clone of the hub": lambda path, name: write_parquet(path / name, name),
    "old clone of the hub": lambda path, name: write_parquet(path / "data", name),
}
every_name = pytest.mark.parametrize("name", ["cifar10", "cifar100"])


@every_name
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_arrays(tmp_path: Path, name: str, layout: str) -> None:
    LAYOUTS[layout](tmp_path, name)
    info = get_dataset(name)
    check_cifar(info, tmp_path)
    for part, expected in (("train", slice(0, 25)), ("test", slice(25, 30))):
        images, labels = read_cifar(info, tmp_path, part)
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, PIXELS[expected])
        np.testing.assert_array_equal(labels, LABELS[expected])


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    """The bytes Python 2 wrote: strings as `S`-type opcodes, numpy.core.multiarray._reconstruct, raw data as str."""
    data = bytes(range(256)) * 12
    content = (
        b"\x80\x02}q\x00(U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x01M\x00\x0c\x86q\x08cnumpy\ndtype\nq\tU\x02u1q\nK\x00K\x01\x87q\x0bRq\x0c"
        b"(K\x03U\x01|q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0eb\x89T"
        + len(data).to_bytes(4, "little")
        + data
        + b"q\x0ftq\x10bU\x0bfine_labelsq\x11]q\x12K\x07au."
    )
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(content)
    images, labels = read_cifar(get_dataset("cifar100"), tmp_path, "train")
    assert labels.tolist() == [7]
    assert images.tobytes() == data


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_asks_for_code_is_refused_without_running_it(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made by the pickle"
    write_official(tmp_path, "cifar100")
    (tmp_path / "train").write_bytes(pickle.dumps({"data": Hostile(target)}, protocol=protocol))
    with pytest.raises(UserError, match=r"train is not a whole official CIFAR file.*mkdir"):
        check_cifar(get_dataset("cifar100"), tmp_path)
    assert not target.exists()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def replace_labels(path: Path, label: int) -> None:
    write_pickle(path, PIXELS[:2], np.array([0, label]), "labels", protocol=2)


def flip_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT") + 10
    content[place : place + 20] = bytes(255 - byte for byte in content[place : place + 20])
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("layout", "damage", "part"),
    [
        ("official folder", lambda p: (p / "data_batch_3").unlink(), "data_batch_3"),
        ("official folder", lambda p: (p / "test_batch").unlink(), "test_batch"),
        ("official folder", lambda p: truncate(p / "data_batch_2"), "data_batch_2 is not a whole"),
        ("official folder", lambda p: (p / "data_batch_2").write_bytes(b""), "data_batch_2 is not a whole"),
        ("official folder", lambda p: (p / "data_batch_2").write_bytes(pickle.dumps([1])), "expected a dictionary"),
        ("official folder", lambda p: (p / "data_batch_2").write_bytes(pickle.dumps({"data": 1})), "3072 bytes"),
        ("official folder", lambda p: replace_labels(p / "data_batch_2", 10), "data_batch_2 has the label 10"),
        ("parquet folder", lambda p: (p / "train-00001-of-00002.parquet").unlink(), "train-00001-of-00002"),
        ("parquet folder", lambda p: (p / "test-00000-of-00001.parquet").unlink(), "no test part"),
        (
            "parquet folder",
            lambda p: truncate(p / "train-00001-of-00002.parquet"),
            "train-00001.* cannot be read as Parquet",
        ),
        ("parquet folder", lambda p: flip_in_the_middle(p / "train-00001-of-00002.parquet"), "train-00001"),
        ("parquet folder", lambda p: write_shard(p / "train-00000-of-00002.parquet", slice(0, 5), "l"), "no column"),
    ],
)
def test_damage_is_found_before_anything_starts(
    tmp_path: Path, layout: str, damage: Callable[[Path], object], part: str
) -> None:
    LAYOUTS[layout](tmp_path, "cifar10")
    damage(tmp_path)
    with pytest.raises(UserError, match=part):
        check_data(DataConfig(name="cifar10", path=str(tmp_path)))


@pytest.mark.parametrize("backbone", ["convnext_atto_cifar", "resnet18_cifar"])
def test_a_trial_trains_on_the_files(tmp_path: Path, backbone: str) -> None:
    write_official(tmp_path, "cifar100")
    data = DataConfig(name="cifar100", path=str(tmp_path), validation=Validation.TEST)
    trainer = make_trainer(trial(backbone, data=data, recipe=named_recipe("pytorch"), epochs=1))
    measurement = trainer.train_epoch()
    assert measurement.is_finite
    assert measurement.val_top1 == trainer.evaluate_test()
    assert (trainer.resolved.classes, trainer.resolved.input_size, trainer.resolved.train_samples) == (100, 32, 25)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path, "cifar10")
    table = pa.table({"img": [{"bytes": b"no picture", "path": "a"}], "label": [1]})
    pq.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"row 0 of .*test-00000.* is not a whole image"):
        read_cifar(get_dataset("cifar10"), tmp_path, "test")


def test_a_folder_without_the_data_says_what_was_expected(tmp_path: Path) -> None:
    info = get_dataset("cifar100")
    with pytest.raises(UserError, match="does not exist"):
        check_cifar(info, tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"cifar-100-python/train .* or train-\*\.parquet"):
        check_cifar(info, tmp_path)
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(b"")
    for path in (tmp_path, archive):
        with pytest.raises(UserError, match="extract it first: tar xzf"):
            check_cifar(info, path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no CIFAR-100 at {REAL} (set BOCB_CIFAR100)")
def test_the_real_data_is_complete() -> None:
    config = DataConfig(name="cifar100", path=str(REAL))
    check_data(config)
    data = load_trial_data(config, TrainOn.TRAIN)
    assert (len(data.train), len(data.validation), len(data.test)) == (45_000, 5_000, 10_000)
    assert np.bincount(data.validation.labels, minlength=100).tolist() == [50] * 100
    pixels = data.train.images[::50] / 255
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), (0.507, 0.487, 0.441), atol=0.01)
