"""Every recipe against the table it is taken from: `recipes.csv` of the paper's tables, copied as a fixture."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.catalogue import catalogue
from orchestrator.errors import SpecError
from orchestrator.planning.plan import Plan
from orchestrator.planning.preflight import check_plan
from search_spaces.augmentation_names import ErasingForm, OperationSet
from search_spaces.backbones import get_backbone
from search_spaces.datasets import DatasetInfo, get_dataset
from search_spaces.errors import UserError
from search_spaces.optimizers import get_optimizer
from search_spaces.paper_names import PAPER20
from search_spaces.paper_recipes import PAPER_FAMILY, RELEASED_AUGMENTED, RELEASED_CIFAR, RELEASED_IMAGENET
from search_spaces.recipe_info import Form
from search_spaces.recipes import DecayExemption, Loss, LrStep, Recipe, acting_recipe, list_recipes, recipe_for
from tests.planned_sweeps import small_plan

FIXTURES = Path(__file__).parent / "fixtures" / "paper"
CIFAR = get_dataset("cifar100")
IMAGENET = DatasetInfo(
    name="large", classes=1000, image_size=224, channels=3, train_count=1, test_count=1, needs_path=True,
    recipe="pytorch", form=Form.IMAGENET,
)  # fmt: skip
EPOCHS = {"cifar": 200, "pytorch-imagenet": 100, "deit-imagenet": 300, "rsb-a2-imagenet": 300, "rsb-a3-imagenet": 100}
RELEASED_ROWS = {
    "released-basic-r50": RELEASED_CIFAR["resnet50"],
    "released-r50-augmented": RELEASED_AUGMENTED["resnet50"],
    "released-densenet121-augmented": RELEASED_CIFAR["densenet121"],
    "released-convnext-t": RELEASED_CIFAR["convnext_tiny"],
    "released-moganet-s": RELEASED_CIFAR["moganet_small"],
    "released-deit-s": RELEASED_CIFAR["deit_small"],
    "released-mixer-s": RELEASED_CIFAR["mixer_s16"],
    "released-swin-t": RELEASED_CIFAR["swin_tiny"],
}


def family(name: str) -> Recipe:
    base, _, form = name.rpartition("-")
    dataset = CIFAR if form == "cifar" else IMAGENET
    return recipe_for(base, backbone="resnet50", dataset=dataset, image_size=dataset.image_size)


FAMILY_ROWS = {
    name: family(name)
    for name in (
        *("pytorch-cifar", "deit-cifar", "convnext-cifar", "rsb-a2-cifar"),
        *("pytorch-imagenet", "deit-imagenet", "rsb-a2-imagenet", "rsb-a3-imagenet"),
    )
}


def number(text: str) -> float:
    return float(re.match(r"[0-9.e-]+", text).group())  # type: ignore[union-attr]


def number_or_none(text: str) -> float | None:
    return None if text.startswith("none") else number(text)


def starts_share(text: str) -> float:
    return float(text.removeprefix("lr*"))


def effective_drop_path(text: str) -> float:
    return 0.0 if "the effective value is 0" in text else number(text)


def dropout_of_mlps(text: str) -> float:
    return 0.0 if "classifiers" in text else number(text)


def is_mixed(recipe: Recipe) -> tuple[float, float]:
    return recipe.mixup_alpha, recipe.cutmix_alpha


READERS: dict[str, tuple[Callable[[str], object], Callable[[Recipe], object]]] = {
    "label_smoothing": (number, lambda recipe: recipe.label_smoothing),
    "drop_path": (effective_drop_path, lambda recipe: recipe.drop_path),
    "dropout": (dropout_of_mlps, lambda recipe: recipe.mlp_dropout),
    "grad_clip": (number_or_none, lambda recipe: recipe.clip_grad_norm),
    "min_lr": (number, lambda recipe: recipe.min_lr),
    "warmup_start": (starts_share, lambda recipe: recipe.warmup_start_share),
    "lr_step": (lambda text: text.removeprefix("per "), lambda recipe: recipe.lr_step),
    "loss": (
        lambda text: {"CE": Loss.CROSS_ENTROPY, "BCE": Loss.BINARY}[text],
        lambda recipe: recipe.loss,
    ),
    "mixup_alpha": (number, lambda recipe: recipe.mixup_alpha),
    "cutmix_alpha": (number, lambda recipe: recipe.cutmix_alpha),
    "mix": (lambda text: (0.0, 0.0) if text == "none" else (0.8, 1.0), is_mixed),
    "erasing": (lambda text: 0.0 if text == "none" else number(text), lambda recipe: recipe.erasing),
    "ema": (lambda text: text.startswith("yes"), lambda recipe: recipe.ema_decay is not None),
    "ema_decay": (number, lambda recipe: recipe.ema_decay),
    "repeats": (number, lambda recipe: recipe.repeats),
    "repeated_augmentation": (
        lambda text: text.startswith("yes") or text == "RepeatAugSampler",
        lambda recipe: recipe.repeats > 1,
    ),
    "crop_ratio": (number, lambda recipe: recipe.test_crop_ratio),
    "no_weight_decay": (lambda text: DecayExemption.VECTORS, lambda recipe: recipe.decay_exemption),
    "crop_padding_32px": (number, lambda recipe: recipe.crop_padding),
    "randaugment_set": (
        lambda text: OperationSet.RELEASED14 if text.startswith("the 14") else OperationSet.TIMM15,
        lambda recipe: recipe.rand_augment,
    ),
    "erasing_mode": (lambda text: ErasingForm.NORMALISED, lambda recipe: recipe.erasing_form),
}
"""How a setting of the table reads, and where a recipe has it."""


def rows() -> list[tuple[str, str, str]]:
    with (FIXTURES / "recipes.csv").open(encoding="utf-8") as file:
        found = [(row["recipe"], row["setting"], row["value"]) for row in csv.DictReader(file)]
    known = {**FAMILY_ROWS, **RELEASED_ROWS}
    return [(recipe, setting, value) for recipe, setting, value in found if recipe in known and setting in READERS]


@pytest.mark.parametrize(("name", "setting", "value"), rows(), ids=lambda text: str(text)[:40])
def test_a_recipe_says_what_the_table_says(name: str, setting: str, value: str) -> None:
    read, held = READERS[setting]
    assert held({**FAMILY_ROWS, **RELEASED_ROWS}[name]) == read(value)


def test_the_comparison_reads_most_of_the_table() -> None:
    assert len(rows()) > 130


@pytest.mark.parametrize(
    ("name", "epochs"),
    [("deit-cifar", 5), ("convnext-cifar", 20), ("rsb-a2-cifar", 5), ("pytorch-cifar", 0), ("deit-imagenet", 5),
     ("released-deit-s", 20), ("released-swin-t", 20), ("released-convnext-t", 5), ("released-basic-r50", 0)],
)  # fmt: skip
def test_warm_up_is_that_many_epochs_of_the_papers_run(name: str, epochs: int) -> None:
    recipe = {**FAMILY_ROWS, **RELEASED_ROWS}[name]
    assert recipe.warmup_share * EPOCHS.get(name, 200) == pytest.approx(epochs)


@pytest.mark.parametrize(
    ("name", "magnitude"), [("deit-cifar", 9), ("convnext-cifar", 9), ("rsb-a2-cifar", 7), ("released-swin-t", 7),
                            ("released-moganet-s", 9), ("rsb-a3-imagenet", 6), ("deit-imagenet", 9)],
)  # fmt: skip
def test_the_magnitude_of_rand_augment(name: str, magnitude: float) -> None:
    recipe = {**FAMILY_ROWS, **RELEASED_ROWS}[name]
    assert (recipe.rand_augment_magnitude, recipe.rand_augment_std) == (magnitude, 0.5)


@pytest.mark.parametrize("backbone", PAPER20)
def test_the_paper_recipe_of_a_backbone_is_that_of_table_a1(backbone: str) -> None:
    own = recipe_for("paper", backbone=backbone, dataset=CIFAR, image_size=32)
    of_family = recipe_for(PAPER_FAMILY[backbone], backbone=backbone, dataset=CIFAR, image_size=32)
    assert own.name == "paper"
    assert (own.loss, own.repeats, own.drop_path) == (of_family.loss, of_family.repeats, of_family.drop_path)


def test_enlarged_images_are_cropped_and_resized() -> None:
    small, large = (recipe_for("deit", backbone="x", dataset=CIFAR, image_size=size) for size in (32, 224))
    assert (small.crop_padding, small.resized_crop_scale) == (4, None)
    assert (large.crop_padding, large.resized_crop_scale) == (0, (0.8, 1.0))
    imagenet = recipe_for("deit", backbone="x", dataset=IMAGENET, image_size=224)
    assert imagenet.resized_crop_scale == (0.08, 1.0)
    a3 = recipe_for("rsb-a3", backbone="x", dataset=IMAGENET, image_size=224)
    assert (a3.train_size, a3.test_crop_ratio) == (160, 0.95)


def test_every_listed_recipe_can_be_had_and_others_are_refused_by_name() -> None:
    for named in list_recipes():
        assert recipe_for(named.name, backbone="resnet50", dataset=CIFAR, image_size=32).name == named.name
    with pytest.raises(UserError, match=r"did you mean .*deit"):
        recipe_for("diet", backbone="resnet50", dataset=CIFAR, image_size=32)
    with pytest.raises(UserError, match=r"none of them.*name a family"):
        recipe_for("paper", backbone="resnet18", dataset=CIFAR, image_size=32)
    with pytest.raises(UserError, match="no official cifar config for caformer_s12; it is defined for resnet50"):
        recipe_for("released", backbone="caformer_s12", dataset=CIFAR, image_size=32)


def test_the_papers_code_exempts_weights_by_optimizer() -> None:
    released = recipe_for("released", backbone="resnet50", dataset=CIFAR, image_size=32).decay_exemption
    assert {name: released.acting_for(name) for name in ("adamw", "sgd")} == {
        "adamw": DecayExemption.VECTORS,
        "sgd": DecayExemption.NONE,
    }
    assert DecayExemption.VECTORS.acting_for("sgd") is DecayExemption.VECTORS


@pytest.mark.parametrize(
    ("backbone", "drop_path", "warmup_epochs", "start", "lowest", "clip", "smoothing", "resized_to", "has_average"),
    [
        ("unireplknet_tiny", 0.2, 20, 1e-6, 1e-6, None, 0.1, 248, False),
        ("transnext_tiny", 0.25, 5, 1e-6, 1e-6, 5.0, 0.1, 248, False),
        ("convnextv2_tiny", 0.2, 40, 1e-3, 1e-5, None, 0.2, 256, True),
        ("identityformer_s12", 0.1, 5, 1e-6, 1e-6, 5.0, 0.1, 236, False),
        ("poolformerv2_s12", 0.1, 5, 1e-6, 1e-6, 5.0, 0.1, 236, False),
        ("deit_small", 0.1, 5, 1e-6, 1e-5, 5.0, 0.1, 256, False),
    ],
)
def test_a_released_imagenet_recipe_is_its_official_config(
    backbone: str,
    drop_path: float,
    warmup_epochs: int,
    start: float,
    lowest: float,
    clip: float | None,
    smoothing: float,
    resized_to: int,
    *,
    has_average: bool,
) -> None:
    """Read off the files that each recipe names as its source."""
    recipe = RELEASED_IMAGENET[backbone]
    assert (recipe.drop_path, recipe.min_lr, recipe.clip_grad_norm) == (drop_path, lowest, clip)
    assert (recipe.warmup_share, recipe.warmup_start_share) == (warmup_epochs / 300, start)
    assert (recipe.label_smoothing, recipe.repeats, recipe.lr_step) == (smoothing, 1, LrStep.STEP)
    assert round(224 / recipe.test_crop_ratio) == resized_to
    assert (recipe.ema_decay is not None) == has_average


def test_no_named_recipe_has_a_setting_that_does_not_act() -> None:
    tables = (FAMILY_ROWS, RELEASED_CIFAR, RELEASED_AUGMENTED, RELEASED_IMAGENET)
    for recipe in (recipe for table in tables for recipe in table.values()):
        assert recipe.acting() == recipe


def plan_of_digits(backbone: str, **training: object) -> Plan:
    grid = {"backbones": [backbone], "optimizers": ["sgd"]}
    return small_plan(grid=grid, data={"name": "digits"}, training={"epochs": 2, **training})


@pytest.mark.parametrize(
    "fields",
    [
        {"crop_padding": 1, "resized_crop_scale": [0.5, 1.0]},
        {"rand_augment_magnitude": 5.0},
        {"rand_augment_std": 0.1, "rand_augment": "none"},
        {"erasing_form": "normalised"},
        {"warmup_start_share": 0.1, "warmup_share": 0.0},
    ],
)
def test_a_recipe_field_that_acts_in_no_cell_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"training.{next(iter(fields))} = .* acts in no cell: .* needs"):
        plan_of_digits("resnet_digits", **fields)


def test_a_padded_crop_is_recorded_only_where_it_acts() -> None:
    plan = small_plan(
        grid={"backbones": ["resnet50", "deit_small"], "optimizers": ["sgd"], "recipes": ["paper"]},
        data={"name": "cifar100", "path": "/data"},
        training={"epochs": 2, "crop_padding": 2},
    )
    assert {cell.backbone.name: cell.recipe.crop_padding for cell in plan.cells} == {"resnet50": 2, "deit_small": 0}


def test_a_network_of_fixed_size_is_not_trained_at_another_one() -> None:
    check_plan(plan_of_digits("convnext_digits", train_size=16))
    with pytest.raises(SpecError, match=r"vit_digits cannot train on images of 16 px .* set training.train_size"):
        check_plan(plan_of_digits("vit_digits", train_size=16))


def test_what_the_pair_keeps_from_acting_is_off_in_what_is_recorded() -> None:
    recipe = replace(recipe_for("deit", backbone="x", dataset=CIFAR, image_size=32), mlp_dropout=0.1)
    plain, alone = get_backbone("alexnet"), get_optimizer("adamw_schedulefree")
    acting = acting_recipe(recipe, plain, alone)
    assert (acting.drop_path, acting.mlp_dropout) == (0.0, 0.0)
    assert (acting.warmup_share, acting.min_lr, acting.ema_decay, acting.ema_reference_steps) == (
        0.0,
        0.0,
        None,
        None,
    )
    kept = acting_recipe(recipe, get_backbone("mixer_s16"), get_optimizer("adamw"))
    assert kept == recipe.acting()
    released = recipe_for("released", backbone="resnet50", dataset=CIFAR, image_size=32)
    assert acting_recipe(released, plain, get_optimizer("sgd")).decay_exemption is DecayExemption.NONE


def test_the_catalogue_shows_what_a_family_sets_in_each_form() -> None:
    (entry,) = [entry for entry in catalogue("recipes") if entry["name"] == "deit"]
    assert "drop_path 0.1" in entry["cifar"]
    assert "rand_augment cifar14" in entry["cifar"]
    assert "test_crop_ratio 0.875" in entry["imagenet"]
    assert "mlp_dropout" not in entry["cifar"]
