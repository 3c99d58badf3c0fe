"""The images of one part of a data set as a trial sees them, batch by batch, and those that live on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from search_spaces.recipes import Recipe
from trainers.augmentation.crops import random_crop, random_resized_crop, resize_and_center_crop
from trainers.seeds import stream_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How images are brought to the size that the network sees."""

    train_size: int
    """Side of the training images in pixels."""
    test_size: int
    test_crop_ratio: float = 1.0
    """Share of the resized image's side that the central crop keeps."""
    crop_padding: int = 0
    """Reflect padding before a random crop back to the image's own size; 0 crops nothing."""
    resized_crop_scale: tuple[float, float] | None = None
    """Share of the area that a random crop keeps before it is resized; None takes the whole image."""
    repeats: int = 1
    """How often an image comes in a row, each time cropped anew."""


def framing_of(recipe: Recipe, size: int) -> Framing:
    """How a recipe frames images for a network that sees them at `size` pixels."""
    return Framing(
        train_size=recipe.train_size or size,
        test_size=size,
        test_crop_ratio=recipe.test_crop_ratio,
        crop_padding=recipe.crop_padding,
        resized_crop_scale=recipe.resized_crop_scale,
        repeats=recipe.repeats,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Some images as the network sees them, before any augmentation but the crop, and their labels."""

    images: Tensor
    """(N, C, H, W), uint8, on the device."""
    labels: Tensor
    """(N,), int64, on the device."""


class Images(Protocol):
    """The labelled images of one part."""

    def __len__(self) -> int:
        """Images of one pass."""
        ...

    def steps(self, batch_size: int) -> int:
        """Batches of one training pass."""
        ...

    def training_batches(self, *, seed: int, epoch: int, batch_size: int, first_step: int = 0) -> Iterator[Batch]:
        """One pass in random order, randomly cropped.

        Order and crops are functions of seed and epoch alone: `first_step` = k gives what the whole pass gives from
        its k-th batch on.

        Raises:
            DataError: A file of the data is missing or damaged.
        """
        ...

    def evaluation_batches(self, *, batch_size: int) -> Iterator[Batch]:
        """One pass in a fixed order, centrally cropped.

        Raises:
            DataError: A file of the data is missing or damaged.
        """
        ...


class ResidentImages:
    """Images that live on the device.

    Args:
        images: (N, C, H, W), uint8, on the device.
        labels: (N,), int64, on the device.
        framing: How they are cropped and resized.
    """

    def __init__(self, images: Tensor, labels: Tensor, framing: Framing) -> None:
        self._images = images
        self._labels = labels
        self._framing = framing

    def __len__(self) -> int:
        return len(self._labels)

    def steps(self, batch_size: int) -> int:
        """Batches of one training pass."""
        return len(batch_bounds(len(self), batch_size))

    def training_batches(self, *, seed: int, epoch: int, batch_size: int, first_step: int = 0) -> Iterator[Batch]:
        """One pass in an order drawn for the epoch, cropped by draws of the step's own."""
        order = _order(len(self), self._framing.repeats, stream_seed(seed, "order", epoch))
        for step, (start, end) in enumerate(batch_bounds(len(order), batch_size)):
            if step < first_step:
                continue
            places = order[start:end].to(self._labels.device)
            generator = torch.Generator().manual_seed(stream_seed(seed, "crop", epoch, step))
            yield Batch(images=self._cropped(self._images[places], generator), labels=self._labels[places])

    def changed(self, change: Callable[[Tensor], Tensor]) -> ResidentImages:
        """Other images of the same labels and framing: what `change` makes of all of them, before any crop."""
        return ResidentImages(change(self._images), self._labels, self._framing)

    def evaluation_batches(self, *, batch_size: int) -> Iterator[Batch]:
        """One pass in the order they were given in."""
        framing = self._framing
        for start in range(0, len(self), batch_size):
            images = self._images[start : start + batch_size]
            framed = resize_and_center_crop(images, framing.test_size, framing.test_crop_ratio)
            yield Batch(images=framed, labels=self._labels[start : start + batch_size])

    def _cropped(self, images: Tensor, generator: torch.Generator) -> Tensor:
        framing = self._framing
        if framing.resized_crop_scale is not None:
            return random_resized_crop(images, framing.train_size, generator, scale=framing.resized_crop_scale)
        if framing.crop_padding:
            images = random_crop(images, framing.crop_padding, generator)
        return resize_and_center_crop(images, framing.train_size, 1.0)


def _order(count: int, repeats: int, seed: int) -> Tensor:
    """Places of the images of a pass: with repeats, so many images fewer, each as often in a row."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[: math.ceil(count / repeats)].repeat_interleave(repeats)[:count]


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Bounds of the batches of a pass. A last batch of one is left out: BatchNorm cannot train on it."""
    bounds = [(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    return bounds[:-1] if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1 else bounds
