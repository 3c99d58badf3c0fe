"""Batched augmentation against the reference, image by image."""

from __future__ import annotations

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.augmentation.crops import random_crop, random_flip
from trainers.imports import load_callable

# Through timm, whose import makes a torchvision without compiled operators importable.
load_callable("timm.data:create_transform", purpose="this test")
functional = importlib.import_module("torchvision.transforms.functional")


def batch(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 8),
    channels=st.integers(1, 3),
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    padding=st.integers(1, 2),
    seed=st.integers(0, 2**31),
)
def test_a_crop_equals_torchvision_pad_and_crop(
    count: int, channels: int, height: int, width: int, padding: int, seed: int
) -> None:
    images = batch(count, channels, height, width)
    result = random_crop(images, padding, torch.Generator().manual_seed(seed))
    assert result.dtype == images.dtype
    generator = torch.Generator().manual_seed(seed)
    tops, lefts = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator).squeeze(-1).tolist()
    for image, cropped, top, left in zip(images, result, tops, lefts, strict=True):
        padded = functional.pad(image, padding, padding_mode="reflect")
        assert torch.equal(functional.crop(padded, top, left, height, width), cropped)


def test_every_image_of_a_batch_has_a_draw_of_its_own() -> None:
    images = batch(1, 1, 8, 8).expand(200, 1, 8, 8)
    crops = random_crop(images, 2, torch.Generator().manual_seed(0))
    assert len(torch.unique(crops.flatten(1), dim=0)) == 25
    flips = random_flip(images, torch.Generator().manual_seed(0))
    is_flipped = (flips == images.flip(-1)).flatten(1).all(1)
    assert 60 < is_flipped.sum() < 140
    assert torch.equal(flips[~is_flipped], images[~is_flipped])


@pytest.mark.parametrize("augment", [lambda i, g: random_crop(i, 1, g), random_flip])
def test_draws_are_a_function_of_the_generator(augment: object) -> None:
    images = batch(16, 3, 8, 8)
    first, again, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
