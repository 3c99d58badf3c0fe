"""The 15 corruptions of CIFAR-10-C and CIFAR-100-C in 5 severities, with the authors' constants for 32 px.

Source: Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(arXiv 1903.12261), and the `make_cifar_c.py` that they released. Their images are files of one drawing; ours are
drawn from seeds of their own, the same for every trial of every sweep and on every device. What deviates: frost is
made and not photographed (`weather.frost`), and OpenCV's fixed-point arithmetic is not followed
(`digital.elastic_transform`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from trainers.corruptions import blur, digital, noise, weather
from trainers.seeds import stream_seed

SEVERITIES = (1, 2, 3, 4, 5)
_BLOCK = 500
"""Images that share a stream of draws; they are also held in double precision at once."""
_ROUNDING = 1e-6
"""Of a level: a level that nothing has changed may come out just below itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """One way to spoil images."""

    name: str
    strengths: tuple[Any, ...]
    """What the function takes for each severity."""
    function: Callable[[Tensor, Any, Generator], Tensor]
    """Of images (N, 3, H, W) float64 in [0, 1], a strength and a generator on the CPU."""


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption(name="gaussian_noise", function=noise.gaussian_noise, strengths=(0.04, 0.06, 0.08, 0.09, 0.10)),
    Corruption(name="shot_noise", function=noise.shot_noise, strengths=(500, 250, 100, 75, 50)),
    Corruption(name="impulse_noise", function=noise.impulse_noise, strengths=(0.01, 0.02, 0.03, 0.05, 0.07)),
    Corruption(
        name="defocus_blur",
        function=blur.defocus_blur,
        strengths=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    Corruption(
        name="glass_blur",
        function=blur.glass_blur,
        strengths=((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2)),
    ),
    Corruption(name="motion_blur", function=blur.motion_blur, strengths=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    Corruption(name="zoom_blur", function=blur.zoom_blur, strengths=(1.06, 1.11, 1.16, 1.21, 1.26)),
    Corruption(
        name="snow",
        function=weather.snow,
        strengths=(
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    Corruption(
        name="frost",
        function=weather.frost,
        strengths=((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    ),
    Corruption(name="fog", function=weather.fog, strengths=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    Corruption(name="brightness", function=weather.brightness, strengths=(0.05, 0.1, 0.15, 0.2, 0.3)),
    Corruption(name="contrast", function=digital.contrast, strengths=(0.75, 0.5, 0.4, 0.3, 0.15)),
    Corruption(
        name="elastic_transform",
        function=digital.elastic_transform,
        strengths=((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    Corruption(name="pixelate", function=digital.pixelate, strengths=(0.95, 0.9, 0.85, 0.75, 0.65)),
    Corruption(name="jpeg_compression", function=digital.jpeg_compression, strengths=(80, 65, 58, 50, 40)),
)


@torch.no_grad()
def corrupted(images: Tensor, corruption: Corruption, severity: int) -> Tensor:
    """The images spoilt, cut off to bytes as the authors' files are.

    What becomes of an image depends on its place among the images, on nothing else.

    Args:
        images: (N, 3, S, S) uint8, on any device.
        corruption: One of `CORRUPTIONS`.
        severity: One of `SEVERITIES`.

    Returns:
        Images of the same shape, type and device.
    """
    spoil = partial(_block, corruption, severity)
    return torch.cat([spoil(block, place) for place, block in enumerate(torch.split(images, _BLOCK))])


def _block(corruption: Corruption, severity: int, images: Tensor, place: int) -> Tensor:
    seed = stream_seed(0, "corruption", corruption.name, severity, place)
    generator = torch.Generator().manual_seed(seed)
    strength = corruption.strengths[severity - 1]
    with torch.autocast(images.device.type, enabled=False):
        result = corruption.function(images.double() / 255, strength, generator)
    return (result.clamp(0, 1) * 255 + _ROUNDING).floor().to(torch.uint8)
