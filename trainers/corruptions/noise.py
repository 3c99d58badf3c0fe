"""Noise of each value of each pixel. Images are (N, 3, H, W) float64 in [0, 1]; results may be beyond."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def gaussian_noise(images: Tensor, deviation: float, generator: Generator) -> Tensor:
    """Normal noise of a standard deviation."""
    noise = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return images + deviation * noise.to(images.device)


def shot_noise(images: Tensor, photons: float, generator: Generator) -> Tensor:
    """Light that arrives as so many photons per full pixel: a Poisson count of them."""
    return (torch.poisson(images.cpu() * photons, generator=generator) / photons).to(images.device)


def impulse_noise(images: Tensor, share: float, generator: Generator) -> Tensor:
    """That share of the values becomes 0 or 1, as often one as the other."""
    draws = torch.rand((2, *images.shape), generator=generator, dtype=images.dtype).to(images.device)
    return torch.where(draws[0] <= share, (draws[1] <= 0.5).to(images.dtype), images)
