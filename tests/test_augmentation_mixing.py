"""Mixup and CutMix: pixels and targets agree, with timm's and with each other, and the law of the draws."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainers.augmentation.mixing import Box, cutmix, draw_box, draw_share, mix, mixup

importlib.import_module("trainers.networks.timm_models")
timm_mixup = importlib.import_module("timm.data.mixup")


def batch(count: int = 6, size: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is i everywhere and has label i."""
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 3, size, size).clone()
    return images, torch.arange(count)


def mixed(seed: int, **given: float) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = batch()
    arguments = {"classes": 6, "mixup_alpha": 0.8, "cutmix_alpha": 1.0} | given
    return mix(images, labels, torch.Generator().manual_seed(seed), **arguments)  # type: ignore[arg-type]


def is_cutmix(images: torch.Tensor) -> bool:
    """Whether all pixels are whole numbers: those of one image or of another."""
    return bool((images == images.round()).all())


@pytest.mark.parametrize("alphas", [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_targets_have_the_shares_of_the_pixels(alphas: tuple[float, float], smoothing: float) -> None:
    """A target's mean label is the image's mean pixel (float32: 1e-5 of values up to 6)."""
    kinds = set()
    for seed in range(40):
        images, targets = mixed(seed, mixup_alpha=alphas[0], cutmix_alpha=alphas[1], label_smoothing=smoothing)
        assert targets.shape == (6, 6)
        assert targets.dtype == torch.float32
        assert targets.sum(1) == pytest.approx(torch.ones(6), abs=1e-6)
        sharp = (targets - smoothing / 6) / (1 - smoothing)
        assert (sharp @ torch.arange(6.0)) == pytest.approx(images.mean((1, 2, 3)), abs=1e-5)
        # One share for the whole batch, paired by a permutation: every column sums to one as well.
        assert sharp.sum(0) == pytest.approx(torch.ones(6), abs=1e-5)
        assert ((sharp > 1e-6).sum(1) <= 2).all()
        kinds.add(is_cutmix(images))
    assert kinds == {True, False} if min(alphas) > 0 else {alphas[0] == 0}


def test_half_of_the_batches_are_cut_unless_told_otherwise() -> None:
    """Binomial counts of 600 within 5 standard deviations; lambdas within 1e-3 of 0 or 1 do not matter here."""
    half = sum(is_cutmix(mixed(seed)[0]) for seed in range(600))
    assert abs(half - 300) < 61
    fifth = sum(is_cutmix(mixed(seed, switch_probability=0.2)[0]) for seed in range(600))
    assert abs(fifth - 120) < 49


def test_batches_are_mixed_with_the_probability_asked_for() -> None:
    original = batch()[0]
    whole = sum(torch.equal(mixed(seed, probability=0.3, cutmix_alpha=0.0)[0], original) for seed in range(600))
    assert abs(whole - 420) < 56  # 5 standard deviations


@pytest.mark.parametrize("given", [{"mixup_alpha": 0.0, "cutmix_alpha": 0.0}, {"probability": 0.0}])
def test_without_mixing_images_stay_and_targets_are_smooth(given: dict[str, float]) -> None:
    images, targets = mixed(0, label_smoothing=0.1, **given)
    assert torch.equal(images, batch()[0])
    expected = torch.full((6, 6), 0.1 / 6) + 0.9 * torch.eye(6)
    assert torch.allclose(targets, expected, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.1, 0.8, 1.0])
def test_shares_follow_the_beta_law(alpha: float) -> None:
    """Mean 1/2, variance 1 / (4 (2 alpha + 1)), within 5 standard errors of 4000 draws."""
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([draw_share(alpha, generator) for _ in range(4000)], dtype=torch.float64)
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 5 * (variance / 4000) ** 0.5
    squares = (shares - 0.5) ** 2
    assert abs(squares.mean() - variance) < 5 * (squares.var() / 4000) ** 0.5


def reference_box(height: int, width: int, share: float) -> tuple[int, int, int, int]:
    """The box of the authors' CutMix code, whose centre comes from numpy."""
    across = np.sqrt(1.0 - share)
    cut_height, cut_width = int(height * across), int(width * across)
    row, column = np.random.randint(height), np.random.randint(width)
    rows = np.clip([row - cut_height // 2, row + cut_height // 2], 0, height)
    columns = np.clip([column - cut_width // 2, column + cut_width // 2], 0, width)
    return int(rows[0]), int(rows[1]), int(columns[0]), int(columns[1])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.75, 1.0])
def test_boxes_are_those_of_the_authors_code(share: float) -> None:
    """The same set of boxes: every centre of a small image, from enough draws to meet each."""
    generator = torch.Generator().manual_seed(0)
    ours = [draw_box(5, 8, share, generator) for _ in range(800)]
    np.random.seed(0)
    theirs = {reference_box(5, 8, share) for _ in range(800)}
    assert {(box.top, box.bottom, box.left, box.right) for box in ours} == theirs


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.01, 0.99), seed=st.integers(0, 1000))
def test_mixup_of_a_pair_is_timms(share: float, seed: int) -> None:
    """timm pairs a batch with its mirror image, which two images have in common with a permutation."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.rand((2, 3, 6, 6), generator=generator), torch.tensor([4, 1])
    theirs = images.clone()
    timm = timm_mixup.Mixup(mixup_alpha=1.0, num_classes=5, label_smoothing=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "beta", lambda *_: share)
        patch.setattr(np.random, "rand", lambda: 0.0)
        theirs, targets = timm(theirs, labels)
        patch.setattr("trainers.augmentation.mixing.draw_share", lambda *_: share)
        patch.setattr(torch, "randperm", lambda count, generator: torch.arange(count).flip(0))
        ours, own_targets = mix(
            images, labels, generator, classes=5, mixup_alpha=1.0, cutmix_alpha=0.0, label_smoothing=0.1
        )
    # float32, added in another order.
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(own_targets, targets, atol=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_cutmix_of_a_pair_is_timms_given_its_box(share: float) -> None:
    images, labels = torch.rand((2, 3, 10, 12), generator=torch.Generator().manual_seed(0)), torch.tensor([4, 1])
    np.random.seed(3)
    (top, bottom, left, right), _ = timm_mixup.cutmix_bbox_and_lam((2, 3, 10, 12), share)
    box = Box(top=int(top), bottom=int(bottom), left=int(left), right=int(right))
    timm = timm_mixup.Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, num_classes=5, label_smoothing=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "beta", lambda *_: share)
        np.random.seed(3)
        patch.setattr(np.random, "rand", lambda: 0.0)
        theirs, targets = timm(images.clone(), labels)
        patch.setattr("trainers.augmentation.mixing.draw_box", lambda *_: box)
        patch.setattr(torch, "randperm", lambda count, generator: torch.arange(count).flip(0))
        ours, own_targets = mix(
            images, labels, torch.Generator(), classes=5, mixup_alpha=0.0, cutmix_alpha=1.0, label_smoothing=0.1
        )
    assert torch.equal(ours, theirs)
    assert torch.allclose(own_targets, targets, atol=1e-6)


def test_mixing_before_and_after_normalising_is_the_same() -> None:
    """Both are affine in the pixels; float32, values of a few units."""
    images = torch.rand((4, 3, 6, 6), generator=torch.Generator().manual_seed(0))
    partners, box = torch.tensor([2, 0, 3, 1]), Box(top=1, bottom=4, left=0, right=3)
    for operation in (lambda x: mixup(x, partners, 0.3), lambda x: cutmix(x, partners, box)):
        assert torch.allclose(operation((images - 0.4) / 0.2), (operation(images) - 0.4) / 0.2, atol=1e-5)


def test_draws_are_a_function_of_the_generator_and_leave_the_input() -> None:
    first, again, other = mixed(1), mixed(1), mixed(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    images, labels = batch()
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        mix(images, labels, generator, classes=6, mixup_alpha=0.8, cutmix_alpha=1.0)
    assert torch.equal(images, batch()[0])


def test_bytes_are_refused() -> None:
    with pytest.raises(TypeError, match="floating-point"):
        mix(*(part.byte() for part in batch()), torch.Generator(), classes=6, mixup_alpha=1.0, cutmix_alpha=0.0)
