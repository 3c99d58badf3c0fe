"""Every operation on pixels against Pillow, image by image, over parameters and images."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from search_spaces.augmentation_names import OperationSet
from tests.augmentation_examples import FILL, each_by_pillow, examples, largest_difference, named, timm_augment
from trainers.augmentation import colour, geometry

SIZES = [(3, 32, 32), (1, 28, 28), (3, 8, 31), (3, 9, 31), (3, 1, 2)]
AFFINE, BICUBIC = Image.Transform.AFFINE, Image.Resampling.BICUBIC


def spread(low: float, high: float) -> torch.Tensor:
    """Eight parameters from low to high, one for each example."""
    return torch.linspace(low, high, 8, dtype=torch.float64)


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize(
    ("ours", "pillow"),
    [
        (colour.invert, ImageOps.invert),
        (colour.autocontrast, ImageOps.autocontrast),
        (colour.equalize, ImageOps.equalize),
    ],
    ids=["invert", "autocontrast", "equalize"],
)
def test_maps_of_levels_are_pillows(ours, pillow, shape: tuple[int, int, int]) -> None:
    images = examples(*shape)
    assert torch.equal(ours(images), each_by_pillow(images, pillow))


@settings(max_examples=30, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    low=st.integers(0, 255),
    high=st.integers(0, 255),
    seed=st.integers(0, 999),
)
def test_histograms_of_any_size_and_range(
    channels: int, height: int, width: int, low: int, high: int, seed: int
) -> None:
    low, high = sorted((low, high))
    shape = (2, channels, height, width)
    images = torch.randint(low, high + 1, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    assert torch.equal(colour.autocontrast(images), each_by_pillow(images, ImageOps.autocontrast))
    assert torch.equal(colour.equalize(images), each_by_pillow(images, ImageOps.equalize))


@pytest.mark.parametrize("shape", SIZES[:2], ids=str)
@pytest.mark.parametrize("first", [0, 7])
def test_solarize_and_posterize_are_pillows(shape: tuple[int, int, int], first: int) -> None:
    images = examples(*shape)
    thresholds = (spread(0, 256) + first * 5.3).clamp(max=256)
    assert torch.equal(
        colour.solarize(images, thresholds), each_by_pillow(images, ImageOps.solarize, thresholds.tolist())
    )
    additions = spread(0, 110).round()
    assert torch.equal(
        colour.solarize_add(images, additions),
        each_by_pillow(images, timm_augment.solarize_add, additions.int().tolist()),
    )
    bits = [(first + place) % 8 + 1 for place in range(8)]
    assert torch.equal(
        colour.posterize(images, torch.tensor(bits, dtype=torch.float64)),
        each_by_pillow(images, ImageOps.posterize, bits),
    )


def test_posterize_to_no_bits_is_black() -> None:
    """Pillow before 13, and timm with it, computes pixels & 0 for the strongest level; Pillow 13 refuses."""
    assert not colour.posterize(examples(3, 8, 8), torch.zeros(8)).any()


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize(("low", "high"), [(0.05, 0.95), (1.95, 1.05), (1.0, 0.0), (0.1, 1.9)])
@pytest.mark.parametrize(
    ("ours", "pillow"),
    [
        (colour.brightness, ImageEnhance.Brightness),
        (colour.colour, ImageEnhance.Color),
        (colour.contrast, ImageEnhance.Contrast),
        (colour.sharpness, ImageEnhance.Sharpness),
    ],
    ids=["brightness", "colour", "contrast", "sharpness"],
)
def test_enhancements_are_pillows_bit_for_bit(ours, pillow, low: float, high: float, shape) -> None:
    images, factors = examples(*shape), spread(low, high)
    expected = each_by_pillow(images, lambda image, factor: pillow(image).enhance(factor), factors.tolist())
    assert torch.equal(ours(images, factors), expected)


def affine(*entries):
    """Pillow's transform with a matrix whose entries may be functions of (parameter, width, height)."""

    def transformed(image: Image.Image, parameter: float) -> Image.Image:
        matrix = [entry(parameter, *image.size) if callable(entry) else entry for entry in entries]
        fill = FILL if image.mode == "RGB" else FILL[0]
        return image.transform(image.size, AFFINE, matrix, resample=BICUBIC, fillcolor=fill)

    return transformed


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, resample=BICUBIC, fillcolor=FILL if image.mode == "RGB" else FILL[0])


@pytest.mark.parametrize("shape", [*SIZES, (3, 31, 8), (3, 64, 48)], ids=str)
@pytest.mark.parametrize(
    ("ours", "pillow", "most"),
    [
        (geometry.shear_x, affine(1, lambda f, w, h: f, 0, 0, 1, 0), 0.3),
        (geometry.shear_y, affine(1, 0, 0, lambda f, w, h: f, 1, 0), 0.3),
        (geometry.translate_x, affine(1, 0, lambda f, w, h: f * w, 0, 1, 0), 0.45),
        (geometry.translate_y, affine(1, 0, 0, 0, 1, lambda f, w, h: f * h), 0.45),
        (geometry.translate_x, affine(1, 0, lambda f, w, h: f * w, 0, 1, 0), 1.5),
        (geometry.rotate, rotated, 30),
        (geometry.rotate, rotated, 90),
    ],
    ids=["shear_x", "shear_y", "translate_x", "translate_y", "out_of_sight", "rotate", "rotate_far"],
)
def test_moved_images_are_pillows(ours, pillow, most: float, shape: tuple[int, int, int]) -> None:
    """Within one level: Pillow cuts off what it computes in double precision, and we in single (24 bits).

    A pixel differs only if its value is within 1e-4 of a whole number, which fewer than one in a thousand is. Moves
    by simple fractions (0.6 of a pixel) put many values on whole numbers themselves, where Pillow's own rounding
    decides, so that for them only the size of the difference is asserted. The fill is always exact.
    """
    images = examples(*shape)
    for parameters, is_simple in ((spread(-most, most), True), (spread(0.9137 * most, -0.7717 * most), False)):
        result = ours(images, parameters, FILL[: shape[0]])
        expected = each_by_pillow(images, pillow, parameters.tolist())
        assert largest_difference(result, expected) <= 1
        assert is_simple or (result != expected).float().mean() < 1e-3


@pytest.mark.parametrize("move", [geometry.shear_x, geometry.shear_y, geometry.translate_x, geometry.rotate])
def test_moving_by_nothing_changes_nothing(move) -> None:
    images = examples(3, 9, 12)
    assert torch.equal(move(images, torch.zeros(8, dtype=torch.float64), FILL), images)


def test_moving_by_whole_pixels_keeps_every_level() -> None:
    images = examples(3, 10, 20)
    moved = geometry.translate_x(images, torch.full((8,), 0.25, dtype=torch.float64), FILL)
    assert torch.equal(moved[..., :15], images[..., 5:])
    assert torch.equal(moved[..., 15:], torch.tensor(FILL, dtype=torch.uint8)[:, None, None].expand(8, 3, 10, 5))


@pytest.mark.parametrize("names", OperationSet)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_does_not_depend_on_its_neighbours(names: OperationSet, channels: int) -> None:
    images, before = examples(channels, 12, 10), examples(channels, 12, 10).clone()
    signs = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    for operation in named(names, FILL[:channels]).values():
        parameters = operation.parameters(spread(0, 10), signs)
        together = operation.apply(images, parameters)
        assert together.dtype == torch.uint8
        apart = [operation.apply(images[i : i + 1], parameters[i : i + 1]) for i in range(8)]
        assert torch.equal(together, torch.cat(apart)), operation.name
        assert torch.equal(images, before), f"{operation.name} writes into its input"


def test_layout_in_memory_does_not_matter() -> None:
    images = examples(3, 12, 10)
    strided = images.contiguous(memory_format=torch.channels_last)
    for operation in named(OperationSet.TIMM15).values():
        parameters = operation.parameters(spread(0, 10), torch.ones(8, dtype=torch.float64))
        assert torch.equal(operation.apply(images, parameters), operation.apply(strided, parameters)), operation.name


def test_two_channels_have_no_grey_level() -> None:
    with pytest.raises(ValueError, match="grey and RGB"):
        colour.contrast(torch.zeros((1, 2, 4, 4), dtype=torch.uint8), torch.ones(1))
