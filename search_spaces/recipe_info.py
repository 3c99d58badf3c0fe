"""The record of one recipe: everything about training that is not the optimizer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from search_spaces.augmentation_names import ErasingForm, OperationSet


class DecayExemption(StrEnum):
    """Which parameters get no weight decay."""

    NONE = "none"
    """Every parameter is decayed."""
    VECTORS = "vectors"
    """Biases, normalisation weights and layer scales (every parameter with fewer than two dimensions) and what the
    network itself names (position embeddings, class token) are exempt."""
    RELEASED = "released"
    """As the paper's code has it: `vectors` for adamw, adan and lamb, `none` for every other optimizer."""

    def acting_for(self, optimizer: str) -> DecayExemption:
        """Which of the other two acts with an optimizer of that name."""
        if self is not DecayExemption.RELEASED:
            return self
        return DecayExemption.VECTORS if optimizer in ("adamw", "adan", "lamb") else DecayExemption.NONE


class Loss(StrEnum):
    """What is minimised."""

    CROSS_ENTROPY = "cross-entropy"
    BINARY = "binary"
    """Binary cross-entropy of every class by itself, the mean over images and classes."""


class LrStep(StrEnum):
    """When the cosine moves on; warm-up always rises step by step."""

    STEP = "step"
    EPOCH = "epoch"


class Form(StrEnum):
    """Which form of a family a data set takes."""

    CIFAR = "cifar"
    """Small images; trained at their own size, with a padded crop."""
    IMAGENET = "imagenet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a network is trained, whatever the optimizer.

    A duration that a recipe has as a share of the run scales with the length of the run.
    """

    name: str
    loss: Loss = Loss.CROSS_ENTROPY
    label_smoothing: float = 0.0
    clip_grad_norm: float | None = None
    """Largest L2 norm of the whole gradient; None clips nothing."""
    decay_exemption: DecayExemption = DecayExemption.VECTORS
    drop_path: float = 0.0
    """Stochastic depth: probability of dropping the last block's branch, rising linearly from 0 at the first."""
    mlp_dropout: float = 0.0
    """Probability of dropping a value within the MLP of every block, in networks that take it."""

    warmup_share: float = 0.0
    """Share of the run in which the rate rises linearly; part of the cosine's horizon."""
    warmup_start_share: float = 1e-5
    """The warm-up starts at this share of the rate. A weight that starts from 0 is nearly 0 after such a step, and
    LAMB and LARS, whose steps are in proportion to a weight's norm, then need thousands of steps to make it grow."""
    min_lr: float = 0.0
    """The cosine ends here, or at the peak where that is lower still."""
    lr_step: LrStep = LrStep.STEP

    ema_decay: float | None = None
    """Decay per step of the average of the weights; None keeps none. During warm-up it rises linearly from 9/10 of
    itself."""
    ema_reference_steps: int | None = None
    """Steps of the run that `ema_decay` was chosen for: a run of another length averages over the same share of
    itself. None takes the decay as it is."""

    train_size: int | None = None
    """Side of the training images in pixels where it is not that of the test images."""
    test_crop_ratio: float = 1.0
    """Share of the resized image's side that the central crop keeps for evaluation."""
    crop_padding: int = 0
    """Pixels of reflect padding on each side before a random crop back to the image's size; 0 crops nothing."""
    resized_crop_scale: tuple[float, float] | None = None
    """Share of the image's area that a random crop of aspect 3/4 to 4/3 keeps before it is resized."""
    horizontal_flip: bool = False
    rand_augment: OperationSet | None = None
    """Two operations for each image, drawn with replacement, each applied with probability 1/2."""
    rand_augment_magnitude: float = 0.0
    """Mean magnitude, of 10."""
    rand_augment_std: float = 0.5
    erasing: float = 0.0
    """Probability of erasing one rectangle."""
    erasing_form: ErasingForm = ErasingForm.BYTES
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    """Every batch is mixed, by Mixup or CutMix with equal probability where both have an alpha."""
    repeats: int = 1
    """Repeated augmentation: how often an image comes in a row, each time augmented anew; an epoch keeps its
    length."""
    source: str = ""
    """Where the numbers come from."""

    def acting(self) -> Recipe:
        """The same training, with every field that its other fields keep from acting at its default."""
        idle: list[str] = []
        if self.resized_crop_scale is not None:
            idle.append("crop_padding")
        if self.rand_augment is None:
            idle += ["rand_augment_magnitude", "rand_augment_std"]
        if not self.erasing:
            idle.append("erasing_form")
        if not self.warmup_share:
            idle.append("warmup_start_share")
        if self.ema_decay is None:
            idle.append("ema_reference_steps")
        defaults: dict[str, Any] = {field.name: field.default for field in fields(self) if field.name in idle}
        return replace(self, **defaults)
