"""RandAugment as a whole: what its sets mean, the law of its draws, and Pillow on the same draws."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from search_spaces.augmentation_names import OperationSet
from tests.augmentation_examples import (
    FILL,
    as_pillow,
    examples,
    from_pillow,
    named,
    timm_augment,
)
from trainers.augmentation.operations import default_fill, operations_of
from trainers.augmentation.rand_augment import Draws, apply_operations, draw_operations, rand_augment

LEVELS = torch.cat((torch.linspace(0, 10, 41, dtype=torch.float64), torch.tensor([6.99, 8.731, 9.96]).double()))
TIMM_NAMES = {
    **{name: f"{name}Increasing" for name in ("Posterize", "Solarize", "Color", "Contrast", "Brightness")},
    "Sharpness": "SharpnessIncreasing",
    "TranslateX": "TranslateXRel",
    "TranslateY": "TranslateYRel",
}
BICUBIC = {"resample": Image.Resampling.BICUBIC, "fillcolor": FILL}

PILLOW: dict[str, Callable[..., Image.Image]] = {
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "Color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "Contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Identity": lambda image, _: image,
    "Invert": lambda image, _: ImageOps.invert(image),
    "Posterize": lambda image, bits: ImageOps.posterize(image, int(bits)) if bits else image.point(lambda _: 0),
    "Rotate": lambda image, degrees: timm_augment.rotate(image, degrees, **BICUBIC),
    "Sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
    "ShearX": lambda image, factor: timm_augment.shear_x(image, factor, **BICUBIC),
    "ShearY": lambda image, factor: timm_augment.shear_y(image, factor, **BICUBIC),
    "Solarize": ImageOps.solarize,
    "SolarizeAdd": lambda image, addition: timm_augment.solarize_add(image, int(addition)),
    "TranslateX": lambda image, share: timm_augment.translate_x_rel(image, share, **BICUBIC),
    "TranslateY": lambda image, share: timm_augment.translate_y_rel(image, share, **BICUBIC),
}
MOVING = {"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"}


def test_the_set_of_timm_has_timms_operations() -> None:
    theirs = timm_augment._RAND_INCREASING_TRANSFORMS
    assert [TIMM_NAMES.get(name, name) for name in named(OperationSet.TIMM15)] == theirs


@pytest.mark.parametrize("name", named(OperationSet.TIMM15))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_levels_mean_what_timm_gives_its_operations(name: str, sign: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly: the arguments are computed in double precision on both sides."""
    monkeypatch.setattr(random, "random", lambda: 0.1 if sign > 0 else 0.9)
    to_argument = timm_augment.LEVEL_TO_ARG[TIMM_NAMES.get(name, name)]
    parameters = named(OperationSet.TIMM15)[name].parameters(LEVELS, torch.full_like(LEVELS, sign))
    if to_argument is not None:
        assert parameters.tolist() == [to_argument(level, {})[0] for level in LEVELS.tolist()]


RELEASED: dict[str, Callable[[float, float], float] | None] = {
    "AutoContrast": None,
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), lambda m, sign: 1 + sign * (0.05 + 0.9 * m)),
    "Equalize": None,
    "Identity": None,
    "Posterize": lambda m, sign: math.floor(4 + 4 * m + 1e-12),
    "Rotate": lambda m, sign: sign * 30 * m,
    **dict.fromkeys(("ShearX", "ShearY", "TranslateX", "TranslateY"), lambda m, sign: sign * 0.3 * m),
    "Solarize": lambda m, sign: 256 - 256 * m,
}
"""The ranges of the released CIFAR-100 configs, from level 0 to level 1 of 1."""


def test_the_released_set_has_its_fourteen_operations() -> None:
    assert set(named(OperationSet.RELEASED14)) == set(RELEASED)
    assert len(operations_of(OperationSet.RELEASED14, FILL)) == 14


@pytest.mark.parametrize("name", [name for name, formula in RELEASED.items() if formula is not None])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_levels_mean_what_the_released_configs_say(name: str, sign: float) -> None:
    """To rounding in double precision (1e-12 of values up to 256)."""
    formula = RELEASED[name]
    assert formula is not None
    parameters = named(OperationSet.RELEASED14)[name].parameters(LEVELS, torch.full_like(LEVELS, sign))
    assert parameters.tolist() == pytest.approx([formula(level / 10, sign) for level in LEVELS.tolist()], abs=1e-12)


@pytest.mark.parametrize("names", OperationSet)
@pytest.mark.parametrize("magnitude", [2.0, 9.0])
def test_a_batch_equals_pillow_on_the_same_draws(names: OperationSet, magnitude: float) -> None:
    """Exact where no operation moves pixels.

    A move is up to one level off (see the test of the operations), and what follows multiplies that: enhancing by up
    to 1.95, or stretching a narrow histogram. So an image that was moved and then changed may differ more, but in few
    of its pixels.
    """
    images = examples(3, 24, 24).repeat(16, 1, 1, 1)
    table = operations_of(names, FILL)
    generator = torch.Generator().manual_seed(5)
    draws = draw_operations(len(images), len(table), generator, magnitude=magnitude, magnitude_std=0.5, count=2)
    results = apply_operations(images, table, draws)
    for place, (image, result) in enumerate(zip(images, results, strict=True)):
        expected, moves = as_pillow(image), 0
        for turn in range(2):
            if draws.is_applied[turn, place]:
                operation = table[draws.operations[turn, place]]
                parameter = operation.parameters(draws.levels[turn, [place]], draws.signs[turn, [place]]).item()
                expected = PILLOW[operation.name](expected, parameter)
                moves += operation.name in MOVING
        difference = (result.int() - from_pillow(expected).int()).abs()
        assert moves or difference.max() == 0
        assert (difference > 0).float().mean() < 0.01


def test_every_image_draws_two_operations_with_replacement() -> None:
    """Counts of 40000 draws within 5 standard deviations of the binomial law."""
    draws = draw_operations(20000, 14, torch.Generator().manual_seed(0), magnitude=9, magnitude_std=0.5, count=2)

    def assert_near(hits: torch.Tensor, probability: float) -> None:
        expected, deviation = hits.numel() * probability, (hits.numel() * probability * (1 - probability)) ** 0.5
        assert abs(hits.sum().item() - expected) < 5 * deviation

    for operation in range(14):
        assert_near(draws.operations == operation, 1 / 14)
    assert_near(draws.operations[0] == draws.operations[1], 1 / 14)
    assert_near(draws.is_applied, 0.5)
    assert_near(draws.is_applied.all(0), 0.25)
    assert_near(draws.signs == 1, 0.5)
    assert_near(draws.levels == 10, 0.02275)  # Phi(-2): level 10 is two standard deviations above 9
    assert_near(draws.levels < 9, 0.5)
    assert_near((draws.levels < 8.5) & (draws.operations == 3), 0.15866 / 14)
    assert_near((draws.levels[0] < 9) & (draws.levels[1] < 9), 0.25)
    assert set(draws.signs.unique().tolist()) == {-1.0, 1.0}
    assert draws.levels.max() == 10


@pytest.mark.parametrize(("magnitude", "std", "low", "high"), [(0.2, 0.5, 0, 10), (9, 0.0, 9, 9), (20, 0.5, 10, 10)])
def test_levels_stay_within_their_range(magnitude: float, std: float, low: float, high: float) -> None:
    draws = draw_operations(500, 3, torch.Generator().manual_seed(0), magnitude=magnitude, magnitude_std=std, count=1)
    assert draws.levels.min() == low
    assert draws.levels.max() <= high


@pytest.mark.parametrize("names", OperationSet)
@pytest.mark.parametrize("channels", [1, 3])
def test_draws_are_a_function_of_the_generator(names: OperationSet, channels: int) -> None:
    images = examples(channels, 16, 16)
    before = images.clone()
    first, again, other = (
        rand_augment(images, torch.Generator().manual_seed(seed), operations=names, magnitude=9) for seed in (1, 1, 2)
    )
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


def test_equal_images_are_changed_in_different_ways() -> None:
    images = examples(3, 16, 16)[:1].expand(64, -1, -1, -1)
    generator = torch.Generator().manual_seed(0)
    result = rand_augment(images, generator, operations=OperationSet.TIMM15, magnitude=7)
    assert len(result.flatten(1).unique(dim=0)) > 40  # a quarter stays as it is


@pytest.mark.parametrize(
    ("names", "channels", "fill"),
    [
        (OperationSet.RELEASED14, 3, (114, 123, 125)),
        (OperationSet.TIMM15, 3, (124, 116, 104)),
        (OperationSet.RELEASED14, 1, (121,)),
        (OperationSet.TIMM15, 1, (115,)),
    ],
)
def test_what_a_moved_image_leaves_free_is_filled(names: OperationSet, channels: int, fill: tuple[int, ...]) -> None:
    """By the set's own levels unless others are given: the first column of an image moved to the right."""
    assert default_fill(names, channels) == fill
    images = torch.zeros((400, channels, 12, 12), dtype=torch.uint8)
    for given in (None, FILL[:channels]):
        generator = torch.Generator().manual_seed(0)
        result = rand_augment(images, generator, operations=names, magnitude=9, count=1, fill=given)
        expected = torch.tensor(given or fill, dtype=torch.uint8)
        # Turning and half of the translations, 2 of 14 or 15 operations, each applied half of the time: about 28.
        assert (result[:, :, 0, 0] == expected).all(1).sum() > 10


def test_one_round_of_nothing_changes_nothing() -> None:
    images = examples(3, 8, 8)
    nothing = Draws(
        operations=torch.zeros((1, 8), dtype=torch.int64),
        is_applied=torch.zeros((1, 8), dtype=torch.bool),
        levels=torch.zeros((1, 8), dtype=torch.float64),
        signs=torch.ones((1, 8), dtype=torch.float64),
    )
    assert torch.equal(apply_operations(images, operations_of(OperationSet.TIMM15, FILL), nothing), images)
