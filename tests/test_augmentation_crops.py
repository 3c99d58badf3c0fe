"""Batched augmentation against the reference, image by image."""

from __future__ import annotations

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.augmentation_examples import each_by_pillow, examples
from trainers.augmentation.crops import (
    draw_boxes,
    random_crop,
    random_flip,
    random_resized_crop,
    resize_and_center_crop,
)
from trainers.augmentation.resampling import Boxes, resize_boxes
from trainers.imports import load_callable

# Through timm, whose import makes a torchvision without compiled operators importable.
load_callable("timm.data:create_transform", purpose="this test")
functional = importlib.import_module("torchvision.transforms.functional")
transforms = importlib.import_module("torchvision.transforms")


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


@pytest.mark.parametrize(
    "augment", [lambda i, g: random_crop(i, 1, g), random_flip, lambda i, g: random_resized_crop(i, 8, g)]
)
def test_draws_are_a_function_of_the_generator(augment: object) -> None:
    images = batch(16, 3, 8, 8)
    first, again, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def boxes_of(rows: list[list[int]]) -> Boxes:
    """One row (top, left, height, width) for each image."""
    tops, lefts, heights, widths = torch.tensor(rows).unbind(1)
    return Boxes(tops=tops, lefts=lefts, heights=heights, widths=widths)


def cut_and_resized(image: Image.Image, box: list[int], size: tuple[int, int]) -> Image.Image:
    """In two steps, because Pillow 13 chooses the order of the two by size; before, width always came first."""
    top, left, height, width = box
    cut = image.crop((left, top, left + width, top + height))
    return cut.resize((size[0], height), Image.Resampling.BICUBIC).resize(size, Image.Resampling.BICUBIC)


def assert_resized_as_pillow(images: torch.Tensor, rows: list[list[int]], height: int, width: int) -> None:
    result = resize_boxes(images, boxes_of(rows), height=height, width=width)
    expected = each_by_pillow(images, lambda image, box: cut_and_resized(image, box, (width, height)), rows)
    assert torch.equal(result, expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(224, 224), (32, 32), (20, 20), (8, 8), (31, 47)])
def test_boxes_are_resized_as_pillow_resizes_crops(channels: int, height: int, width: int) -> None:
    rows = [[0, 0, 32, 32], [3, 5, 27, 25], [0, 1, 31, 24], [9, 0, 23, 32], [31, 31, 1, 1], [2, 2, 30, 30]]
    assert_resized_as_pillow(examples(channels, 32, 32)[:6], rows, height, width)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), height=st.integers(1, 24), width=st.integers(1, 24))
def test_any_box_to_any_size(data: st.DataObject, height: int, width: int) -> None:
    image_height, image_width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    rows = []
    for _ in range(8):
        top, left = data.draw(st.integers(0, image_height - 1)), data.draw(st.integers(0, image_width - 1))
        rows.append(
            [top, left, data.draw(st.integers(1, image_height - top)), data.draw(st.integers(1, image_width - left))]
        )
    assert_resized_as_pillow(examples(3, image_height, image_width), rows, height, width)


def test_small_images_are_enlarged_as_pillow_does_in_one_step() -> None:
    """What the crops of a data set of 32 px are."""
    images = examples(3, 32, 32)
    boxes = draw_boxes(8, 32, 32, torch.Generator().manual_seed(0), scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3))
    rows = torch.stack((boxes.lefts, boxes.tops, boxes.lefts + boxes.widths, boxes.tops + boxes.heights), dim=1)
    expected = each_by_pillow(
        images, lambda image, box: image.crop(box).resize((224, 224), Image.Resampling.BICUBIC), rows.tolist()
    )
    result = random_resized_crop(images, 224, torch.Generator().manual_seed(0))
    assert torch.equal(result, expected)


def test_a_whole_image_of_the_right_size_stays() -> None:
    images = examples(3, 12, 9)
    assert torch.equal(resize_boxes(images, boxes_of([[0, 0, 12, 9]] * 8), height=12, width=9), images)


def test_resized_crops_take_the_boxes_that_were_drawn() -> None:
    images = examples(3, 32, 32)
    result = random_resized_crop(images, 40, torch.Generator().manual_seed(3), scale=(0.3, 1.0))
    boxes = draw_boxes(8, 32, 32, torch.Generator().manual_seed(3), scale=(0.3, 1.0), ratio=(3 / 4, 4 / 3))
    assert len(torch.stack((boxes.tops, boxes.lefts, boxes.heights, boxes.widths)).unique(dim=1).T) > 4
    assert torch.equal(result, resize_boxes(images, boxes, height=40, width=40))


def test_half_precision_around_it_does_not_reach_the_resizing() -> None:
    images = examples(3, 32, 32)
    expected = random_resized_crop(images, 40, torch.Generator().manual_seed(3))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(random_resized_crop(images, 40, torch.Generator().manual_seed(3)), expected)


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (32, 32, (0.8, 1.0), (3 / 4, 4 / 3)),
        (32, 32, (0.08, 1.0), (1 / 4, 4)),
        (20, 30, (0.8, 1.0), (3 / 4, 4 / 3)),
    ],
)
def test_boxes_follow_the_law_of_torchvision(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    """Two samples, 8000 and 2000 draws, agree in the mean of every number and its square.

    Within 5 standard errors, which chance passes once in a million, so that a failure is a wrong law.
    """
    boxes = draw_boxes(8000, height, width, torch.Generator().manual_seed(1), scale=scale, ratio=ratio)
    ours = torch.stack((boxes.tops, boxes.lefts, boxes.heights, boxes.widths), dim=1).double()
    torch.manual_seed(1)
    image = torch.zeros(1, height, width)
    law = transforms.RandomResizedCrop.get_params
    theirs = torch.tensor([law(image, list(scale), list(ratio)) for _ in range(2000)]).double()
    for power in (1, 2):
        difference = (ours**power).mean(0) - (theirs**power).mean(0)
        error = ((ours**power).var(0) / 8000 + (theirs**power).var(0) / 2000).sqrt()
        assert (difference.abs() <= 5 * error).all()
    assert (boxes.tops + boxes.heights).max() == height
    assert (boxes.lefts + boxes.widths).max() == width
    assert min(boxes.tops.min(), boxes.lefts.min()) == 0


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(10, 40, [0, 13, 10, 13]), (40, 10, [13, 0, 13, 10]), (8, 8, [0, 0, 8, 8])]
)
def test_boxes_that_never_fit_become_central_ones(height: int, width: int, expected: list[int]) -> None:
    """Twice the area fits nowhere; what is left is the fallback, which torchvision computes as well."""
    ratio, scale = (3 / 4, 4 / 3), (2.0, 2.0)
    boxes = draw_boxes(3, height, width, torch.Generator(), scale=scale, ratio=ratio)
    found = torch.stack((boxes.tops, boxes.lefts, boxes.heights, boxes.widths), dim=1)
    reference = transforms.RandomResizedCrop.get_params(torch.zeros(1, height, width), list(scale), list(ratio))
    assert found.tolist() == [expected] * 3 == [list(reference)] * 3


@pytest.mark.parametrize(
    ("shape", "size", "ratio"),
    [
        ((3, 32, 32), 224, 1.0),
        ((1, 28, 28), 32, 1.0),
        ((3, 32, 32), 28, 0.875),
        ((3, 40, 40), 38, 0.95),
        ((3, 40, 40), 36, 0.95),  # 37.9 is 38
        ((3, 24, 40), 16, 0.8),
        ((3, 41, 24), 16, 0.875),
    ],
)
def test_evaluation_resizes_as_pillow_and_keeps_the_centre(
    shape: tuple[int, int, int], size: int, ratio: float
) -> None:
    """Against torchvision's Resize and CenterCrop on Pillow images, whose sides shrink alike."""
    images = examples(*shape)
    transform = transforms.Compose(
        [transforms.Resize(round(size / ratio), transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)]
    )
    result = resize_and_center_crop(images, size, ratio)
    assert result.shape == (8, shape[0], size, size)
    assert torch.equal(result, each_by_pillow(images, transform))


def test_evaluation_leaves_images_of_the_right_size_alone() -> None:
    images = examples(3, 32, 32)
    assert torch.equal(resize_and_center_crop(images, 32, 1.0), images)


@pytest.mark.parametrize("ratio", [0.0, 1.2, -1.0])
def test_a_crop_ratio_outside_its_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="crop ratio"):
        resize_and_center_crop(examples(3, 8, 8), 8, ratio)
