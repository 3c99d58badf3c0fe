"""Images that are decoded while a trial trains: what comes, in which order, and what is left behind."""

from __future__ import annotations

import io
import random
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search_spaces.errors import DataError
from tests.image_files import Sample, encoded, samples, write_folder, write_layout
from trainers.data import streams
from trainers.data.images import Batch, Framing
from trainers.data.pictures import BadImageError, central_view, decode, random_box, training_view
from trainers.data.streams import StreamedImages, training_order
from trainers.readers.image_folder import open_folder
from trainers.readers.layouts import open_layout
from trainers.readers.part import EncodedSet, whole

CPU = torch.device("cpu")
CROPS = Framing(train_size=12, test_size=10, test_crop_ratio=0.875, resized_crop_scale=(0.08, 1.0))
PLAIN = Framing(train_size=10, test_size=10)
LAYOUTS = ("folder", "parquet", "tar")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=LAYOUTS)
def train(request: pytest.FixtureRequest, tmp_path: Path) -> EncodedSet:
    root = write_layout(tmp_path / "data", request.param, samples(41), samples(6, part="val"))
    return open_layout("imagefolder", str(root)).train


def streamed(images: EncodedSet, framing: Framing = CROPS, **options: int) -> StreamedImages:
    return StreamedImages(images, framing, device=CPU, **options)


def epoch_of(images: StreamedImages, *, seed: int = 3, epoch: int = 0, size: int = 6, first: int = 0) -> list[Batch]:
    return list(images.training_batches(seed=seed, epoch=epoch, batch_size=size, first_step=first))


def assert_equal(one: list[Batch], other: list[Batch]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(train: EncodedSet) -> None:
    images = streamed(train)
    first, second, other = (epoch_of(images, seed=seed, epoch=epoch) for seed, epoch in ((3, 0), (3, 1), (4, 0)))
    assert len(first) == images.steps(6) == 7
    assert first[0].images.shape == (6, 3, 12, 12)
    assert first[0].images.dtype == torch.uint8
    for batches in (first, second, other):
        labels = Counter(torch.cat([batch.labels for batch in batches]).tolist())
        assert labels == Counter(train.labels.tolist())
    assert not torch.equal(first[0].images, second[0].images)
    assert not torch.equal(first[0].images, other[0].images)
    for epoch in (0, 1):
        assert sorted(training_order(train, 3, epoch, 1)) == train.places.tolist()


@pytest.mark.parametrize("first", [1, 3, 6, 7])
def test_a_pass_that_begins_in_the_middle_gives_what_the_whole_one_gives_from_there(
    train: EncodedSet, first: int
) -> None:
    images = streamed(train)
    assert_equal(epoch_of(images, first=first), epoch_of(images)[first:])


def test_the_number_of_threads_changes_nothing(train: EncodedSet) -> None:
    assert_equal(epoch_of(streamed(train)), epoch_of(streamed(train, threads=7)))


def test_every_layout_gives_the_same_images(tmp_path: Path) -> None:
    content = samples(20), samples(9, part="val")
    evaluations = []
    for layout in LAYOUTS:
        opened = open_layout("imagefolder", str(write_layout(tmp_path / layout, layout, *content)))
        evaluations.append(
            [
                list(streamed(part).evaluation_batches(batch_size=size))
                for part, size in ((opened.train, 7), (opened.test, 4))
            ]
        )
    for evaluation in evaluations[1:]:
        for one, other in zip(evaluation, evaluations[0], strict=True):
            assert_equal(one, other)
    expected = [central_view(decode(sample.content), 10, 0.875) for sample in content[0]]
    found = torch.cat([batch.images for batch in evaluations[0][0]])
    assert np.array_equal(found.permute(0, 2, 3, 1).numpy(), np.stack([np.asarray(view) for view in expected]))
    assert torch.cat([batch.labels for batch in evaluations[0][0]]).tolist() == [s.label for s in content[0]]


def test_runs_are_read_once_and_from_front_to_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WINDOW", 8)
    root = write_layout(tmp_path / "data", "parquet", samples(120), samples(6, part="val"))
    train = open_layout("imagefolder", str(root)).train
    read: list[int] = []
    original = type(train.part).read
    monkeypatch.setattr(
        type(train.part), "read", lambda self, run, places: [read.append(run), original(self, run, places)][1]
    )
    whole_pass = epoch_of(streamed(train))
    assert sorted(read) == list(range(len(train.part.index.runs) - 1))
    read.clear()
    assert_equal(epoch_of(streamed(train), first=15), whole_pass[15:])
    # Of 30 row groups, what 75 % of the pass needed is behind it but for the images that the window held back.
    assert len(read) <= 11
    order = training_order(train, 3, 0, 1)
    ranks = {int(place): position for position, place in enumerate(order)}
    for start, end in zip(train.part.index.runs, train.part.index.runs[1:], strict=False):
        positions = [ranks[place] for place in range(start, end)]
        assert max(positions) - min(positions) <= 2 * 8 + 4


def test_repeats_come_in_a_row_and_are_cropped_anew(train: EncodedSet) -> None:
    framing = Framing(train_size=12, test_size=12, resized_crop_scale=(0.08, 0.3), repeats=3)
    images = streamed(train, framing)
    whole_pass = epoch_of(images, size=8)
    order = training_order(train, 3, 0, 3)
    assert len(order) == 41
    assert len(set(order.tolist())) == 14
    labels = torch.cat([batch.labels for batch in whole_pass])
    # 41 = 5 x 8 + 1, and a last batch of one is left out.
    assert labels.tolist() == train.part.index.labels[order[:40]].tolist()
    pixels = torch.cat([batch.images for batch in whole_pass]).flatten(1)
    assert len({row.numpy().tobytes() for row in pixels}) == 40
    assert_equal(epoch_of(images, size=8, first=2), whole_pass[2:])


def test_threads_end_with_the_pass_also_when_it_is_dropped(train: EncodedSet) -> None:
    before = set(threading.enumerate())
    images = streamed(train, threads=3)
    epoch_of(images)
    assert set(threading.enumerate()) == before
    batches = images.training_batches(seed=0, epoch=0, batch_size=2)
    next(batches)
    assert set(threading.enumerate()) > before
    del batches
    assert set(threading.enumerate()) == before
    never_begun = images.training_batches(seed=0, epoch=0, batch_size=2)
    del never_begun
    assert set(threading.enumerate()) == before


DAMAGED = (2, 11, 17, 25)
"""Places of 30 images of which one is cut short, one empty, one a text, one a link to nothing."""


def damaged_folder(root: Path) -> tuple[EncodedSet, list[Path]]:
    """The 30 images, and the files of the bad ones."""
    write_folder(root, samples(30))
    bad = [sorted(root.rglob("*.JPEG"))[place] for place in DAMAGED]
    bad[0].write_bytes(bad[0].read_bytes()[:-200])
    bad[1].write_bytes(b"")
    bad[2].write_text("this is no image")
    bad[3].unlink()
    bad[3].symlink_to(root / "nowhere.JPEG")
    return whole(open_folder(root)), bad


def test_a_bad_image_ends_the_pass_with_its_name(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    images, bad = damaged_folder(tmp_path)
    for place, path in zip(DAMAGED, bad, strict=True):
        others = [other for other in DAMAGED if other != place]
        one_bad = streamed(images.subset(np.setdiff1d(images.places, others)))
        for batches in (
            one_bad.training_batches(seed=0, epoch=4, batch_size=8),
            one_bad.evaluation_batches(batch_size=8),
        ):
            with pytest.raises(DataError, match=f"{path.name} .*max_bad_samples = 0"):
                list(batches)
    assert set(threading.enumerate()) == before


def test_as_many_bad_images_as_allowed_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    images, bad = damaged_folder(tmp_path)
    allowed = streamed(images, max_bad=4)
    batches = epoch_of(allowed, size=8)
    # Another image of the batch stands in: batches keep their sizes, so that the schedule keeps its steps.
    assert [len(batch.labels) for batch in batches] == [8, 8, 8, 6]
    assert all(path.name in caplog.text for path in bad)
    assert_equal(epoch_of(streamed(images, max_bad=4, threads=5), size=8), batches)
    assert_equal(epoch_of(allowed, size=8, first=2), batches[2:])
    # An evaluation counts every image at most once.
    assert sum(len(batch.labels) for batch in allowed.evaluation_batches(batch_size=8)) == 26
    with pytest.raises(DataError, match=r"bad samples in epoch 1: 4; data.max_bad_samples = 3"):
        epoch_of(streamed(images, max_bad=3), size=8)


def test_what_stands_in_for_a_bad_image_brings_its_own_label(tmp_path: Path) -> None:
    write_folder(tmp_path, [Sample(name="a", label=0, content=b"?"), Sample(name="b", label=1, content=encoded(1))])
    (batch,) = epoch_of(streamed(whole(open_folder(tmp_path)), PLAIN, max_bad=1), size=2)
    assert batch.labels.tolist() == [1, 1]
    assert torch.equal(batch.images[0], batch.images[1])


def test_a_batch_without_a_good_image_is_an_error(tmp_path: Path) -> None:
    write_folder(tmp_path, [Sample(name="a", label=0, content=b"?"), Sample(name="b", label=1, content=b"!")])
    with pytest.raises(DataError, match="no image of a batch"):
        epoch_of(streamed(whole(open_folder(tmp_path)), max_bad=5), size=2)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "1"), ("BMP", "RGB")],
)
def test_images_of_other_kinds_become_rgb(kind: str, mode: str) -> None:
    content = encoded(5, kind=kind, mode=mode)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == mode
        expected = picture.convert("RGB")
    assert decode(content).tobytes() == expected.tobytes()


def test_sixteen_bits_become_the_upper_eight() -> None:
    out = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 256, 30_000, 65_535]], dtype=np.uint16)).save(out, "PNG")
    assert np.asarray(decode(out.getvalue()))[0].tolist() == [[v] * 3 for v in (0, 0, 1, 117, 255)]


def test_orientation_of_exif_is_left_aside() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (20, 10)).save(out, "JPEG", exif=exif)
    assert decode(out.getvalue()).size == (20, 10)


def test_random_boxes_follow_the_law_of_torchvision() -> None:
    draws = random.Random(0)
    torch.manual_seed(0)
    width, height = 400, 300
    boxes = [random_box(width, height, (0.08, 1.0), draws) for _ in range(4000)]
    for box in boxes:
        assert 0 <= box.left <= width - box.width
        assert 0 <= box.top <= height - box.height
    reference = [_torchvision_box(width, height) for _ in range(4000)]
    for quantity in ("left", "top", "width", "height"):
        ours = np.array([getattr(box, quantity) for box in boxes])
        theirs = np.array([box[quantity] for box in reference])
        # Two samples of one law: their means differ by more than five standard errors once in a million.
        error = np.hypot(ours.std(), theirs.std()) / np.sqrt(4000)
        assert abs(ours.mean() - theirs.mean()) < 5 * error
        assert abs(ours.std() - theirs.std()) < 5 * error
    # Nothing fits: the largest central box with an aspect of 4/3.
    assert random_box(1000, 10, (0.9, 1.0), draws) == random_box(1000, 10, (1.0, 1.0), draws)
    assert (random_box(1000, 10, (0.9, 1.0), draws).width, random_box(1000, 10, (0.9, 1.0), draws).left) == (13, 493)


def _torchvision_box(width: int, height: int) -> dict[str, int]:
    from trainers.networks.timm_models import torchvision

    image = torch.empty(3, height, width)
    crop = torchvision.transforms.RandomResizedCrop
    top, left, box_height, box_width = crop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3])
    return {"left": left, "top": top, "width": box_width, "height": box_height}


@pytest.mark.parametrize("side", [(40, 30), (30, 40), (37, 21), (16, 16), (9, 33)])
def test_the_test_view_is_torchvisions(side: tuple[int, int]) -> None:
    from trainers.networks.timm_models import torchvision

    transforms = torchvision.transforms
    picture = decode(encoded(3, kind="PNG", side=side))
    reference = transforms.Compose(
        [transforms.Resize(16, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(14)]
    )(picture)
    assert central_view(picture, 14, 0.875).tobytes() == reference.tobytes()


def test_a_padded_crop_reflects_and_keeps_the_size() -> None:
    picture = decode(encoded(3, kind="PNG", side=(12, 12)))
    framing = Framing(train_size=12, test_size=12, crop_padding=3)
    draws = random.Random(1)
    views = {np.asarray(training_view(picture, framing, draws)).tobytes() for _ in range(400)}
    padded = np.pad(np.asarray(picture), ((3, 3), (3, 3), (0, 0)), mode="reflect")
    possible = {padded[top : top + 12, left : left + 12].tobytes() for top in range(7) for left in range(7)}
    # Each of 49 is missed by 400 draws with probability 0.0003.
    assert views == possible
    with pytest.raises(BadImageError, match="too small"):
        training_view(decode(encoded(3, side=(8, 3))), framing, draws)
