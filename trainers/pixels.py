"""From bytes to what a network sees."""

from __future__ import annotations

import torch
from torch import Tensor


class Pixels:
    """Normalises images by a data set's mean and standard deviation, both of pixels in [0, 1], one per channel."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, -1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Bytes (N, C, H, W) as normalised float32, in the layout that convolutions run fastest in."""
        normalised = (images.float() / 255 - self._mean) / self._std
        return normalised.contiguous(memory_format=torch.channels_last)
