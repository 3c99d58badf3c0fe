"""Recipes: everything about training that is not the optimizer, as data.

A spec picks a recipe by name and may override any field in `[training]`. Durations in epochs that a recipe leaves
as a share scale with the length of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from search_spaces.errors import unknown_name


class DecayExemption(StrEnum):
    """Which parameters get no weight decay."""

    NONE = "none"
    """Every parameter is decayed."""
    VECTORS = "vectors"
    """Biases, normalisation weights and layer scales (every parameter with fewer than two dimensions) and what the
    network itself names (position embeddings, class token) are exempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained, whatever the optimizer."""

    name: str
    warmup_share: float = 0.0
    """Share of the epochs in which the rate rises linearly from 0; part of the cosine's horizon."""
    min_lr_share: float = 0.0
    """The cosine ends at this share of the peak rate."""
    label_smoothing: float = 0.0
    clip_grad_norm: float | None = None
    """Largest L2 norm of the whole gradient; None clips nothing."""
    crop_padding: int = 0
    """Pixels of reflect padding on each side before a random crop back to the image's size; 0 crops nothing."""
    horizontal_flip: bool = False
    decay_exemption: DecayExemption = DecayExemption.VECTORS
    source: str = ""
    """Where the numbers come from."""


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        name="pytorch",
        crop_padding=4,
        horizontal_flip=True,
        decay_exemption=DecayExemption.NONE,
        source="paper Table A3, PyTorch on CIFAR-100 at 32 px, with the crop of the official ResNet-50 config",
    ),
    Recipe(
        name="digits",
        warmup_share=0.1,
        clip_grad_norm=5.0,
        source="own: no augmentation, because in 8 px a flip makes another sign and a shift of one costs 15 points",
    ),
)


def list_recipes() -> tuple[Recipe, ...]:
    """Every named recipe."""
    return RECIPES


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: No recipe has that name.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise unknown_name("recipe", name, (recipe.name for recipe in RECIPES))
