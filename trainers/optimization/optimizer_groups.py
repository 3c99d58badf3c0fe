"""Which parameters an optimizer treats alike: with and without weight decay, and as matrices or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from search_spaces.optimizers import Grouping, HpValue
from search_spaces.recipes import DecayExemption
from trainers.trainer import ParameterGroup

_DECAYED_ONLY: dict[str, HpValue] = {"weight_decay": 0.0, "always_adapt": False}
"""What acts on decayed parameters alone, with its value for the exempt ones. `always_adapt` because LARS and LAMB
leave their trust ratio out for exempt parameters, which take the steps of SGD and Adam at the same rate."""

_AS_MATRICES: dict[str, HpValue] = {"use_muon": True}
_NOT_AS_MATRICES: dict[str, HpValue] = {"use_muon": False, "nesterov": False}
"""Muon's other groups; with `nesterov` timm would step them by NAdamW, where the paper has AdamW."""


def parameter_groups(
    network: nn.Module, arguments: Mapping[str, Any], exemption: DecayExemption, grouping: Grouping
) -> list[dict[str, Any]]:
    """The trained parameters of a network in groups with a name, empty ones left out.

    Args:
        network: The network.
        arguments: What the optimizer's constructor is given, for what differs by group.
        exemption: Which parameters get no weight decay.
        grouping: Whether hidden weights are a group of their own.
    """
    matrices = _matrix_names(network) if grouping is Grouping.MATRICES else frozenset()
    exempt = _exempt_names(network, exemption) if "weight_decay" in arguments else frozenset()
    decay = {name: arguments[name] for name in _DECAYED_ONLY if name in arguments}
    no_decay = {name: _DECAYED_ONLY[name] for name in decay}
    others = _NOT_AS_MATRICES if grouping is Grouping.MATRICES else {}
    groups: list[dict[str, Any]] = [
        {"name": "matrices", "params": [], **decay, **_AS_MATRICES},
        {"name": "decayed", "params": [], **decay, **others},
        {"name": "exempt", "params": [], **no_decay, **others},
    ]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[2 if name in exempt else 0 if name in matrices else 1]["params"].append(parameter)
    return [group for group in groups if group["params"]]


def described(group: Mapping[str, Any]) -> ParameterGroup:
    """What is recorded of a group."""
    return ParameterGroup(
        name=group["name"],
        tensors=len(group["params"]),
        parameters=sum(parameter.numel() for parameter in group["params"]),
        weight_decay=float(group.get("weight_decay", 0.0)),
    )


def _exempt_names(network: nn.Module, exemption: DecayExemption) -> frozenset[str]:
    if exemption is DecayExemption.NONE:
        return frozenset()
    # timm's networks say which of their parameters of more dimensions are not weights either.
    named = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()  # type: ignore[operator]
    vectors = (name for name, parameter in network.named_parameters() if parameter.ndim < 2)
    return frozenset(named) | frozenset(vectors)


def _matrix_names(network: nn.Module) -> frozenset[str]:
    """Weights of linear layers and convolutions but for the input's and the output's.

    The input's are the first layer and, of convolutions, those of as few channels (branches of one stem); the
    output's is the last layer. A depthwise convolution has no matrix between channels.
    """
    layers = {
        f"{name}.weight".removeprefix("."): layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | _ConvNd)
    }
    if len(layers) < 3:
        return frozenset()
    first, *hidden, _ = layers
    channels = getattr(layers[first], "in_channels", None)
    return frozenset(
        name
        for name in hidden
        if layers[name].weight.ndim == 2
        or (layers[name].weight.shape[1] > 1 and getattr(layers[name], "in_channels", None) != channels)
    )
