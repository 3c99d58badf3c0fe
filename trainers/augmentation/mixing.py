"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of a batch with itself, and the targets that result."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle of pixels; ends are outside."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """In pixels."""
        return (self.bottom - self.top) * (self.right - self.left)


def mix(
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    classes: int,
    mixup_alpha: float,
    cutmix_alpha: float,
    probability: float = 1.0,
    switch_probability: float = 0.5,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """A batch mixed with a random permutation of itself by Mixup or CutMix, one share for all, and soft targets.

    The share of an image's own pixels is drawn from Beta(alpha, alpha); for CutMix it is then corrected to the area
    that is left, since the box may reach over the edge. The released code's CutMix draws its permutation again, up to
    ten times, while an image is paired with itself; here one image of a batch is, on average.

    Args:
        images: (N, C, H, W) float, normalised or not: normalising is affine and gives the same before and after.
            Bytes would be rounded.
        labels: (N,) int64.
        generator: On the CPU, so that the draws are the same on every device.
        classes: Number of classes.
        mixup_alpha: Of Mixup; 0 never takes it.
        cutmix_alpha: Of CutMix; 0 never takes it.
        probability: Of mixing a batch at all.
        switch_probability: Of CutMix, where both are allowed.
        label_smoothing: Share of every target that is spread evenly over all classes, after mixing.

    Returns:
        Images (N, C, H, W), themselves where nothing is mixed, and targets (N, classes) float32.

    Raises:
        TypeError: The images are not floats.
    """
    if not images.is_floating_point():
        raise TypeError(f"mixing needs floating-point images; got {images.dtype}")
    targets = torch.nn.functional.one_hot(labels, classes).float()
    chances = torch.rand(2, generator=generator).tolist()
    if (mixup_alpha > 0 or cutmix_alpha > 0) and chances[0] < probability:
        is_cutmix = cutmix_alpha > 0 and (mixup_alpha <= 0 or chances[1] < switch_probability)
        share = draw_share(cutmix_alpha if is_cutmix else mixup_alpha, generator)
        partners = torch.randperm(len(images), generator=generator).to(images.device)
        if is_cutmix:
            box = draw_box(images.shape[2], images.shape[3], share, generator)
            images = cutmix(images, partners, box)
            share = 1 - box.area / (images.shape[2] * images.shape[3])
        else:
            images = mixup(images, partners, share)
        targets = share * targets + (1 - share) * targets[partners]
    return images, (1 - label_smoothing) * targets + label_smoothing / classes


def draw_share(alpha: float, generator: torch.Generator) -> float:
    """One draw from Beta(alpha, alpha)."""
    # torch's own Beta takes no generator.
    seed = torch.randint(2**62, (), generator=generator).item()
    return float(np.random.default_rng(int(seed)).beta(alpha, alpha))


def draw_box(height: int, width: int, share: float, generator: torch.Generator) -> Box:
    """CutMix's box: about (1 - share) of the image, its centre uniform, cut to the image.

    The original code's law (Yun et al.), also of the released configs: half the side to either hand of the centre,
    rounded down. Newer versions of timm take a pixel more where the side is odd.
    """
    across = math.sqrt(1 - share)
    row = int(torch.randint(height, (), generator=generator))
    column = int(torch.randint(width, (), generator=generator))
    half_height, half_width = int(height * across) // 2, int(width * across) // 2
    return Box(
        top=max(row - half_height, 0),
        bottom=min(row + half_height, height),
        left=max(column - half_width, 0),
        right=min(column + half_width, width),
    )


def mixup(images: Tensor, partners: Tensor, share: float) -> Tensor:
    """A share of each image plus the rest of its partner, whose place in the batch is given."""
    return share * images + (1 - share) * images[partners]


def cutmix(images: Tensor, partners: Tensor, box: Box) -> Tensor:
    """Each image with a box of its partner, whose place in the batch is given."""
    mixed = images.clone()
    rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
    mixed[:, :, rows, columns] = images[:, :, rows, columns][partners]
    return mixed
