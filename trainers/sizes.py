"""How large a trial's saved state is, from the network it builds and what its optimizer keeps per parameter."""

from __future__ import annotations

import torch
from torch import nn

from search_spaces.backbones import BackboneInfo
from search_spaces.datasets import get_dataset
from search_spaces.optimizers import OptimizerInfo
from search_spaces.recipes import DecayExemption
from trainers.backbones import build_backbone
from trainers.config import DataConfig
from trainers.optimizers import build_optimizer

OVERHEAD_BYTES = 100_000
"""Names, learning curve and container of a checkpoint: tens of kilobytes for the networks we know."""
_PROBE_SIDE = 64


def checkpoint_bytes(weights: int, state_share: float, *, has_average: bool = False) -> int:
    """Bytes of a checkpoint after the first step, rounded up.

    Args:
        weights: What `weight_bytes` says of its network.
        state_share: What `state_share` says of its optimizer.
        has_average: Whether its recipe keeps an average of the weights.
    """
    return OVERHEAD_BYTES + int(weights * (1 + state_share + has_average))


def weight_bytes(backbone: BackboneInfo, data: DataConfig, image_size: int) -> int:
    """Bytes of a network's parameters and buffers for a data set; 0 for a synthetic one.

    Args:
        backbone: The network.
        data: Its classes and channels count.
        image_size: Side of the images that the network sees, in pixels.
    """
    if data.name == "synthetic":
        return 0
    info = get_dataset(data.name)
    network = build_backbone(backbone, classes=info.classes, channels=info.channels, image_size=image_size)
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def state_share(optimizer: OptimizerInfo) -> float:
    """Bytes that an optimizer keeps per byte of weights, the most of a matrix, a convolution and a pointwise one.

    They differ where the state is factored: Adafactor over the kernel keeps two values per weight of a pointwise
    convolution and a thirtieth of one per weight of this matrix.
    """
    probes = (
        nn.Linear(_PROBE_SIDE, _PROBE_SIDE, bias=False),
        nn.Conv2d(_PROBE_SIDE, _PROBE_SIDE, 3, bias=False),
        nn.Conv2d(_PROBE_SIDE, _PROBE_SIDE, 1, bias=False),
    )
    return max(_measured_share(optimizer, probe) for probe in probes)


def _measured_share(optimizer: OptimizerInfo, probe: nn.Linear | nn.Conv2d) -> float:
    built = build_optimizer(optimizer, optimizer.defaults, probe, DecayExemption.NONE).optimizer
    probe.weight.grad = torch.zeros_like(probe.weight)
    built.step()
    tensors = [value for state in built.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.nbytes for tensor in tensors if tensor.numel() > 1) / probe.weight.nbytes
