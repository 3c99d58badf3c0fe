"""Names of the augmentations that a recipe can ask for; `trainers/augmentation` computes them."""

from __future__ import annotations

from enum import StrEnum


class OperationSet(StrEnum):
    """Which operations RandAugment draws from, and what each level of magnitude means to them."""

    RELEASED14 = "cifar14"
    """The 14 of the paper's released CIFAR-100 configs: with Identity, without Invert and SolarizeAdd; posterising
    is weakest at the highest level; images move by up to 0.3 of their side."""
    TIMM15 = "timm-increasing"
    """The 15 of timm's `rand-m*-inc1`, each stronger at a higher level; images move by up to 0.45 of their side."""
