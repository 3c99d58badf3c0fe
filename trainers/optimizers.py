"""Builds the optimizer that was asked for, and proves that what it holds is what was asked for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.optim import Optimizer

from search_spaces.errors import UserError, unknown_name
from search_spaces.optimizers import HpValue, OptimizerInfo, check_hyperparameters
from search_spaces.recipes import DecayExemption
from trainers.imports import check_source, load_callable
from trainers.trainer import ParameterGroup

_DECAYED_ONLY: dict[str, HpValue] = {"weight_decay": 0.0, "always_adapt": False}
"""What acts on decayed parameters alone, with its value for the exempt ones. `always_adapt` because LARS and LAMB
leave their trust ratio out for exempt parameters, which take the steps of SGD and Adam at the same rate."""

_NOTHING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltOptimizer:
    """An optimizer and what it was found to hold."""

    optimizer: Optimizer
    class_path: str
    hp: dict[str, HpValue]
    groups: tuple[ParameterGroup, ...]


def optimizer_class(info: OptimizerInfo) -> type[Optimizer]:
    """The class of an optimizer, seen to take every one of its hyper-parameters.

    Raises:
        UserError: The class cannot be imported, is no torch optimizer, has another source than the one that was
            planned with, or lacks an argument.
    """
    found = load_callable(info.class_path, purpose=f"the class of optimizer {info.name}")
    check_source(info.class_path, info.source_sha256, purpose=f"the class of optimizer {info.name}")
    if not (isinstance(found, type) and issubclass(found, Optimizer)):
        raise UserError(f"the class of optimizer {info.name}, {info.class_path}, is not a torch.optim.Optimizer")
    parameters = inspect.signature(found).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in _arguments(info.defaults):
            if name not in parameters:
                raise unknown_name(f"argument of {info.class_path}", name, parameters)
    return found


def build_optimizer(
    info: OptimizerInfo, hp: Mapping[str, HpValue], network: nn.Module, exemption: DecayExemption
) -> BuiltOptimizer:
    """The optimizer of `info` over the trained parameters of `network`, with every hyper-parameter given.

    Raises:
        UserError: A hyper-parameter is unknown, missing, refused by the class, or not held by it afterwards.
    """
    check_hyperparameters(info, hp)
    made = optimizer_class(info)
    arguments = _arguments(hp)
    groups = _parameter_groups(network, arguments, exemption)
    parameters = [{key: value for key, value in group.items() if key != "name"} for group in groups]
    device = next(network.parameters()).device
    try:
        optimizer = made(parameters, **arguments, **_implementation(made, device))  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise UserError(f"optimizer {info.name} refuses {dict(hp)}: {error}") from error
    _check_held(info, optimizer, arguments, groups)
    return BuiltOptimizer(
        optimizer=optimizer,
        class_path=f"{made.__module__}:{made.__qualname__}",
        hp=_held_values(hp, optimizer),
        groups=tuple(_describe(group) for group in groups),
    )


def _arguments(hp: Mapping[str, HpValue]) -> dict[str, Any]:
    """Constructor arguments: `beta1`, `beta2`, ... together as `betas`, the rest by name."""
    betas = tuple(value for name, value in sorted(hp.items()) if _is_beta(name))
    others = {name: value for name, value in hp.items() if not _is_beta(name)}
    return {**others, "betas": betas} if betas else others


def _is_beta(name: str) -> bool:
    return name.startswith("beta") and name[4:].isdecimal()


def _implementation(made: type[Optimizer], device: torch.device) -> dict[str, bool]:
    """How the same arithmetic is carried out, fixed by class and kind of device: one kernel where torch has it."""
    parameters = inspect.signature(made).parameters
    # Adagrad's fused kernel exists on the CPU alone.
    if "fused" in parameters and not (made is torch.optim.Adagrad and device.type != "cpu"):
        return {"fused": True}
    return {"foreach": device.type != "cpu"} if "foreach" in parameters else {}


def _parameter_groups(
    network: nn.Module, arguments: Mapping[str, Any], exemption: DecayExemption
) -> list[dict[str, Any]]:
    exempt_names = _exempt_names(network, exemption) if "weight_decay" in arguments else frozenset()
    trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in trained if name not in exempt_names]
    exempt = [parameter for name, parameter in trained if name in exempt_names]
    options = {name: arguments[name] for name in _DECAYED_ONLY if name in arguments}
    groups = [{"name": "decayed", "params": decayed, **options}]
    groups.append({"name": "exempt", "params": exempt, **{name: _DECAYED_ONLY[name] for name in options}})
    return [group for group in groups if group["params"]]


def _exempt_names(network: nn.Module, exemption: DecayExemption) -> frozenset[str]:
    if exemption is DecayExemption.NONE:
        return frozenset()
    # timm's networks say which of their parameters of more dimensions are not weights either.
    named = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()  # type: ignore[operator]
    vectors = (name for name, parameter in network.named_parameters() if parameter.ndim < 2)
    return frozenset(named) | frozenset(vectors)


def _check_held(
    info: OptimizerInfo, optimizer: Optimizer, arguments: Mapping[str, Any], groups: list[dict[str, Any]]
) -> None:
    for held, asked in zip(optimizer.param_groups, groups, strict=True):
        for name, value in {**arguments, **asked}.items():
            if name in ("name", "params"):
                continue
            found = _held(optimizer, held, name)
            if found is _NOTHING:
                raise UserError(f"hyper-parameter {name} of {info.name} did not act: {info.class_path} drops it")
            if not _equal(found, value):
                raise UserError(f"{info.class_path} holds {name} = {found!r} where {value!r} was asked for")


def _held(optimizer: Optimizer, group: Mapping[str, Any], name: str) -> object:
    """An argument's value in a group, or on the optimizer where its class keeps it there for all groups."""
    if name in group:
        return group[name]
    if name == "betas":
        # timm's Adafactor takes betas and keeps beta1.
        return tuple(group[key] for key in sorted(group) if _is_beta(key)) or _NOTHING
    return getattr(optimizer, name, _NOTHING)


def _equal(held: object, asked: object) -> bool:
    if isinstance(asked, tuple):
        return isinstance(held, tuple | list) and tuple(held) == asked
    return held == asked


def _held_values(hp: Mapping[str, HpValue], optimizer: Optimizer) -> dict[str, HpValue]:
    group = optimizer.param_groups[0]
    betas = iter(cast("tuple[float | None, ...]", _held(optimizer, group, "betas")) if any(map(_is_beta, hp)) else ())
    by_name = {
        name: next(betas) if _is_beta(name) else cast("HpValue", _held(optimizer, group, name)) for name in sorted(hp)
    }
    return {name: by_name[name] for name in hp}


def _describe(group: Mapping[str, Any]) -> ParameterGroup:
    return ParameterGroup(
        name=group["name"],
        tensors=len(group["params"]),
        parameters=sum(parameter.numel() for parameter in group["params"]),
        weight_decay=float(group.get("weight_decay", 0.0)),
    )
