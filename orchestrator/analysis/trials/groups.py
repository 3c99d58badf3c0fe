"""Families of backbones and categories of optimizers, as far as the catalogue knows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search_spaces.backbones import list_backbones
from search_spaces.optimizers import list_optimizers

FIXED_RATE = ("sgd", "sgdp")
"""Optimizers of one learning rate for all weights, which the planned contrast sets against category b."""
ADAPTIVE_CATEGORY = "b"
PAPER_CATEGORIES = ("a", "b", "c", "d")
"""Categories of the paper's taxonomy (its Table A2); the catalogue's others are no kinds of optimizers."""
CLASSICAL, MODERN = "primary+classical", "modern"
"""The two eras that the planned contrasts compare: networks before and after vision transformers."""
_ERAS = {"primary": CLASSICAL, "classical": CLASSICAL, "modern": MODERN}


def families(backbones: Iterable[str]) -> tuple[str | None, ...]:
    """The family of each backbone; None for names of timm and a user's own."""
    known = {info.name: info.family for info in list_backbones()}
    return tuple(known.get(name) for name in backbones)


def eras(names: Sequence[str | None]) -> tuple[str | None, ...]:
    """The era of each family, primary and classical taken together; None for families that are of no era."""
    return tuple(_ERAS.get(name or "") for name in names)


def categories(optimizers: Iterable[str]) -> tuple[str | None, ...]:
    """The category of each optimizer, a to d; None for later ones and a user's own."""
    known = {info.name: info.category for info in list_optimizers() if info.category in PAPER_CATEGORIES}
    return tuple(known.get(name) for name in optimizers)
