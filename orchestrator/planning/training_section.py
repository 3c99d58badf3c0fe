"""[training] of a spec: the budget of a trial, its score, and any field of the recipe to override."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from orchestrator.planning.sections import Positive, Section
from search_spaces.augmentation_names import ErasingForm, OperationSet
from search_spaces.recipes import DecayExemption, Loss, LrStep, Recipe
from trainers.config import Precision
from trainers.measurement import ScoreRule

Share = Annotated[float, Field(ge=0, le=1)]
NONE = "none"
"""How a spec switches off what a recipe has: TOML has no null."""
Off = Literal["none"]


class TrainingSection(Section):
    """[training]. A recipe's field that is not given stays what the recipe says."""

    epochs: Positive
    batch_size: Positive = 128
    precision: Annotated[Precision, Field(strict=False)] = Precision.AUTO
    score: Annotated[ScoreRule, Field(strict=False)] = ScoreRule.FINAL

    loss: Annotated[Loss, Field(strict=False)] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    clip_grad_norm: Annotated[float, Field(gt=0)] | Off | None = None
    decay_exemption: Annotated[DecayExemption, Field(strict=False)] | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] | None = None
    mlp_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    warmup_epochs: Annotated[float, Field(ge=0)] | Annotated[int, Field(ge=0)] | None = None
    """In place of `warmup_share`; does not scale with the epochs."""
    warmup_share: Share | None = None
    warmup_start_share: Share | None = None
    min_lr: Annotated[float, Field(ge=0)] | None = None
    lr_step: Annotated[LrStep, Field(strict=False)] | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | Off | None = None
    """Taken as it is; that of a recipe scales with the length of the run."""
    train_size: Annotated[int, Field(ge=4, le=1024)] | Off | None = None
    test_crop_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    crop_padding: Annotated[int, Field(ge=0, le=64)] | None = None
    resized_crop_scale: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=2)] | (
        Off | None
    ) = None
    horizontal_flip: bool | None = None
    rand_augment: Annotated[OperationSet, Field(strict=False)] | Off | None = None
    rand_augment_magnitude: Annotated[float, Field(ge=0, le=10)] | None = None
    rand_augment_std: Annotated[float, Field(ge=0)] | None = None
    erasing: Share | None = None
    erasing_form: Annotated[ErasingForm, Field(strict=False)] | None = None
    mixup_alpha: Annotated[float, Field(ge=0)] | None = None
    cutmix_alpha: Annotated[float, Field(ge=0)] | None = None
    repeats: Annotated[int, Field(ge=1, le=10)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> TrainingSection:
        if self.warmup_epochs is not None and self.warmup_share is not None:
            raise ValueError("warmup_epochs and warmup_share say the same twice; give one of them")
        if self.warmup_epochs is not None and self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs = {self.warmup_epochs} is more than epochs = {self.epochs}")
        scale = self.resized_crop_scale
        if isinstance(scale, list) and scale[0] > scale[1]:
            raise ValueError(f"resized_crop_scale must be [smallest, largest]; got {scale}")
        return self

    def recipe_overrides(self) -> dict[str, Any]:
        """The recipe fields that the spec sets, by name, as the recipe holds them."""
        names = {field.name for field in fields(Recipe)} & set(TrainingSection.model_fields)
        given = {name: getattr(self, name) for name in sorted(names) if getattr(self, name) is not None}
        overrides = {
            name: None if value == NONE and name not in _HAVE_NONE else value for name, value in given.items()
        }
        if isinstance(self.resized_crop_scale, list):
            overrides["resized_crop_scale"] = tuple(self.resized_crop_scale)
        if self.warmup_epochs is not None:
            overrides["warmup_share"] = self.warmup_epochs / self.epochs
        if self.ema_decay is not None:
            overrides["ema_reference_steps"] = None
        return overrides


_HAVE_NONE = ("decay_exemption",)
"""Fields of which "none" is a value of its own."""
