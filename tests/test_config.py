"""Trial configs travel as JSON and mean the same on the other side."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from search_spaces.backbones import BACKBONES, BackboneInfo, list_backbones
from search_spaces.optimizers import OPTIMIZERS, OptimizerInfo, get_optimizer, list_optimizers, with_ranges
from tests.trial_examples import named_recipe
from trainers.config import DataConfig, TrialConfig, config_digest, recipe_digest


def config(backbone: BackboneInfo = BACKBONES[0], info: OptimizerInfo = OPTIMIZERS[0]) -> TrialConfig:
    return TrialConfig(
        backbone=backbone,
        optimizer=info,
        hp=info.defaults,
        recipe=named_recipe("digits"),
        data=DataConfig(name="digits"),
        epochs=2,
        batch_size=8,
        seed=2**62 + 1,
    )


@pytest.mark.parametrize("backbone", list_backbones(), ids=lambda info: info.name)
def test_every_backbone_survives_json(backbone: BackboneInfo) -> None:
    original = config(backbone=backbone)
    copy = TrialConfig.from_json(original.to_json())
    assert copy == original
    assert repr(copy.backbone.arguments) == repr(dict(original.backbone.arguments))


@pytest.mark.parametrize("info", list_optimizers(), ids=lambda info: info.name)
def test_every_optimizer_survives_json(info: OptimizerInfo) -> None:
    original = config(info=with_ranges(info, {"lr": [0.1, 0.7]}))
    copy = TrialConfig.from_json(original.to_json())
    assert copy == original
    assert repr(copy.optimizer) == repr(original.optimizer)
    assert repr(copy.hp) == repr(original.hp)


def test_the_digest_ignores_order_and_place_and_nothing_else() -> None:
    original = config()
    turned = replace(original, hp=dict(reversed(original.hp.items())))
    moved = replace(original, data=replace(original.data, path="/elsewhere"))
    assert config_digest(original) == config_digest(turned) == config_digest(moved)
    others = [
        replace(original, seed=1),
        replace(original, hp={**original.hp, "lr": 0.11}),
        replace(original, optimizer=get_optimizer("adam")),
        replace(original, recipe=named_recipe("pytorch")),
        replace(original, epochs=3),
    ]
    assert len({config_digest(other) for other in [original, *others]}) == 6


def test_a_recipe_is_its_numbers() -> None:
    recipe = named_recipe("digits")
    assert recipe_digest(replace(recipe, name="mine", source="")) == recipe_digest(recipe)
    assert recipe_digest(replace(recipe, label_smoothing=0.2)) != recipe_digest(recipe)


def test_what_can_be_swept_is_known_without_heavy_imports() -> None:
    program = (
        "import sys, pkgutil, importlib, search_spaces;"
        "[importlib.import_module('search_spaces.' + m.name) for m in pkgutil.iter_modules(search_spaces.__path__)];"
        "import trainers.networks.backbones, trainers.config, trainers.trainer, trainers.measurement;"
        "trainers.networks.backbones.resolve_backbone('vit_digits');"
        "found = {'torch', 'timm', 'ray', 'sklearn'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
