"""How large a trial's saved state is, from the network it builds and what its optimizer keeps of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces.backbones import BackboneInfo
from search_spaces.optimizers import Grouping, OptimizerInfo
from search_spaces.recipes import DecayExemption
from trainers.config import DataConfig
from trainers.data.dataset_info import describe_dataset
from trainers.networks.backbones import build_backbone
from trainers.optimization.curvature import CurvatureOptimizer
from trainers.optimization.optimizers import build_optimizer

OVERHEAD_BYTES = 100_000
"""Names, learning curve and container of a checkpoint: tens of kilobytes for the networks we know."""
_PROBE_SIDE = 64


def checkpoint_bytes(network: nn.Module | None, optimizer: OptimizerInfo, *, has_average: bool = False) -> int:
    """Bytes of a checkpoint after the first step, rounded up.

    Args:
        network: What `network_of` gives.
        optimizer: Its optimizer.
        has_average: Whether its recipe keeps an average of the weights.

    Raises:
        UserError: The optimizer cannot be built for the network.
    """
    if network is None:
        return OVERHEAD_BYTES
    weights: int = sum(tensor.nbytes for tensor in network.state_dict().values())
    return OVERHEAD_BYTES + weights * (1 + has_average) + state_bytes(network, optimizer)


def network_of(backbone: BackboneInfo, data: DataConfig, image_size: int) -> nn.Module | None:
    """The network for the classes and channels of a data set; None for a synthetic one.

    Args:
        backbone: The network.
        data: Its classes and channels count.
        image_size: Side of the images that the network sees, in pixels.
    """
    if data.name == "synthetic":
        return None
    info = describe_dataset(data)
    return build_backbone(backbone, classes=info.classes, channels=info.channels, image_size=image_size)


def state_bytes(network: nn.Module, optimizer: OptimizerInfo) -> int:
    """Bytes that an optimizer keeps of a network's parameters, rounded up.

    Raises:
        UserError: The optimizer cannot be built for the network.
    """
    built = build_optimizer(optimizer, optimizer.defaults, network, DecayExemption.NONE)
    shares = _measured_shares(optimizer)
    total = 0
    for described, group in zip(built.groups, built.optimizer.param_groups, strict=True):
        total += int(sum(parameter.nbytes for parameter in group["params"]) * shares[described.name])
        total += sum(_basis_bytes(parameter, optimizer) for parameter in group["params"])
    return total


def _basis_bytes(parameter: Tensor, optimizer: OptimizerInfo) -> int:
    """SOAP's preconditioner and its eigenvectors, of each dimension: squares that no share of the weights says."""
    limit = optimizer.defaults.get("max_precondition_dim")
    if not isinstance(limit, int) or parameter.ndim < 2:
        return 0
    return sum(2 * side**2 * parameter.element_size() for side in parameter.shape if side <= limit)


def _measured_shares(optimizer: OptimizerInfo) -> dict[str, float]:
    """Bytes kept per byte of weights, by group: the most of a matrix, a convolution and a pointwise one.

    They differ where the state is factored: Adafactor over the kernel keeps two values per weight of a pointwise
    convolution and a thirtieth of one per weight of this matrix.
    """
    side = _PROBE_SIDE
    if optimizer.grouping is Grouping.MATRICES:
        return _shares(optimizer, nn.Sequential(*(nn.Linear(side, side, bias=False) for _ in range(3))))
    probes = (
        nn.Linear(side, side, bias=False),
        nn.Conv2d(side, side, 3, bias=False),
        nn.Conv2d(side, side, 1, bias=False),
    )
    return {"decayed": max(_shares(optimizer, probe)["decayed"] for probe in probes)}


def _shares(optimizer: OptimizerInfo, probe: nn.Module) -> dict[str, float]:
    built = build_optimizer(optimizer, optimizer.defaults, probe, DecayExemption.NONE)
    stepped = built.optimizer
    for parameter in probe.parameters():
        parameter.grad = torch.zeros_like(parameter)
    if isinstance(stepped, CurvatureOptimizer):
        stepped.update_curvature(1)
    stepped.step()
    return {
        described.name: sum(_kept_bytes(stepped.state[parameter]) for parameter in group["params"])
        / sum(parameter.nbytes for parameter in group["params"])
        for described, group in zip(built.groups, stepped.param_groups, strict=True)
    }


def _kept_bytes(state: dict[str, object]) -> int:
    return sum(value.nbytes for value in state.values() if isinstance(value, Tensor) and value.numel() > 1)
