"""Random erasing: which pixels change, what they become, and the law of the rectangles against timm's."""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.augmentation_examples import examples
from trainers.augmentation.erasing import (
    Rectangles,
    draw_released_rectangles,
    draw_timm_rectangles,
    random_erasing,
    random_erasing_normalised,
)

importlib.import_module("trainers.networks.timm_models")
timm_erasing = importlib.import_module("timm.data.random_erasing")

Law = Callable[[int, int, int, torch.Generator, float], Rectangles]
LAWS = [draw_released_rectangles, draw_timm_rectangles]


def table(rectangles: Rectangles) -> Tensor:
    """(K, 4) rows of top, left, height, width."""
    return torch.stack((rectangles.tops, rectangles.lefts, rectangles.heights, rectangles.widths), dim=1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 20), (4, 4)])
def test_rectangles_stay_inside_and_in_their_range(law: Law, height: int, width: int) -> None:
    rectangles = law(20000, height, width, torch.Generator().manual_seed(0), 0.25)
    tops, lefts, heights, widths = table(rectangles).unbind(1)
    assert min(tops.min(), lefts.min()) == 0
    assert (tops + heights <= height).all()
    assert (lefts + widths <= width).all()
    assert len(rectangles.images.unique()) == len(rectangles.images)
    # The binomial count within 5 standard deviations; timm's law finds no place in a few images of 4 pixels.
    assert abs(len(rectangles.images) - 5000) < 5 * math.sqrt(20000 * 0.25 * 0.75) + (400 if height == 4 else 0)


@pytest.mark.parametrize("law", LAWS)
def test_areas_and_aspects_fill_their_ranges(law: Law) -> None:
    """Of 20000 rectangles in 1000 pixels; whole pixels round both by less than 1 in 70 of the smallest side."""
    _, _, heights, widths = table(law(20000, 1000, 1000, torch.Generator().manual_seed(0), 1.0)).double().unbind(1)
    whole = (heights < 1000) & (widths < 1000)
    shares, aspects = (heights * widths)[whole] / 1e6, (heights / widths)[whole]
    assert [shares.min(), shares.max()] == pytest.approx([0.02, 1 / 3], rel=0.015)
    assert [aspects.min(), aspects.max()] == pytest.approx([0.3, 1 / 0.3], rel=0.015)


def by_the_released_code(height: int, width: int) -> list[int]:
    """One rectangle, as the released transforms.py draws it, from another generator."""
    aspect = math.exp(random.uniform(math.log(3 / 10), math.log(10 / 3)))
    area = height * width * random.uniform(0.02, 1 / 3)
    tall = min(round(math.sqrt(area * aspect)), height)
    wide = min(round(math.sqrt(area / aspect)), width)
    top = random.randrange(0, height - tall) if height > tall else 0
    left = random.randrange(0, width - wide) if width > wide else 0
    return [top, left, tall, wide]


def by_timm(height: int, width: int) -> list[int]:
    """One rectangle of timm's RandomErasing, read from the pixels it changed."""
    erase = timm_erasing.RandomErasing(probability=1, mode="pixel", device="cpu")
    changed = erase(torch.full((1, height, width), 77.0))[0] != 77
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    if not len(rows):
        return [0, 0, 0, 0]
    top, left = int(rows[0]), int(columns[0])
    return [top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left]


@pytest.mark.parametrize(("law", "reference"), [(LAWS[0], by_the_released_code), (LAWS[1], by_timm)])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (12, 20)])
def test_rectangles_follow_the_law_of_the_reference(law: Law, reference, height: int, width: int) -> None:
    """Means, squares and products of the numbers, of 12000 and 3000 draws, within 5 standard errors."""
    random.seed(4)
    torch.manual_seed(4)
    ours = table(law(12000, height, width, torch.Generator().manual_seed(4), 1.0)).double()
    theirs = torch.tensor([reference(height, width) for _ in range(3000)]).double()
    for first in range(4):
        for second in range(first, 4):
            for power in (0, 1):
                a, b = (values[:, first] * values[:, second] ** power for values in (ours, theirs))
                error = (a.var() / len(a) + b.var() / len(b)).sqrt()
                assert (a.mean() - b.mean()).abs() < 5 * error


def test_only_timms_rectangles_reach_the_last_row_and_column() -> None:
    """The released code's randint leaves out its upper end, unless the rectangle is as large as the image."""
    for law, reaches in zip(LAWS, [False, True], strict=True):
        tops, lefts, heights, widths = table(law(20000, 32, 32, torch.Generator().manual_seed(1), 1.0)).unbind(1)
        assert ((tops + heights == 32) & (heights < 32)).any() == reaches
        assert ((lefts + widths == 32) & (widths < 32)).any() == reaches


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_replaced_by_noise_inside_the_rectangles_only(channels: int) -> None:
    """Noise of 114 123 125 +- 52 51 51, cut to bytes: about N(mean - 1/2), hardly clipped within two deviations."""
    images = torch.full((2000, channels, 16, 16), 7, dtype=torch.uint8)
    result = random_erasing(images, torch.Generator().manual_seed(2), probability=0.5)
    rectangles = draw_released_rectangles(2000, 16, 16, torch.Generator().manual_seed(2), 0.5)
    erased = torch.zeros((2000, 16, 16), dtype=torch.bool)
    for image, (top, left, height, width) in zip(rectangles.images, table(rectangles).tolist(), strict=True):
        erased[image, top : top + height, left : left + width] = True
    assert result.dtype == torch.uint8
    assert (images == 7).all()
    assert (result.movedim(1, -1)[~erased] == 7).all()
    noise = result.movedim(1, -1)[erased].double()
    means, deviations = ([362 / 3], [154 / 3]) if channels == 1 else ([114, 123, 125], [52, 51, 51])
    for level, mean, deviation in zip(noise.T, means, deviations, strict=True):
        # 40000 pixels: 5 standard errors of the median are 1.6 levels, of a quantile's distance 1.8.
        assert level.median() == pytest.approx(mean - 0.5, abs=1.7)
        low, high = level.quantile(torch.tensor([0.15866, 0.84134], dtype=torch.float64))
        assert (high - low) / 2 == pytest.approx(deviation, abs=1.8)
        assert level.min() == 0
        assert level.max() == 255


def test_normalised_pixels_are_replaced_by_standard_normal_noise() -> None:
    images = torch.full((1000, 3, 16, 16), 9.0)
    result = random_erasing_normalised(images, torch.Generator().manual_seed(2), probability=1.0)
    noise = result[result != 9]
    # 100000 pixels: 5 standard errors are 0.016 of the mean and 0.011 of the deviation.
    assert noise.mean() == pytest.approx(0, abs=0.016)
    assert noise.std() == pytest.approx(1, abs=0.011)
    # Independent in every channel and pixel, and of every image.
    assert len(noise.unique()) > 0.99 * len(noise)
    assert 0.12 < len(noise) / images.numel() < 0.22
    assert random_erasing_normalised(images.half(), torch.Generator(), probability=1.0).dtype == torch.float16


@pytest.mark.parametrize("erase", [random_erasing, random_erasing_normalised])
def test_draws_are_a_function_of_the_generator(erase) -> None:
    images = examples(3, 12, 12)
    images = images if erase is random_erasing else images.float()
    first, again, other = (erase(images, torch.Generator().manual_seed(seed), probability=0.7) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("erase", [random_erasing, random_erasing_normalised])
def test_no_probability_changes_nothing(erase) -> None:
    images = examples(3, 12, 12)
    images = images if erase is random_erasing else images.float()
    assert torch.equal(erase(images, torch.Generator(), probability=0.0), images)
