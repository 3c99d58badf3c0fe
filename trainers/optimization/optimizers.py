"""Builds the optimizer that was asked for, and proves that what it holds is what was asked for."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import nn
from torch.optim import Optimizer

from search_spaces.errors import UserError, unknown_name
from search_spaces.optimizers import WARMUP_SHARE, Grouping, HpValue, OptimizerInfo, check_hyperparameters
from search_spaces.recipes import DecayExemption
from trainers.imports import check_source, load_callable
from trainers.optimization.optimizer_groups import described, parameter_groups
from trainers.trainer import ParameterGroup

_NOTHING = object()


@runtime_checkable
class AveragingOptimizer(Protocol):
    """An optimizer whose network has other weights while it trains than those that it is to be judged by."""

    def train(self) -> None:
        """Gives the network the weights that gradients are taken at."""
        ...

    def eval(self) -> None:
        """Gives the network the averaged weights; back and forth changes them by rounding."""
        ...


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
    known = _named_arguments(found)
    for name in _arguments(info.defaults, known):
        # A class that names none passes all of them on, and is looked at when it has been built.
        if known and name not in known:
            raise unknown_name(f"argument of {info.class_path}", name, known)
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
    arguments = _arguments(hp, _named_arguments(made))
    groups = parameter_groups(network, arguments, exemption, info.grouping)
    if info.grouping is Grouping.MATRICES and groups[0]["name"] != "matrices":
        raise UserError(
            f"{info.name} steps the weights of hidden layers, and this network has none between its first and its "
            "last layer: everything would be stepped as by AdamW; take adamw"
        )
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
        groups=tuple(described(group) for group in groups),
    )


def _named_arguments(made: type[Optimizer]) -> frozenset[str]:
    """What a class's constructor, and those that it may pass more arguments on to, take by name.

    `**kwargs` alone say nothing: pytorch-optimizer's classes have them and drop what they do not know.
    """
    found: set[str] = set()
    for owner in made.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        found |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return frozenset(found - {"self", "params", "defaults"})


def _arguments(hp: Mapping[str, HpValue], known: frozenset[str]) -> dict[str, Any]:
    """Constructor arguments by name, but for `beta1`, `beta2`, ... that the class wants together as `betas`."""
    given = {name: value for name, value in hp.items() if name != WARMUP_SHARE}
    together = [name for name in sorted(given) if _is_beta(name) and name not in known]
    others = {name: value for name, value in given.items() if name not in together}
    return {**others, "betas": tuple(given[name] for name in together)} if together else others


def _is_beta(name: str) -> bool:
    return name.startswith("beta") and name[4:].isdecimal()


def _implementation(made: type[Optimizer], device: torch.device) -> dict[str, bool]:
    """How the same arithmetic is carried out, fixed by class and kind of device: one kernel where torch has it."""
    parameters = inspect.signature(made).parameters
    # Adagrad's fused kernel exists on the CPU alone.
    if "fused" in parameters and not (made is torch.optim.Adagrad and device.type != "cpu"):
        return {"fused": True}
    return {"foreach": device.type != "cpu"} if "foreach" in parameters else {}


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
    by_name = {name: _held_value(optimizer, group, name, hp, betas) for name in sorted(hp)}
    return {name: by_name[name] for name in hp}


def _held_value(
    optimizer: Optimizer,
    group: Mapping[str, Any],
    name: str,
    hp: Mapping[str, HpValue],
    betas: Iterator[float | None],
) -> HpValue:
    if name == WARMUP_SHARE:
        return hp[name]  # held by the schedule
    if _is_beta(name):
        return cast("HpValue", group[name]) if name in group and "betas" in group else next(betas)
    return cast("HpValue", _held(optimizer, group, name))
