"""RandAugment (Cubuk et al. 2020): a few random operations on every image, all images of a batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.augmentation_names import OperationSet
from trainers.augmentation.operations import FULL_LEVEL, Operation, default_fill, operations_of

_PROBABILITY = 0.5
"""Of applying an operation that was drawn, in both sets."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """What happens to each of N images in each of `count` rounds: (count, N) on the CPU."""

    operations: Tensor
    """Places in the set."""
    is_applied: Tensor
    levels: Tensor
    """Magnitudes in [0, 10]; a draw of its own in every round."""
    signs: Tensor
    """-1 or 1."""


def rand_augment(
    images: Tensor,
    generator: torch.Generator,
    *,
    operations: OperationSet,
    magnitude: float,
    magnitude_std: float = 0.5,
    count: int = 2,
    fill: tuple[int, ...] | None = None,
) -> Tensor:
    """Each image after `count` operations, drawn with replacement and each applied with probability 1/2.

    Equals, for the same draws, Pillow's operations one image at a time (`colour`, `geometry`). Interpolation is
    bicubic; timm does that when it is told, else it draws between bilinear and bicubic.

    Args:
        images: (N, C, H, W) uint8, grey or RGB, any device.
        generator: On the CPU, so that the draws are the same on every device.
        operations: The set to draw from.
        magnitude: Mean level, of 10.
        magnitude_std: Standard deviation of the level, which is then clipped to [0, 10].
        count: Operations for each image.
        fill: Level of each channel where a moved image does not reach; by default the set's own (`default_fill`).
            timm gives its rounded mean of the normalisation.

    Returns:
        (N, C, H, W) uint8.
    """
    table = operations_of(operations, fill or default_fill(operations, images.shape[1]))
    draws = draw_operations(
        len(images), len(table), generator, magnitude=magnitude, magnitude_std=magnitude_std, count=count
    )
    return apply_operations(images, table, draws)


def draw_operations(
    images: int, operations: int, generator: torch.Generator, *, magnitude: float, magnitude_std: float, count: int
) -> Draws:
    """Draws for a number of images from a number of operations; see `rand_augment`."""
    shape = (count, images)
    choices = torch.randint(operations, shape, generator=generator)
    chances, signs = torch.rand((2, *shape), generator=generator)
    levels = magnitude + magnitude_std * torch.randn(shape, generator=generator, dtype=torch.float64)
    return Draws(
        operations=choices,
        is_applied=chances < _PROBABILITY,
        levels=levels.clamp(0, FULL_LEVEL),
        signs=torch.where(signs < 0.5, -1.0, 1.0).double(),
    )


def apply_operations(images: Tensor, table: tuple[Operation, ...], draws: Draws) -> Tensor:
    """Images after the operations that were drawn for each of them from a table."""
    images = images.clone()
    for choices, is_applied, levels, signs in zip(
        draws.operations, draws.is_applied, draws.levels, draws.signs, strict=True
    ):
        for place, operation in enumerate(table):
            # Chosen on the CPU, so that the device need not be waited for.
            chosen = (is_applied & (choices == place)).nonzero().squeeze(1)
            if len(chosen):
                places = chosen.to(images.device)
                parameters = operation.parameters(levels[chosen], signs[chosen])
                images[places] = operation.apply(images[places], parameters)
    return images
