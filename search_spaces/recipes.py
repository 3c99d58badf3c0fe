"""The named recipes, and which one a backbone takes on a data set."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from search_spaces.backbones import BackboneInfo, acting_drop_path
from search_spaces.datasets import DatasetInfo
from search_spaces.errors import UserError, unknown_name
from search_spaces.optimizer_info import OptimizerInfo
from search_spaces.paper_recipes import (
    PAPER_FAMILY,
    PAPER_FAMILY_IMAGENET,
    RELEASED_AUGMENTED,
    RELEASED_CIFAR,
    RELEASED_IMAGENET,
)
from search_spaces.recipe_families import FAMILIES, enlarged
from search_spaces.recipe_info import DecayExemption as DecayExemption
from search_spaces.recipe_info import Form
from search_spaces.recipe_info import Loss as Loss
from search_spaces.recipe_info import LrStep as LrStep
from search_spaces.recipe_info import Recipe as Recipe

_DIGITS = Recipe(
    name="digits",
    warmup_share=0.1,
    clip_grad_norm=5.0,
    source="own: no augmentation, because in 8 px a flip makes another sign and a shift of one costs 15 points",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRecipe:
    """What a name of a recipe stands for."""

    name: str
    backbones: str
    """Which backbones it is defined for."""
    source: str


RECIPES: tuple[NamedRecipe, ...] = (
    NamedRecipe(
        name="paper",
        backbones="those of the paper",
        source="each backbone's own family: Table A1 of the paper, on ImageNet Table 2, arXiv 2410.06373",
    ),
    NamedRecipe(
        name="released",
        backbones=", ".join(RELEASED_CIFAR) + f"; on ImageNet {', '.join(RELEASED_IMAGENET)}",
        source="the official configs of the paper's code",
    ),
    NamedRecipe(
        name="released-augmented",
        backbones=", ".join(RELEASED_AUGMENTED),
        source="the second official CIFAR-100 config of ResNet-50",
    ),
    *(
        NamedRecipe(name=name, backbones="any", source=recipe.source)
        for (name, form), recipe in FAMILIES.items()
        if form is Form.CIFAR
    ),
    NamedRecipe(name="digits", backbones="any", source=_DIGITS.source),
)


def family_settings(name: str) -> dict[Form, dict[str, Any]]:
    """What a family of recipes sets, by form: the fields that are not off; empty for a name that is no family."""
    shown = [field for field in fields(Recipe) if field.name not in ("name", "source")]
    return {
        form: {field.name: value for field in shown if (value := getattr(recipe, field.name)) != field.default}
        for (family, form), recipe in FAMILIES.items()
        if family == name
    }


def list_recipes() -> tuple[NamedRecipe, ...]:
    """Every named recipe."""
    return RECIPES


def recipe_for(name: str, *, backbone: str, dataset: DatasetInfo, image_size: int) -> Recipe:
    """The recipe of that name as a backbone takes it on a data set.

    Args:
        name: One of `list_recipes`.
        backbone: Name of the network.
        dataset: Small images take the CIFAR form, others the ImageNet one.
        image_size: Side of the images that the network sees, in pixels. Where small images are enlarged to it, a
            random resized crop takes the place of the padded crop.

    Raises:
        UserError: No recipe has that name, or it is not defined for the backbone.
    """
    known = [named.name for named in RECIPES]
    if name not in known:
        raise unknown_name("recipe", name, known)
    if name == "digits":
        return _DIGITS
    recipe = _recipe(name, backbone, dataset.form)
    return enlarged(recipe) if dataset.form is Form.CIFAR and image_size > dataset.image_size else recipe


def acting_recipe(recipe: Recipe, backbone: BackboneInfo, optimizer: OptimizerInfo) -> Recipe:
    """What of a recipe acts in a pair: a field that the network or the optimizer keeps from acting is off."""
    fields: dict[str, Any] = {
        "drop_path": acting_drop_path(backbone, recipe.drop_path),
        "mlp_dropout": recipe.mlp_dropout if backbone.takes_mlp_dropout else 0.0,
        "decay_exemption": recipe.decay_exemption.acting_for(optimizer.name),
    }
    if optimizer.has_own_schedule:
        fields |= {"warmup_share": 0.0, "min_lr": 0.0, "lr_step": LrStep.STEP}
    if optimizer.averages_weights:
        fields["ema_decay"] = None
    return replace(recipe, **fields).acting()


def _recipe(name: str, backbone: str, form: Form) -> Recipe:
    if name == "paper":
        if backbone not in PAPER_FAMILY:
            raise UserError(
                f"recipe paper is defined for the backbones of the paper; {backbone} is none of them: "
                f"name a family, such as pytorch or deit"
            )
        families = PAPER_FAMILY_IMAGENET if form is Form.IMAGENET else PAPER_FAMILY
        return replace(FAMILIES[families[backbone], form], name=name)
    if (name, form) in FAMILIES:
        return FAMILIES[name, form]
    tables = {
        ("released", Form.CIFAR): RELEASED_CIFAR,
        ("released", Form.IMAGENET): RELEASED_IMAGENET,
        ("released-augmented", Form.CIFAR): RELEASED_AUGMENTED,
    }
    table = tables.get((name, form), {})
    if backbone not in table:
        accepted = ", ".join(table) or "no backbone"
        raise UserError(f"recipe {name} has no official {form} config for {backbone}; it is defined for {accepted}")
    return table[backbone]
