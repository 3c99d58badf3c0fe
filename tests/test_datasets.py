"""Data sets, their splits and digests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.datasets import get_dataset, list_datasets
from search_spaces.errors import UserError
from trainers.config import DataConfig, TrainOn, Validation
from trainers.data.datasets import check_data, load_trial_data, split_indices

DIGITS = DataConfig(name="digits")


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=120).map(np.array),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_a_split_is_balanced_and_loses_nothing(labels: np.ndarray, fraction: float, seed: int) -> None:
    kept, held_out = split_indices(labels, fraction, seed)
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    for label in np.unique(labels):
        assert (labels[held_out] == label).sum() == round(fraction * (labels == label).sum())


def test_a_split_depends_on_seed_and_place_alone() -> None:
    labels = np.arange(200) % 10
    first, again, other = (split_indices(labels, 0.2, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other
    relabelled = split_indices((labels + 3) % 10, 0.2, 1)[1].tolist()
    assert relabelled == first


def test_digits_have_the_documented_parts() -> None:
    info = get_dataset("digits")
    data = load_trial_data(DIGITS, TrainOn.TRAIN)
    assert len(data.train) + len(data.validation) == info.train_count
    assert len(data.test) == info.test_count
    assert data.train.images.shape[1:] == (info.channels, info.image_size, info.image_size)
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert set(data.validation.labels) == set(range(10))


def test_parts_do_not_overlap() -> None:
    data = load_trial_data(DIGITS, TrainOn.TRAIN)
    train, validation, test = (
        {image.tobytes() for image in part.images} for part in (data.train, data.validation, data.test)
    )
    assert train.isdisjoint(validation | test)
    assert validation.isdisjoint(test)


def test_training_on_everything_validates_on_the_test_part() -> None:
    split = load_trial_data(DIGITS, TrainOn.TRAIN)
    for config, train_on in (
        (DIGITS, TrainOn.ALL),
        (replace(DIGITS, validation=Validation.TEST), TrainOn.TRAIN),
    ):
        data = load_trial_data(config, train_on)
        assert len(data.train) == len(split.train) + len(split.validation)
        assert data.validation is data.test
        assert data.sha256 != split.sha256


def test_the_digest_tells_splits_apart() -> None:
    configs = [DIGITS, replace(DIGITS, split_seed=1), replace(DIGITS, validation_fraction=0.2)]
    assert len({load_trial_data(config, TrainOn.TRAIN).sha256 for config in configs}) == 3
    load_trial_data.cache_clear()
    first = load_trial_data(DIGITS, TrainOn.TRAIN)
    load_trial_data.cache_clear()
    assert load_trial_data(DIGITS, TrainOn.TRAIN).sha256 == first.sha256
    assert load_trial_data(replace(DIGITS), TrainOn.TRAIN) is load_trial_data(DIGITS, TrainOn.TRAIN)


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_check_data_asks_for_a_path_where_one_is_needed(info: object) -> None:
    config = DataConfig(name=info.name)  # type: ignore[attr-defined]
    if info.needs_path:  # type: ignore[attr-defined]
        with pytest.raises(UserError, match=r"data\.path"):
            check_data(config)
    else:
        check_data(config)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"name": "digit"}, "did you mean digits"),
        ({"validation_fraction": 0.0}, "validation_fraction"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"image_size": 0}, "image_size"),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, object], part: str) -> None:
    with pytest.raises(UserError, match=part):
        check_data(replace(DIGITS, **changes))  # type: ignore[arg-type]


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="leaves"):
        load_trial_data(replace(DIGITS, validation_fraction=0.001), TrainOn.TRAIN)
