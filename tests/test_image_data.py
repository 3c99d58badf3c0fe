"""Data sets of image files and of a user's own arrays: what a trial gets, what a plan says, and that it learns."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from orchestrator.errors import SpecError
from orchestrator.planning.grid import make_plan
from orchestrator.planning.preflight import check_plan
from orchestrator.planning.spec import Spec, parse_spec
from orchestrator.planning.spec_changes import check_change
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import CurveRow, TrialRow
from search_spaces.errors import DataError, UserError
from search_spaces.recipe_info import Form
from tests.image_files import Sample, add_member, samples, write_folder, write_layout
from tests.own_images import stripes
from tests.sweeps_in_process import run_here
from tests.trial_examples import run, trial
from trainers.config import DataConfig, TrainOn, Validation, config_digest
from trainers.data.dataset_info import describe_dataset, resolve_dataset
from trainers.data.datasets import ImageSet, check_data, load_trial_data
from trainers.make import make_trainer
from trainers.readers.layouts import open_layout
from trainers.readers.part import EncodedSet, Index, hash_split, whole

LAYOUTS = ("folder", "parquet", "tar")


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    open_layout.cache_clear()
    load_trial_data.cache_clear()


class NamesOnly:
    """A part of which only the names matter."""

    def __init__(self, names: list[str]) -> None:
        count = len(names)
        zeros = np.zeros(count, dtype=np.int64)
        runs = np.arange(count + 1)
        self.index = Index(
            names=pa.array(names, pa.string()), labels=zeros, sizes=zeros, runs=runs, firsts=zeros[:1], rejected=()
        )


def held_out(names: list[str], fraction: float, seed: int = 0) -> set[str]:
    images = whole(NamesOnly(names))  # type: ignore[arg-type]
    kept, out = hash_split(images, fraction, stream="split", seed=seed)
    assert sorted([*kept, *out]) == list(range(len(names)))
    return {names[place] for place in out}


@settings(deadline=None, max_examples=50)
@given(
    names=st.lists(st.text(max_size=9), unique=True, max_size=60),
    new=st.lists(st.text(max_size=9), unique=True, max_size=20),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 9),
)
def test_adding_images_moves_no_other_one_across_the_split(
    names: list[str], new: list[str], fraction: float, seed: int
) -> None:
    before = held_out(names, fraction, seed)
    after = held_out(sorted({*names, *new}), fraction, seed)
    assert after & set(names) == before
    assert held_out(names, fraction / 2, seed) <= before


def test_the_share_that_is_held_out_is_right_on_average() -> None:
    names = [f"n00000001/{number}.JPEG" for number in range(20_000)]
    # Five standard deviations of a binomial count.
    assert abs(len(held_out(names, 0.1)) - 2000) < 5 * np.sqrt(20_000 * 0.1 * 0.9)
    # This number is a promise: the split of a given set must be the same in every version.
    assert len(held_out(names, 0.1)) == 2007
    assert held_out(names, 0.1) != held_out(names, 0.1, seed=1)


@pytest.fixture(params=LAYOUTS)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> DataConfig:
    root = write_layout(tmp_path / "data", request.param, samples(60), samples(9, part="val"))
    return DataConfig(name="imagefolder", path=str(root), validation_fraction=0.2, image_size=16)


def test_a_trial_gets_its_parts(config: DataConfig) -> None:
    check_data(config)
    split = load_trial_data(config, TrainOn.TRAIN)
    assert isinstance(split.train, EncodedSet)
    assert (split.info.classes, split.info.channels, split.info.train_count, split.info.test_count) == (3, 3, 60, 9)
    assert len(split.train) + len(split.validation) == 60
    assert 3 <= len(split.validation) <= 25
    assert len(split.test) == 9
    digests = {split.sha256}
    for changed, train_on in (
        (config, TrainOn.ALL),
        (replace(config, split_seed=1), TrainOn.TRAIN),
        (replace(config, validation_fraction=0.3), TrainOn.TRAIN),
    ):
        data = load_trial_data(changed, train_on)
        digests.add(data.sha256)
        if train_on is TrainOn.ALL:
            assert (len(data.train), len(data.validation)) == (60, 9)
    assert len(digests) == 4
    on_test = load_trial_data(replace(config, validation=Validation.TEST), TrainOn.TRAIN)
    assert (len(on_test.train), len(on_test.validation), len(on_test.test)) == (60, 9, 9)


def test_the_digest_follows_names_sizes_and_labels_and_not_the_place(tmp_path: Path) -> None:
    content, test = samples(30), samples(6, part="val")

    def digest(folder: str, train: list[Sample]) -> str:
        root = write_layout(tmp_path / folder, "folder", train, test)
        return load_trial_data(DataConfig(name="imagefolder", path=str(root)), TrainOn.TRAIN).sha256

    first = digest("here", content)
    assert digest("there", content) == first
    longer = [replace(content[0], content=content[0].content + b"\0"), *content[1:]]
    renamed = [replace(content[0], name="other"), *content[1:]]
    moved = [replace(content[0], label=2), *content[1:]]
    others = {digest(str(number), train) for number, train in enumerate((longer, renamed, moved, content[1:]))}
    assert len(others | {first}) == 5


def test_a_folder_without_parts_is_split_by_a_hash_of_names(tmp_path: Path) -> None:
    write_folder(tmp_path, samples(90))
    config = DataConfig(name="imagefolder", path=str(tmp_path))
    check_data(config)
    first = load_trial_data(config, TrainOn.TRAIN)

    def names(images: object) -> set[str]:
        assert isinstance(images, EncodedSet)
        return {images.part.where(place) for place in images.places}

    parts = [names(part) for part in (first.train, first.validation, first.test)]
    assert sum(map(len, parts)) == 90
    assert min(map(len, parts)) >= 3
    write_folder(tmp_path, samples(30, start=90))
    open_layout.cache_clear()
    load_trial_data.cache_clear()
    second = load_trial_data(config, TrainOn.TRAIN)
    for before, after in zip(parts, (second.train, second.validation, second.test), strict=True):
        assert before <= names(after)


def test_a_description_decodes_nothing(tmp_path: Path) -> None:
    content = [replace(sample, content=b"no image") for sample in samples(30)]
    for layout in LAYOUTS:
        config = DataConfig(name="imagefolder", path=str(write_layout(tmp_path / layout, layout, content, content)))
        info = describe_dataset(config)
        assert (info.classes, info.train_count, info.test_count, info.image_size) == (3, 30, 30, 224)
        with pytest.raises(DataError, match=r"is no image of a known kind \(8 bytes\)"):
            check_data(config)


def test_the_limit_on_bad_samples_belongs_to_no_result() -> None:
    data = DataConfig(name="imagefolder", path="here")
    one, other = (trial(data=replace(data, max_bad_samples=limit)) for limit in (0, 9))
    assert config_digest(one) == config_digest(other)


def own(function: str) -> DataConfig:
    return DataConfig(name=f"tests.own_images:{function}")


def test_arrays_of_a_users_own_are_a_data_set() -> None:
    info = describe_dataset(own("stripes"))
    assert (info.classes, info.image_size, info.channels, info.train_count, info.test_count) == (2, 16, 3, 120, 40)
    assert resolve_dataset("tests.own_images:stripes").form is Form.CIFAR
    check_data(own("stripes"))
    data = load_trial_data(replace(own("stripes"), validation=Validation.TEST), TrainOn.TRAIN)
    assert isinstance(data.train, ImageSet)
    images, labels, test_images, _ = stripes()
    assert np.array_equal(data.train.images.transpose(0, 2, 3, 1), images)
    assert np.array_equal(data.train.labels, labels)
    assert np.array_equal(data.test.images.transpose(0, 2, 3, 1), test_images)
    assert data.mean == pytest.approx((images / 255).mean((0, 1, 2)))
    assert describe_dataset(own("grey")).channels == 1


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("stripe", "did you mean stripes"),
        ("not_four", "must return four arrays"),
        ("failing", "RuntimeError: the disk is gone"),
        ("channels_first", r"uint8 of shape (N, S, S, C) with C = 1 or 3; got uint8 (9, 3, 16, 16)"),
        ("as_floats", "got float64"),
        ("too_few_labels", "labels must be whole numbers of shape (9,); got int64 (8,)"),
        ("unknown_class", "the test part has the label 2; training labels are 0 to 1"),
        ("nothing_to_test", "test part needs images"),
        ("negative", "with labels from 0"),
        ("other_sizes", "they must be equal"),
    ],
)
def test_wrong_arrays_are_explained(function: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        check_data(own(function))


def spec(data: dict[str, object], **training: object) -> Spec:
    return parse_spec(
        {
            "sweep": {"name": "images"},
            "grid": {"backbones": ["test_resnet"], "optimizers": ["adamw"], "recipes": ["pytorch"]},
            "data": data,
            "training": {"epochs": 2, "batch_size": 8, **training},
            "protocol": {"default": {"seeds": 1}},
        }
    )


def test_a_plan_names_the_bad_file(tmp_path: Path) -> None:
    root = write_layout(tmp_path, "folder", samples(60), samples(9, part="val"))
    plan = make_plan(spec({"name": "imagefolder", "path": str(root), "image_size": 32}))
    (cell,) = plan.cells
    assert (cell.image_size, cell.recipe.resized_crop_scale) == (32, (0.08, 1.0))
    check_plan(plan)
    first = sorted((root / "train").rglob("*.JPEG"))[0]
    first.write_bytes(first.read_bytes()[:300])
    with pytest.raises(SpecError, match=first.name):
        check_plan(plan)
    with pytest.raises(SpecError, match=r"data\.path is missing"):
        make_plan(spec({"name": "imagefolder"}))
    with pytest.raises(SpecError, match="imagefolder"):
        make_plan(spec({"name": "imagefoldr", "path": "."}))


def test_a_uri_stays_as_it_is_and_holds_no_credentials(tmp_path: Path) -> None:
    tables = spec({"name": "imagenet", "path": "s3://bucket/imagenet"}).model_dump(mode="json", by_alias=True)
    assert parse_spec(tables, folder=tmp_path).data.path == "s3://bucket/imagenet"
    tables["data"]["path"] = "s3://key:secret@bucket/imagenet"
    with pytest.raises(SpecError, match="credentials"):
        parse_spec(tables, folder=tmp_path)


def test_the_limit_on_bad_samples_can_be_raised_in_a_running_sweep() -> None:
    old, new = (spec({"name": "imagefolder", "path": "x", "max_bad_samples": limit}) for limit in (0, 5))
    check_change(old, new)


def two_classes(root: Path, layout: str = "folder") -> Path:
    """Bright and dark images."""

    def made(count: int, part: str) -> list[Sample]:
        found = []
        for number in range(count):
            draws = np.random.default_rng([number, len(part)])
            level = int(draws.integers(20, 70)) + 150 * (number % 2)
            side = tuple(draws.integers(20, 41, 2).tolist())
            found.append(Sample(name=f"{part}_{number}", label=number % 2, content=flat(level, side)))
        return sorted(found, key=lambda sample: (sample.label, sample.name))

    return write_layout(root, layout, made(80, "train"), made(20, "val"))


def flat(level: int, side: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", side, (level, level, level)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("name", ["imagefolder", "tests.own_images:stripes"])
def test_a_sweep_trains_on_images_of_a_users_own(tmp_path: Path, name: str) -> None:
    data: dict[str, object] = {"name": name, "image_size": 32, "max_bad_samples": 1}
    if name == "imagefolder":
        root = two_classes(tmp_path / "data", "tar")
        with tarfile.open(root / "imagenet1k-train-0003.tar", "w") as archive:
            add_member(archive, "z.jpg", b"no image")
            add_member(archive, "z.cls", b"1")
        data["path"] = str(root)
    plan = make_plan(spec(data))
    check_plan(plan)
    sweep = run_here(plan, tmp_path / "store")
    (row,) = read_rows(sweep, TrialRow)
    assert (row.state, row.reason, row.epochs_done, row.dataset, row.input_size) == ("COMPLETE", None, 2, name, 32)
    first, second = sorted(read_rows(sweep, CurveRow), key=lambda curve: curve.epoch)
    assert second.train_loss < first.train_loss


def test_a_trial_that_meets_a_bad_image_fails_with_its_name(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data")
    plan = make_plan(spec({"name": "imagefolder", "path": str(root), "image_size": 32}))
    bad = sorted((root / "train").rglob("*.JPEG"))[5]
    bad.write_bytes(bad.read_bytes()[:-100])
    check_plan(plan)
    (row,) = read_rows(run_here(plan, tmp_path / "store"), TrialRow)
    assert row.state == "FAIL"
    assert str(bad) in str(row.reason)


def test_a_trial_goes_on_in_the_middle_of_an_epoch_as_if_nothing_had_been(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "data")
    data = DataConfig(name="imagefolder", path=str(root), image_size=32)
    recipe = replace(trial().recipe, crop_padding=0, resized_crop_scale=(0.3, 1.0), repeats=2)
    config = trial("test_resnet", hp={"lr": 3e-3}, data=data, recipe=recipe, batch_size=4, epochs=2)
    trainer = make_trainer(config)
    run(trainer, 1)
    between: list[Callable[[], bytes]] = []
    states = [trainer.snapshot()]
    rest = replace(trainer.train_epoch(lambda: between.append(trainer.snapshot())), seconds=0.0)
    assert len(between) == 2
    for state in (*states, *between):
        again = make_trainer(config)
        again.restore(state())
        assert run(again, 1) == [rest]
    assert trainer.evaluate_test() == again.evaluate_test() >= 0.8
    assert trainer.resolved.train_samples + trainer.resolved.validation_samples == 80
