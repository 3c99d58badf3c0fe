"""Each corruption against numpy, scipy or Pillow where it is a fixed map, against its definition where it is drawn.

Values that both sides compute in double precision may fall on different sides of a whole level: one level is allowed
wherever arithmetic is not exact, and says so.
"""

from __future__ import annotations

import colorsys
import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from search_spaces.backbones import BackboneInfo
from tests.trial_examples import named_recipe, trial
from trainers.config import DataConfig
from trainers.corruptions import blur, catalogue, digital, noise, weather
from trainers.corruptions.catalogue import CORRUPTIONS, SEVERITIES, Corruption, corrupted
from trainers.corruptions.resampling import (
    at_the_edge,
    both_ways,
    gaussian_matrix,
    interpolated,
    mirrored,
    mirrored_at_the_edge,
    zoom_matrix,
)
from trainers.make import make_trainer

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
FIXED = ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
Array = NDArray[np.float64]


def pictures(count: int = 3, size: int = 32, seed: int = 0) -> Tensor:
    """Smooth colour images, with a black, a white and a plain one among them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    images = nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1).mul(255).to(torch.uint8)
    plain = torch.tensor([[0, 0, 0], [255, 255, 255], [200, 10, 70]], dtype=torch.uint8)
    return torch.cat([images, plain[:, :, None, None].expand(-1, -1, size, size)])


def as_theirs(images: Tensor) -> Array:
    """(N, H, W, C) in [0, 1], as the authors' code has them."""
    return images.permute(0, 2, 3, 1).numpy().astype(np.float64) / 255


def to_bytes(image: Array) -> NDArray[np.uint8]:
    return (np.clip(image, 0, 1) * 255 + 1e-6).astype(np.uint8)


def their_disk(radius: float, deviation: float) -> Array:
    steps = np.arange(-8, 9)
    disk = (steps[:, None] ** 2 + steps**2 <= radius**2).astype(np.float64)
    soft = np.exp(-0.5 * (np.arange(-1, 2) / deviation) ** 2)
    return ndimage.convolve(disk / disk.sum(), np.outer(soft, soft) / soft.sum() ** 2, mode="constant")


def their_zoom(image: Array, factor: float) -> Array:
    height = image.shape[0]
    cut = math.ceil(height / factor)
    top = (height - cut) // 2
    part = image[top : top + cut, top : top + cut]
    zoomed = ndimage.zoom(part, (factor, factor) + (1,) * (image.ndim - 2), order=1)
    first = (zoomed.shape[0] - height) // 2
    return zoomed[first : first + height, first : first + height]


def fixed_reference(name: str, image: Array, severity: int) -> Array:
    strength = BY_NAME[name].strengths[severity - 1]
    levels = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    match name:
        case "defocus_blur":
            kernel = their_disk(*strength)
            return np.stack([ndimage.correlate(image[..., c], kernel, mode="mirror") for c in range(3)], -1)
        case "zoom_blur":
            factors = np.arange(1, strength, 0.01)
            return (image + sum(their_zoom(image, factor) for factor in factors)) / (len(factors) + 1)
        case "brightness":
            hues = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3)]
            back = [colorsys.hsv_to_rgb(h, s, min(v + strength, 1)) for h, s, v in hues]
            return np.array(back).reshape(image.shape)
        case "contrast":
            means = image.mean((0, 1), keepdims=True)
            return (image - means) * strength + means
        case "pixelate":
            small = int(image.shape[0] * strength)
            box = Image.Resampling.BOX
            return np.asarray(levels.resize((small, small), box).resize(levels.size, box)) / 255
        case _:
            file = io.BytesIO()
            levels.save(file, "JPEG", quality=strength)
            return np.asarray(Image.open(file)) / 255


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", FIXED)
def test_what_is_not_drawn_is_the_reference(name: str, severity: int) -> None:
    images = pictures()
    ours = corrupted(images, BY_NAME[name], severity).permute(0, 2, 3, 1).numpy()
    theirs = np.stack([to_bytes(fixed_reference(name, image, severity)) for image in as_theirs(images)])
    if name in ("pixelate", "jpeg_compression"):
        assert np.array_equal(ours, theirs)
    else:
        differences = np.abs(ours.astype(int) - theirs)
        assert differences.max() <= 1
        assert (differences > 0).mean() < 0.002


@pytest.mark.parametrize(("fold", "mode"), [(at_the_edge, "nearest"), (mirrored, "reflect")])
@pytest.mark.parametrize(("sigma", "truncate"), [(0.05, 4), (0.4, 4), (1.28, 3), (6.4, 3)])
@pytest.mark.parametrize("size", [8, 32])
def test_a_blur_is_scipys(fold: object, mode: str, sigma: float, truncate: float, size: int) -> None:
    image = np.random.default_rng(0).random((size, size))
    matrix = gaussian_matrix(size, sigma, truncate=truncate, fold=fold)  # type: ignore[arg-type]
    theirs = ndimage.gaussian_filter(image, sigma, mode=mode, truncate=truncate)
    assert np.allclose(both_ways(torch.from_numpy(image), matrix).numpy(), theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("factor", [1, 1.01, 1.25, 1.75, 2.25])
def test_a_zoom_is_scipys(factor: float) -> None:
    image = np.random.default_rng(0).random((32, 32))
    ours = both_ways(torch.from_numpy(image), zoom_matrix(32, factor)).numpy()
    assert np.allclose(ours, their_zoom(image, factor), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("fold", "mode"), [(mirrored, "reflect"), (mirrored_at_the_edge, "mirror")])
def test_places_between_pixels_are_scipys(fold: object, mode: str) -> None:
    generator = np.random.default_rng(0)
    image, places = generator.random((9, 9)), generator.uniform(-12, 20, (2, 9, 9))
    down, across = torch.from_numpy(places)[:, None]
    ours = interpolated(torch.from_numpy(image)[None, None], down, across, fold)[0, 0]  # type: ignore[arg-type]
    assert np.allclose(ours, ndimage.map_coordinates(image, places, order=1, mode=mode), atol=1e-12, rtol=0)


def test_glass_is_what_the_authors_loop_does() -> None:
    """Their loop, assignment of views and all, with our draws."""
    images = pictures()
    deviation, times = 0.4, 2
    ours = blur.glass_blur(images.double() / 255, (deviation, times), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    steps = [torch.randint(0, 2, (2, len(images), 32, 32), generator=generator).numpy() for _ in range(times)]
    for number, image in enumerate(as_theirs(images)):
        smooth = ndimage.gaussian_filter(image, (deviation, deviation, 0), mode="nearest")
        x = np.uint8(smooth * 255 + 1e-6)
        for draws in steps:
            for h in range(31, 1, -1):
                for w in range(31, 1, -1):
                    dy, dx = -draws[:, number, h, w]
                    x[h, w], x[h + dy, w + dx] = x[h + dy, w + dx], x[h, w]
        theirs = ndimage.gaussian_filter(x / 255, (deviation, deviation, 0), mode="nearest")
        assert np.allclose(ours[number].permute(1, 2, 0).numpy(), theirs, atol=1e-12, rtol=0)


def test_motion_smears_a_point_along_its_angle() -> None:
    image = torch.zeros(4, 1, 33, 33, dtype=torch.float64)
    image[:, :, 16, 16] = 1
    smeared = blur.moving(image, torch.tensor([0.0, 90.0, 45.0, -30.0]).double(), radius=6, deviation=2)
    weights = np.exp(-0.5 * (np.arange(13) / 2) ** 2)
    expected = np.rint(weights / weights.sum() * 255) / 255
    # A pixel shows what lies ahead of it, so the point is seen from the pixels behind it.
    assert np.allclose(smeared[0, 0, 16, 4:17].flip(0), expected)
    assert np.allclose(smeared[1, 0, 4:17, 16].flip(0), expected)
    diagonal = torch.stack([smeared[2, 0, 16 - k, 16 - k] for k in range(9)]).sum()
    assert diagonal == pytest.approx(1, abs=0.02)
    steps = [
        (math.ceil(k * math.sin(math.radians(-30)) - 0.5), math.ceil(k * math.cos(math.radians(30)) - 0.5))
        for k in range(13)
    ]
    assert {(16 - y, 16 - x) for y, x in steps[:7]} <= {(int(y), int(x)) for y, x in smeared[3, 0].nonzero()}


def test_noise_has_the_moments_that_it_should_have() -> None:
    """Of 300,000 values: four standard errors of each estimate."""
    grey = torch.full((100, 3, 32, 32), 0.5, dtype=torch.float64)
    count = grey.numel()
    generator = torch.Generator().manual_seed(0)
    normal = noise.gaussian_noise(grey, 0.1, generator) - grey
    assert abs(float(normal.mean())) < 4 * 0.1 / math.sqrt(count)
    assert float(normal.std()) == pytest.approx(0.1, abs=4 * 0.1 / math.sqrt(2 * count))
    shot = noise.shot_noise(grey, 50, generator)
    assert float(shot.mean()) == pytest.approx(0.5, abs=4 * 0.1 / math.sqrt(count))
    assert float(shot.var()) == pytest.approx(0.5 / 50, rel=4 * math.sqrt(2.04 / count))  # kurtosis 3 + 1/25
    assert torch.allclose(shot * 50, (shot * 50).round(), atol=1e-12, rtol=0)
    salt = noise.impulse_noise(grey, 0.07, generator)
    assert float((salt != 0.5).double().mean()) == pytest.approx(0.07, abs=4 * math.sqrt(0.07 / count))
    ones, zeros = int((salt == 1).sum()), int((salt == 0).sum())
    assert abs(ones - zeros) < 4 * math.sqrt(ones + zeros)


def their_plasma(draws: list[Array], side: int, decay: float) -> Array:
    """Diamond-square pixel by pixel, with given draws of [-1, 1) for each stage."""
    heights = np.zeros((side, side))
    step, roughness, stages = side, 100.0, iter(draws)
    while step >= 2:
        half = step // 2
        squares, upper, left = next(stages), next(stages), next(stages)
        for i in range(0, side, step):
            for j in range(0, side, step):
                corners = sum(heights[(i + a) % side, (j + b) % side] for a in (0, step) for b in (0, step))
                heights[i + half, j + half] = corners / 4 + roughness**2 * squares[i // step, j // step]
        for stage, (a, b) in ((upper, (0, half)), (left, (half, 0))):
            for i in range(0, side, step):
                for j in range(0, side, step):
                    y, x = i + a, j + b
                    around = ((y + half, x), (y - half, x), (y, x + half), (y, x - half))
                    total = sum(heights[v % side, u % side] for v, u in around)
                    heights[y, x] = total / 4 + roughness**2 * stage[i // step, j // step]
        step, roughness = half, roughness / decay
    heights -= heights.min()
    return np.asarray(heights / heights.max())


def test_the_fractal_is_diamond_square_on_a_torus() -> None:
    ours = weather.plasma(1, 15, 2.5, torch.Generator().manual_seed(1))
    assert ours.shape == (1, 16, 16)
    generator, draws, step = torch.Generator().manual_seed(1), [], 16
    while step >= 2:
        shape = (1, 16 // step, 16 // step)
        draws += [(2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)[0].numpy() for _ in range(3)]
        step //= 2
    assert np.allclose(ours[0].numpy(), their_plasma(draws, 16, 2.5), atol=1e-12, rtol=0)


def test_fog_and_frost_are_their_mixtures() -> None:
    images = pictures()
    values = images.double() / 255
    haze = weather.plasma(len(images), 32, 1.75, torch.Generator().manual_seed(2))[:, None]
    largest = values.amax((1, 2, 3), keepdim=True)
    ours = weather.fog(values, (1.5, 1.75), torch.Generator().manual_seed(2))
    assert torch.allclose(ours, (values + 1.5 * haze) * largest / (largest + 1.5), atol=1e-12, rtol=0)
    assert torch.equal(ours[-3], torch.zeros(3, 32, 32).double())  # a black image keeps its largest value
    thin, thick = (weather.frost(values, (1, share), torch.Generator().manual_seed(2)) for share in (0.2, 0.4))
    ice = (thick - thin) / 0.2
    assert 0.3 < float(ice.min()) < float(ice.max()) <= 1
    assert torch.allclose(thin - 0.2 * ice, values, atol=1e-12, rtol=0)


def test_snow_is_light_in_places_and_symmetric() -> None:
    black = torch.zeros(50, 3, 32, 32, dtype=torch.float64)
    strength = BY_NAME["snow"].strengths[0]
    fallen = weather.snow(black, strength, torch.Generator().manual_seed(0)) - (1 - strength[-1]) * 0.5
    assert torch.equal(fallen[:, 0], fallen[:, 1])
    assert torch.allclose(fallen, fallen.flip(2, 3), atol=1e-12, rtol=0)
    assert 0 < float((fallen > 0.01).double().mean()) < 0.5
    white = torch.ones(2, 3, 32, 32, dtype=torch.float64)
    assert float(weather.snow(white, strength, torch.Generator().manual_seed(0)).min()) >= 1 - 1e-12


def test_an_affine_map_moves_the_three_points_where_it_should() -> None:
    down, across = (torch.arange(33.0).double()[:, None].expand(33, 33), torch.arange(33.0).double().expand(33, 33))
    images = torch.stack([across, down]).expand(2, -1, -1, -1)
    moves = torch.tensor([[[1.0, -2.0], [0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0]] * 3]).double()
    found = digital._affine(images, moves)
    assert torch.allclose(found[1], images[1], atol=1e-9)
    high, low = 16 + 11, 16 - 11
    for (x, y), (right, lower) in zip(((high, high), (high, low), (low, low)), moves[0].int().tolist(), strict=True):
        seen = found[0, :, y + lower, x + right]
        assert seen.tolist() == pytest.approx([x, y], abs=1e-9)


def test_elastic_moves_neighbours_alike() -> None:
    """The field of a plane image is where its pixels come from."""
    plane = torch.arange(32.0).double().expand(8, 3, 32, 32) / 31
    moved = digital.elastic_transform(plane, (0.1, 0.04, 0.0), torch.Generator().manual_seed(0))
    shift = (moved - plane)[:, 0, 8:24, 8:24] * 31
    steps = 0.1 * 32 * 2 * (torch.rand(3, 8, 3, 2, dtype=torch.float64) - 0.5)  # only its size is compared
    assert 0.1 < float(shift.std()) < float(steps.std())
    assert float((shift[:, 1:] - shift[:, :-1]).std()) < float(shift.std())
    still = digital.elastic_transform(plane, (0, 0, 0), torch.Generator())
    assert torch.allclose(still, plane, atol=1e-12)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_an_image_becomes_the_same_whatever_was_drawn_before_and_whatever_comes_after(corruption: Corruption) -> None:
    images = pictures(size=16)
    torch.manual_seed(5)
    first = corrupted(images, corruption, 3)
    torch.manual_seed(6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(corrupted(images, corruption, 3), first)
    assert (first.shape, first.dtype) == (images.shape, torch.uint8)
    assert len(corruption.strengths) == len(SEVERITIES)
    assert not torch.equal(first[:3], images[:3])


def test_blocks_are_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(9)
    whole = corrupted(images, BY_NAME["fog"], 1)
    monkeypatch.setattr(catalogue, "_BLOCK", 5)
    parts = corrupted(images, BY_NAME["fog"], 1)
    assert torch.equal(parts[:1], corrupted(images[:5], BY_NAME["fog"], 1)[:1])
    assert not torch.equal(parts[5:8], whole[5:8])


def stripes() -> tuple[NDArray[np.uint8], ...]:
    """Three classes of colour images that a small network learns in a few steps: stripes of three directions."""
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 3
    down, across = np.mgrid[:16, :16]
    phase = generator.uniform(0, 6, (600, 1, 1))
    waves = np.select(
        [labels[:, None, None] == k for k in range(3)], [across + phase, down + phase, across + down + phase]
    )
    tint = generator.uniform(12, 30, (600, 1, 1, 3))
    images = 110 + np.sin(waves * 1.6)[..., None] * tint + generator.normal(0, 10, (600, 16, 16, 3))
    images = np.clip(images, 0, 255).astype(np.uint8)
    return images[:400], labels[:400], images[400:], labels[400:]


def stripes_network(num_classes: int, in_chans: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_chans, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveMaxPool2d(4), nn.Flatten(),
        nn.Linear(192, num_classes),
    )  # fmt: skip


def test_a_trained_network_does_worse_the_severer_the_corruption() -> None:
    data = DataConfig(name="tests.test_corruptions:stripes", validation_fraction=0.1)
    backbone = BackboneInfo(name="s", family="own", builder="tests.test_corruptions:stripes_network")
    config = replace(
        trial(backbone), recipe=named_recipe("digits"), data=data, epochs=6, hp={**trial().hp, "lr": 0.01}
    )
    trainer = make_trainer(config)
    for _ in range(6):
        trainer.train_epoch()
    clean = trainer.evaluate_test()
    assert clean > 0.95
    scores = trainer.evaluate_corruptions()
    assert [(score.corruption, score.severity) for score in scores] == [
        (corruption.name, severity) for corruption in CORRUPTIONS for severity in SEVERITIES
    ]
    assert trainer.evaluate_test() == clean
    assert trainer.evaluate_corruptions()[:3] == scores[:3]
    mean = [float(np.mean([s.top1 for s in scores if s.severity == severity])) for severity in SEVERITIES]
    # The authors' constants are not monotone in glass and elastic; the mean of all corruptions is, and the ends are.
    assert clean > mean[0] > mean[1] > mean[2] > mean[3] > mean[4]
    losses = [[s.loss for s in scores if s.corruption == corruption.name] for corruption in CORRUPTIONS]
    assert all(loss[-1] > loss[0] for loss in losses)
    assert all(1 / 4 < score.top1 <= 1 for score in scores)
