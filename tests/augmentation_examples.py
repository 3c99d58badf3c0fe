"""Images that show what an operation does at its corners, and the way to Pillow and back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from search_spaces.augmentation_names import OperationSet
from trainers.augmentation.operations import Operation, operations_of

# The work-around of that module makes timm and torchvision importable here.
importlib.import_module("trainers.networks.timm_models")
timm_augment = importlib.import_module("timm.data.auto_augment")

FILL = (114, 3, 250)
"""Three levels that no example is made of."""


@cache
def examples(channels: int, height: int, width: int) -> Tensor:
    """Noise, dark noise, two levels, a gradient, soft blobs, a grey constant, black and white: (8, C, H, W) uint8."""
    generator = torch.Generator().manual_seed(height * width + channels)
    shape = (channels, height, width)
    noise = torch.randint(0, 256, shape, generator=generator)
    ramp = torch.linspace(0, 255, height)[:, None] * 0.6 + torch.linspace(0, 255, width) * 0.4
    gradient = torch.stack([ramp, ramp.flip(0), ramp.flip(1)][:channels])
    coarse = 255 * torch.rand((1, channels, 4, 4), generator=generator)
    blobs = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").squeeze(0).clamp(0, 255)
    images = (
        noise,
        noise // 8 + 40,
        (noise > 200) * 255,
        torch.full(shape, 77),
        gradient,
        noise * 0,
        noise * 0 + 255,
    )
    return torch.stack([image.to(torch.uint8) for image in (*images, blobs)])


def as_pillow(image: Tensor) -> Image.Image:
    """(C, H, W) uint8 as an RGB or grey image."""
    pixels = image.permute(1, 2, 0).numpy()
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)


def from_pillow(image: Image.Image) -> Tensor:
    """The way back."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def each_by_pillow(images: Tensor, operation: Callable[..., Image.Image], *parameters: list[float]) -> Tensor:
    """What an operation of Pillow makes of each image, given its own parameters."""
    results = [operation(as_pillow(image), *given) for image, *given in zip(images, *parameters, strict=True)]
    return torch.stack([from_pillow(result) for result in results])


def largest_difference(first: Tensor, second: Tensor) -> int:
    """In levels."""
    return int((first.int() - second.int()).abs().max())


def named(names: OperationSet, fill: tuple[int, ...] = FILL) -> dict[str, Operation]:
    """The operations of a set by name."""
    return {operation.name: operation for operation in operations_of(names, fill)}
