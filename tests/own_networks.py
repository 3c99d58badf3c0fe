"""Networks of a user's own, as a spec names them by `tests.own_networks:function`."""

from __future__ import annotations

import resource

import psutil
import torch
from torch import nn

BYTES_PER_IMAGE = 4 * 2**20
FREE_BYTES = 100 * 2**20


def hungry(num_classes: int, in_chans: int) -> nn.Module:
    """Wants more memory than this process may have where it is given more than 25 images at a time."""
    return _Hungry(num_classes, in_chans * 64)


def hungry_on_a_gpu(num_classes: int, in_chans: int) -> nn.Module:
    """Does where it is given more than 25 images at a time what torch does when a GPU is full."""
    return _HungryOnAGpu(num_classes, in_chans * 64)


class _HungryOnAGpu(nn.Module):
    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) * BYTES_PER_IMAGE > FREE_BYTES:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.layer(images.flatten(1))


class _Hungry(nn.Module):
    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        before = resource.getrlimit(resource.RLIMIT_AS)
        limit = psutil.Process().memory_info().vms + FREE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
        try:
            torch.empty(len(images) * BYTES_PER_IMAGE, dtype=torch.uint8)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        return self.layer(images.flatten(1))
