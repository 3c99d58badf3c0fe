"""Names of augmentations that recipes choose between; `trainers.augmentation` computes them."""

from __future__ import annotations

from enum import StrEnum


class OperationSet(StrEnum):
    """Which operations RandAugment draws from."""

    RELEASED14 = "cifar14"
    """The 14 operations of the paper's CIFAR configs: Identity among them, neither Invert nor SolarizeAdd."""
    TIMM15 = "timm-increasing"
    """The 15 of timm's increasing set: Invert and SolarizeAdd among them, no Identity, translation up to 0.45."""


class ErasingForm(StrEnum):
    """What random erasing fills its rectangle with, and when."""

    BYTES = "bytes"
    """Pixels drawn around the mean colour, before normalisation, as the paper's CIFAR configs do."""
    NORMALISED = "normalised"
    """Standard normal values, after normalisation, as timm does."""
