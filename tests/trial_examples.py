"""Small trial configs for tests of trainers."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from search_spaces.augmentation_names import OperationSet
from search_spaces.backbones import BackboneInfo
from search_spaces.datasets import get_dataset
from search_spaces.optimizers import HpValue, get_optimizer
from search_spaces.recipes import Recipe, recipe_for
from trainers.config import DataConfig, TrialConfig
from trainers.make import make_trainer
from trainers.measurement import Measurement
from trainers.networks.backbones import resolve_backbone
from trainers.trainer import Trainer

# Validating on little and training on less keeps an epoch at a few milliseconds.
TINY_DATA = DataConfig(name="digits", validation_fraction=0.9)
BUSY_RECIPE = Recipe(
    name="busy",
    warmup_share=0.2,
    label_smoothing=0.1,
    clip_grad_norm=1.0,
    ema_decay=0.9,
    crop_padding=1,
    horizontal_flip=True,
    rand_augment=OperationSet.RELEASED14,
    rand_augment_magnitude=5.0,
    erasing=0.25,
    mixup_alpha=0.8,
    cutmix_alpha=1.0,
    repeats=2,
)
TINY_BACKBONE = BackboneInfo(name="tiny", family="own", builder="tests.trial_examples:tiny_network")


def named_recipe(name: str) -> Recipe:
    """A recipe of the catalogue as a network takes it on the digits."""
    return recipe_for(name, backbone="resnet50", dataset=get_dataset("digits"), image_size=8)


def tiny_network(num_classes: int, in_chans: int) -> nn.Module:
    """Convolution, BatchNorm and dropout: everything that keeps state or draws numbers."""
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(),
        nn.Linear(72, num_classes),
    )  # fmt: skip


def trial(
    backbone: BackboneInfo | str = TINY_BACKBONE,
    optimizer: str = "adamw",
    *,
    hp: dict[str, HpValue] | None = None,
    **changes: Any,
) -> TrialConfig:
    """A trial of three short epochs, with every switch of the recipe on."""
    info = get_optimizer(optimizer)
    config = TrialConfig(
        backbone=resolve_backbone(backbone) if isinstance(backbone, str) else backbone,
        optimizer=info,
        hp={**info.defaults, **(hp or {})},
        recipe=BUSY_RECIPE,
        data=TINY_DATA,
        epochs=3,
        batch_size=32,
        seed=1,
    )
    return replace(config, **changes)


def run(trainer: Trainer, epochs: int) -> list[Measurement]:
    """The next epochs' measurements, without their durations."""
    return [replace(trainer.train_epoch(), seconds=0.0) for _ in range(epochs)]


def fingerprint(trainer: Trainer) -> str:
    """A digest of every bit of a vision trainer's weights and optimizer state."""
    digest = hashlib.sha256()
    _feed(digest, torch.load(io.BytesIO(trainer.snapshot()()), weights_only=True))
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            digest.update(str(key).encode())
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(digest, item)
    elif isinstance(value, torch.Tensor):
        digest.update(value.contiguous().numpy().tobytes())
    else:
        digest.update(repr(value).encode())


def whole_run(config: TrialConfig) -> tuple[list[Measurement], str]:
    """All measurements of a trial and the digest of its end."""
    trainer = make_trainer(config)
    return run(trainer, config.epochs), fingerprint(trainer)
