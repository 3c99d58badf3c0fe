"""A recipe's augmentation of a whole batch on its device: from cropped bytes to inputs and soft targets."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.augmentation_names import ErasingForm
from search_spaces.recipes import Recipe
from trainers.augmentation.crops import random_flip
from trainers.augmentation.erasing import random_erasing, random_erasing_normalised
from trainers.augmentation.mixing import mix
from trainers.augmentation.rand_augment import rand_augment
from trainers.data.images import Batch
from trainers.pixels import Pixels


class Augmentation:
    """Flip, RandAugment, erasing, Mixup or CutMix, and label smoothing, each as a recipe has it.

    Args:
        recipe: What is done.
        pixels: Bytes to what the network sees.
        classes: Number of classes.
    """

    def __init__(self, recipe: Recipe, pixels: Pixels, classes: int) -> None:
        self._recipe = recipe
        self._pixels = pixels
        self._classes = classes

    def __call__(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs (N, C, H, W) and targets (N, classes), both float32; every draw is the generator's."""
        recipe = self._recipe
        inputs = self._pixels(self._augmented(batch.images, generator))
        if recipe.erasing and recipe.erasing_form is ErasingForm.NORMALISED:
            inputs = random_erasing_normalised(inputs, generator, probability=recipe.erasing)
        return mix(
            inputs,
            batch.labels,
            generator,
            classes=self._classes,
            mixup_alpha=recipe.mixup_alpha,
            cutmix_alpha=recipe.cutmix_alpha,
            label_smoothing=recipe.label_smoothing,
        )

    def _augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        recipe = self._recipe
        if recipe.horizontal_flip:
            images = random_flip(images, generator)
        if recipe.rand_augment is not None:
            images = rand_augment(
                images,
                generator,
                operations=recipe.rand_augment,
                magnitude=recipe.rand_augment_magnitude,
                magnitude_std=recipe.rand_augment_std,
            )
        if recipe.erasing and recipe.erasing_form is ErasingForm.BYTES:
            images = random_erasing(images, generator, probability=recipe.erasing)
        return images
