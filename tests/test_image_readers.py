"""Layouts of image files: what is found, and which file is named when something is wrong with it."""

from __future__ import annotations

import http.client
import json
import shutil
import tarfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from search_spaces.errors import DataError
from tests.image_files import (
    CLASSES,
    Sample,
    add_member,
    encoded,
    samples,
    write_folder,
    write_layout,
    write_parquet,
    write_tar,
)
from tests.object_store import FaultyStore
from trainers.data.image_checks import check_layout
from trainers.data.images import Framing
from trainers.data.streams import StreamedImages
from trainers.readers import tar_shards
from trainers.readers.index_cache import cache_folder
from trainers.readers.layouts import Layout, open_layout
from trainers.readers.part import check_limit

LAYOUTS = ("folder", "parquet", "tar")
TRAIN, TEST = samples(24), samples(9, part="val")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=LAYOUTS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_layout(tmp_path / "data", request.param, TRAIN, TEST)


def opened(root: Path, *, max_bad: int = 0) -> Layout:
    """The data set as a sweep would open it before it starts."""
    layout = open_layout("imagefolder", str(root))
    check_layout(layout, max_bad)
    return layout


def refused(root: Path, *parts: str, name: str = "imagefolder") -> str:
    """The sentence with which a data set is refused; it holds all `parts`."""
    with pytest.raises(DataError) as caught:
        check_layout(open_layout(name, str(root)), 0)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


def test_every_layout_knows_its_images(root: Path) -> None:
    layout = opened(root)
    assert (len(layout.train), len(layout.test), layout.classes) == (24, 9, 3)
    assert layout.train.labels.tolist() == [sample.label for sample in TRAIN]
    part = layout.test.part
    for run in range(len(part.index.runs) - 1):
        places = list(range(part.index.runs[run], part.index.runs[run + 1]))
        assert part.read(run, places) == {place: TEST[place].content for place in places}


def test_shards_in_an_object_store_give_the_same(tmp_path: Path, object_store: FaultyStore) -> None:
    address = object_store.endpoint.partition("//")[2]
    for layout in ("parquet", "tar"):
        local = write_layout(tmp_path / layout, layout, TRAIN, TEST)
        uri = object_store.new_uri()
        for path in sorted(path for path in local.rglob("*") if path.is_file()):
            with closing(http.client.HTTPConnection(address)) as connection:
                key = uri.removeprefix("s3://") + f"/{path.relative_to(local)}"
                connection.request("PUT", f"/{key}", path.read_bytes())
                assert connection.getresponse().read() is not None
        there, here = open_layout("imagefolder", uri), open_layout("imagefolder", str(local))
        check_layout(there, 0)
        assert there.train.part.index.digest() == here.train.part.index.digest()
        framing = Framing(train_size=8, test_size=8)
        batches = [
            list(StreamedImages(part, framing, device=torch.device("cpu")).evaluation_batches(batch_size=30))
            for part in (there.train, here.train)
        ]
        assert torch.equal(batches[0][0].images, batches[1][0].images)
        assert there.train.part.where(0).endswith(tuple("0123456789abcdefghijklmnopqrstuvwxyz"))
        assert uri in there.train.part.where(0)
    with pytest.raises(DataError, match="only shards are read"):
        open_layout("imagefolder", object_store.new_uri())
    with pytest.raises(DataError, match="cannot be listed"):
        open_layout("imagefolder", "nowhere://bucket/data")


@pytest.mark.parametrize(
    ("layout", "lost", "named"),
    [
        ("parquet", "data/train-00001-of-00003.parquet", "lacks train-00001-of-00003.parquet: 2 of 3"),
        ("parquet", "data/train-00002-of-00003.parquet", "lacks train-00002-of-00003.parquet: 2 of 3"),
        ("tar", "imagenet1k-train-0001.tar", "lacks imagenet1k-train-0001.tar: 2 of 3"),
        ("tar", "imagenet1k-validation-0001.tar", "lacks imagenet1k-validation-0001.tar: 2 of 3"),
    ],
)
def test_a_missing_shard_is_named(tmp_path: Path, layout: str, lost: str, named: str) -> None:
    root = write_layout(tmp_path, layout, TRAIN, TEST)
    (root / lost).unlink()
    refused(root, named)


def test_the_last_shard_is_missed_where_the_copy_lists_them(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "tar", TRAIN, TEST)
    names = [path.name for path in sorted(root.glob("*train*.tar"))]
    (root / "_info.json").write_text(json.dumps({"splits": {"train": {"filenames": names}}}))
    opened(root)
    open_layout.cache_clear()
    (root / names[-1]).unlink()
    refused(root, names[-1], "_info.json")


def test_shards_of_two_copies_are_refused(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "parquet", TRAIN, TEST)
    write_parquet(root / "data" / "train-00000-of-00001.parquet", TRAIN)
    refused(root, "different copies", "-of-1 and -of-3")


def test_a_part_without_shards_is_missed(tmp_path: Path) -> None:
    write_tar(tmp_path / "x-train-0.tar", TRAIN)
    refused(tmp_path, "no shards of its validation part")


def test_a_test_part_beside_the_validation_part_is_left_aside(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "parquet", TRAIN, TEST)
    unlabelled = [Sample(name=sample.name, label=-1, content=sample.content) for sample in TEST]
    write_parquet(root / "data" / "test-00000-of-00001.parquet", unlabelled)
    assert len(opened(root).test) == len(TEST)


@pytest.mark.parametrize("share", [0.3, 0.6])  # a tar of a few images ends in a third of zeros
def test_a_truncated_shard_is_named(tmp_path: Path, share: float) -> None:
    for layout, name in (("parquet", "data/train-00001-of-00003.parquet"), ("tar", "imagenet1k-train-0001.tar")):
        root = write_layout(tmp_path / layout, layout, TRAIN, TEST)
        shard = root / name
        shard.write_bytes(shard.read_bytes()[: int(share * shard.stat().st_size)])
        refused(root, shard.name, "cannot be read as", "fetch it again")


def tar_with(root: Path, *members: tuple[str, bytes]) -> Path:
    """A sound data set of tar shards, and one more shard of its training part with these members."""
    write_layout(root, "tar", TRAIN, TEST)
    with tarfile.open(root / "imagenet1k-train-0003.tar", "w") as archive:
        for name, content in members:
            add_member(archive, name, content)
    return root


def test_a_tar_cut_between_two_members_is_not_taken_for_whole(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "tar", TRAIN, TEST)
    shard = root / "imagenet1k-train-0002.tar"
    with tarfile.open(shard) as archive:
        end = archive.getmembers()[6].offset
    content = shard.read_bytes()
    shard.write_bytes(content[:end])
    refused(root, shard.name, f"cut short at byte {end}")
    shard.write_bytes(content[:end] + b"\x01" * 512 + content[end + 512 :])
    open_layout.cache_clear()
    refused(root, shard.name, f"header at byte {end} is damaged")


IMAGE = encoded(1)


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ([("a.jpg", IMAGE)], "a in SHARD has no label"),
        ([("a.cls", b"1")], "a in SHARD has no image"),
        ([("a.jpg", IMAGE), ("a.cls", b"cat")], "a in SHARD has no whole number in a.cls"),
        ([("a.jpg", IMAGE), ("a.cls", b"-1")], "a in SHARD has the label -1"),
        ([("a.jpg", IMAGE), ("a.json", b'{"label": "1"}')], "a in SHARD has no label"),
        ([("a.jpg", IMAGE), ("a.json", b'{"label": 1}'), ("a.cls", b"2")], "a in SHARD has two labels: 1 and 2"),
        ([("a.jpg", IMAGE), ("a.png", IMAGE), ("a.cls", b"2")], "a in SHARD has two images"),
        ([("a.jpg", IMAGE), ("a.cls", b"2"), ("b.jpg", IMAGE), ("b.cls", b"2"), ("a.jpg", IMAGE)], "comes twice"),
        ([("a.jpg", IMAGE[:100]), ("a.cls", b"2")], "a in SHARD is no whole image"),
    ],
)
def test_a_bad_sample_of_a_tar_is_named(tmp_path: Path, members: list[tuple[str, bytes]], named: str) -> None:
    root = tar_with(tmp_path, *members)
    refused(root, named.replace("SHARD", str(root / "imagenet1k-train-0003.tar")), "max_bad_samples = 0")


def test_a_label_that_imagenet_does_not_have_is_named(tmp_path: Path) -> None:
    root = tar_with(tmp_path, ("a.jpg", IMAGE), ("a.cls", b"1000"))
    refused(root, "a in ", "has the label 1000; labels are 0 to 999", name="imagenet")
    assert opened(root).classes == 1001


def test_bad_labels_within_the_limit_are_left_out(tmp_path: Path) -> None:
    root = tar_with(tmp_path, ("a.jpg", IMAGE), ("a.cls", b"cat"), ("b.jpg", IMAGE), ("b.json", b'{"label": 2}'))
    layout = opened(root, max_bad=1)
    assert len(layout.train) == len(TRAIN) + 1
    assert layout.train.labels[-1] == 2
    with pytest.raises(DataError, match=r"a in .* has no whole number in a\.cls"):
        check_limit(layout.rejected, 0, during="the data set")


def test_no_member_of_a_tar_becomes_a_path_or_a_link(tmp_path: Path) -> None:
    root = tar_with(tmp_path / "data", ("../../out.jpg", IMAGE), ("../../out.cls", b"1"), ("x.pyd", b"\x80\x04."))
    with pytest.raises(DataError, match=r"x in .* has no image"):
        opened(root)
    with tarfile.open(root / "imagenet1k-train-0003.tar", "w") as archive:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        add_member(archive, "a.cls", b"1")
    open_layout.cache_clear()
    refused(root, "a in ", "no plain file: a.jpg")
    assert not list(tmp_path.rglob("out*"))


def test_long_names_and_json_labels_are_read(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "tar", TRAIN, TEST)
    named = [Sample(name=f"{'folder' * 30}/{s.name}.x", label=s.label, content=s.content) for s in TRAIN]
    write_tar(
        root / "imagenet1k-train-0003.tar",
        [Sample(name=s.name[:-2], label=s.label, content=s.content) for s in named],
        labels="json",
    )
    layout = opened(root)
    assert len(layout.train) == 2 * len(TRAIN)
    assert str(layout.train.part.index.names[24]) == named[0].name[:-2]


def test_the_index_of_tar_shards_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_layout(tmp_path / "data", "tar", TRAIN, TEST)
    scanned: list[str] = []
    original = tar_shards.scan
    monkeypatch.setattr(tar_shards, "scan", lambda shard: [scanned.append(shard.name), original(shard)][1])

    def digest() -> bytes:
        open_layout.cache_clear()
        scanned.clear()
        return opened(root).train.part.index.digest()

    first = digest()
    assert len(scanned) == 6
    assert digest() == first
    assert not scanned
    for kept in cache_folder().iterdir():
        kept.write_bytes(b"damaged")
    assert digest() == first
    assert len(scanned) == 6
    write_tar(root / "imagenet1k-train-0001.tar", TRAIN[8:15])
    assert digest() != first
    assert len(scanned) == 3


def test_what_cannot_be_kept_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_layout(tmp_path / "data", "tar", TRAIN, TEST)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(opened(root).train) == len(TRAIN)


def test_a_shard_that_changes_while_it_is_used_is_named(tmp_path: Path) -> None:
    for layout, pattern in (("tar", "*train-0000.tar"), ("parquet", "data/train-00000*")):
        root = write_layout(tmp_path / layout, layout, TRAIN, TEST)
        part = opened(root).train.part
        shard = next(root.glob(pattern))
        shard.write_bytes(shard.read_bytes()[:300])
        with pytest.raises(DataError, match=shard.name):
            part.read(0, [1])
        shard.unlink()
        with pytest.raises(DataError, match=shard.name):
            part.read(0, [1])


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"image": [IMAGE], "class": [1]}, "no column label or labels; its columns are image, class"),
        ({"picture": [IMAGE], "label": [1]}, "no column image or img"),
        ({"image": ["text"], "label": [1]}, "column image of SHARD is string"),
        ({"image": [IMAGE], "label": ["cat"]}, "the labels of SHARD are string"),
        ({"image": [IMAGE, IMAGE], "label": [1, None]}, "row 1 of SHARD has the label -1"),
        ({"image": [IMAGE, IMAGE], "label": [1, -1]}, "row 1 of SHARD has the label -1"),
        ({"image": [None, IMAGE], "label": [1, 1]}, "row 0 of SHARD is no image of a known kind (0 bytes)"),
        ({"image": [IMAGE[:99], IMAGE], "label": [1, 1]}, "row 0 of SHARD is no whole image"),
    ],
)
def test_a_wrong_parquet_shard_is_named(tmp_path: Path, columns: dict[str, list[object]], named: str) -> None:
    root = write_layout(tmp_path, "parquet", TRAIN, TEST, shards=1)
    shard = root / "data" / "train-00000-of-00001.parquet"
    pq.write_table(pa.table(columns), shard)
    refused(root, named.replace("SHARD", str(shard)))


def test_labels_beyond_the_described_classes_are_named(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "parquet", TRAIN, TEST, shards=1)
    shard = root / "data" / "train-00000-of-00001.parquet"
    write_parquet(shard, [*TRAIN, Sample(name="x", label=3, content=IMAGE)])
    refused(root, f"row 24 of {shard} has the label 3; labels are 0 to 2")
    write_parquet(shard, [*TRAIN, Sample(name="x", label=4, content=IMAGE)], names=None)
    open_layout.cache_clear()
    assert opened(root).classes == 5


def test_a_test_image_of_a_class_that_is_never_trained_on_is_named(tmp_path: Path) -> None:
    for layout in ("parquet", "tar"):
        stray = Sample(name="stray", label=7, content=IMAGE)
        root = write_layout(tmp_path / layout, layout, TRAIN, TEST)
        if layout == "tar":
            write_tar(root / "imagenet1k-validation-0003.tar", [stray])
            refused(root, "stray in ", "has the label 7, which no training image has")
        else:
            write_parquet(root / "data" / "validation-00000-of-00003.parquet", [stray], names=None)
            for number in range(3):
                train = TRAIN[number * 8 : number * 8 + 8]
                write_parquet(root / "data" / f"train-{number:05d}-of-00003.parquet", train, names=None)
            refused(root, "row 0 of ", "has the label 7, which no training image has")


def test_folders_within_a_class_and_links_are_followed(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "data", "folder", TRAIN, TEST)
    first = root / "train" / CLASSES[0]
    (first / "inner").mkdir()
    shutil.move(next(first.glob("*.JPEG")), first / "inner" / "moved.jpeg")
    shutil.move(root / "train" / CLASSES[1], tmp_path / "elsewhere")
    (root / "train" / CLASSES[1]).symlink_to(tmp_path / "elsewhere")
    (first / "notes.txt").write_text("no image")
    (first / ".hidden.jpg").write_bytes(b"")
    assert len(opened(root).train) == len(TRAIN)


def test_what_is_wrong_with_folders_is_named(tmp_path: Path) -> None:
    def fresh(name: str) -> Path:
        return write_layout(tmp_path / name, "folder", TRAIN, TEST)

    root = fresh("class missing")
    shutil.rmtree(root / "val" / CLASSES[2])
    refused(root, f"{root / 'val'} lacks the class {CLASSES[2]}")
    root = fresh("class too many")
    write_folder(root / "val" / "extra", TEST)
    refused(root, f"{root / 'train'} lacks the class extra")
    root = fresh("class empty")
    (root / "train" / "zebra").mkdir()
    refused(root, f"{root / 'train' / 'zebra'} holds no images")
    root = fresh("no test part")
    shutil.rmtree(root / "val")
    refused(root, "neither val nor test")
    root = fresh("flat test part")
    shutil.rmtree(root / "val")
    (root / "val").mkdir()
    (root / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(IMAGE)
    refused(root, f"{root / 'val'} holds 1 images in no class's folder")
    root = fresh("loose")
    (root / "train" / "loose.png").write_bytes(IMAGE)
    refused(root, f"{root / 'train' / 'loose.png'} lies in no class's folder")
    root = fresh("damaged")
    damaged = sorted((root / "val" / CLASSES[1]).iterdir())[0]
    damaged.write_bytes(b"GIF89a")
    refused(root, f"{damaged} is no")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "neither folders nor images")
    refused(tmp_path / "nowhere", "does not exist")
    refused(damaged, "is a file")


def test_imagenet_has_its_thousand_classes(tmp_path: Path) -> None:
    root = write_layout(tmp_path / "few", "folder", TRAIN, TEST)
    refused(root, "3 classes", 'data.name = "imagefolder"', name="imagenet")
    (root / "train" / CLASSES[0]).rename(root / "train" / "cats")
    refused(root, "cats is no folder of an ImageNet class", name="imagenet")
    for part in ("train", "val"):
        for number in reversed(range(1000)):
            folder = tmp_path / "whole" / part / f"n{number:08d}"
            folder.mkdir(parents=True)
            (folder / "a.JPEG").write_bytes(IMAGE)
    layout = open_layout("imagenet", str(tmp_path / "whole"))
    assert layout.classes == 1000
    assert np.array_equal(layout.train.labels, np.arange(1000))
    assert str(layout.train.part.index.names[7]) == "n00000007/a.JPEG"
    shards = write_layout(tmp_path / "tar", "tar", TRAIN, TEST)
    assert open_layout("imagenet", str(shards)).classes == 1000
