"""What `bocb doctor --grid` says of a pair: that it trains, or why it cannot."""

from __future__ import annotations

import math
from dataclasses import replace

from search_spaces.backbones import BackboneInfo, get_backbone
from search_spaces.optimizers import get_optimizer, list_optimizers
from trainers.config import Precision
from trainers.step_check import StepCheck, StepChecker


def checks(backbone: BackboneInfo, *optimizers: str, batch_size: int = 4) -> list[StepCheck]:
    checker = StepChecker(batch_size=batch_size, precision=Precision.FLOAT32, threads=1)
    return list(checker.check(backbone, 32, [get_optimizer(name) for name in optimizers]))


def tiny(recipe_of: str) -> BackboneInfo:
    """A small network that trains by the recipe of one of the paper's."""
    return replace(get_backbone("resnet_digits"), name=recipe_of)


def test_every_optimizer_takes_a_step_of_a_small_network() -> None:
    names = [info.name for info in list_optimizers()]
    for recipe_of in ("resnet50", "efficientnet_b0", "deit_small"):
        found = checks(tiny(recipe_of), *names)
        assert [(check.optimizer, check.error) for check in found] == [(name, None) for name in names]


def test_a_step_that_moves_nothing_or_leaves_no_finite_loss_is_an_error() -> None:
    sgd = replace(get_optimizer("sgd"), name="mine")  # at its default: the paper has no setting of it
    checker = StepChecker(batch_size=4, precision=Precision.FLOAT32, threads=1)
    still, wild = (
        replace(sgd, hyperparameters=(replace(sgd.hyperparameters[0], default=lr), *sgd.hyperparameters[1:]))
        for lr in (0.0, math.inf)
    )
    found = list(checker.check(tiny("resnet50"), 32, [still, wild, sgd]))
    assert [check.error for check in found][::2] == ["ValueError: no weight has changed", None]
    assert "the loss is" in str(found[1].error)


def test_a_network_that_cannot_be_built_is_an_error_of_each_of_its_pairs() -> None:
    found = checks(replace(get_backbone("vit_digits"), name="deit_small"), "sgd", "adamw")
    assert [check.optimizer for check in found] == ["sgd", "adamw"]
    assert all("takes images of 8 px; got 32 px" in str(check.error) for check in found)
