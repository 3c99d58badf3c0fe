"""The optimizers that can be swept, a user's own ones, and the ranges a spec gives them.

A name means the published algorithm; what the paper's code computes in its place has the suffix `_released`. Classes
are named by import path and given every argument by `trainers.optimization.optimizers`; the name factory of timm is
never used, because it drops what an optimizer does not take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.errors import UserError, unknown_name
from search_spaces.later_optimizers import LATER
from search_spaces.optimizer_info import WARMUP_SHARE as WARMUP_SHARE
from search_spaces.optimizer_info import Grouping as Grouping
from search_spaces.optimizer_info import HpValue as HpValue
from search_spaces.optimizer_info import Hyperparameter as Hyperparameter
from search_spaces.optimizer_info import OptimizerInfo as OptimizerInfo
from search_spaces.published_optimizers import PAPER20, PUBLISHED, SHORT_NAMES
from search_spaces.released_optimizers import RELEASED
from search_spaces.spaces import Scale, dimension_from_spec

OPTIMIZERS = (*PUBLISHED, *RELEASED, *LATER)

OPTIMIZER_LISTS: Mapping[str, tuple[str, ...]] = {
    "paper20": PAPER20,
    **{f"category_{letter}": tuple(i.name for i in PUBLISHED if i.category == letter) for letter in "abcd"},
    "later": tuple(info.name for info in LATER),
}
"""Names that stand for several optimizers in a grid: the paper's twenty, its categories, and what came after it."""


def list_optimizers() -> tuple[OptimizerInfo, ...]:
    """Every optimizer of the catalogue: the published ones by category, those of the paper's code, and later ones."""
    return OPTIMIZERS


def full_optimizer_name(name: str) -> str:
    """The catalogue's name for what the paper's tables call it; any other name as it is."""
    return SHORT_NAMES.get(name, name)


def expand_optimizers(name: str) -> tuple[str, ...]:
    """The optimizers that a word of a grid stands for: the members of a list, else the one it names."""
    return OPTIMIZER_LISTS.get(name) or (full_optimizer_name(name),)


def get_optimizer(name: str) -> OptimizerInfo:
    """The optimizer of that name.

    Raises:
        UserError: No optimizer has that name.
    """
    for info in OPTIMIZERS:
        if info.name == name:
            return info
    raise unknown_name("optimizer", name, (*(info.name for info in OPTIMIZERS), *OPTIMIZER_LISTS))


def with_ranges(info: OptimizerInfo, ranges: Mapping[str, object]) -> OptimizerInfo:
    """The same optimizer, searched over other ranges: what `[search_spaces.NAME]` of a spec says.

    A hyper-parameter with a number as its default may be added to the search this way (`momentum` of sgd).

    Args:
        info: The optimizer.
        ranges: `[low, high]` or `{low, high, scale}` by hyper-parameter; the scale stays where none is given.

    Raises:
        UserError: A name is not a hyper-parameter of it, or a range is impossible.
    """
    known = {hp.name: hp for hp in info.hyperparameters}
    for name in ranges:
        if name not in known:
            raise unknown_name(f"hyper-parameter of {info.name}", name, known)
    changed = tuple(
        _with_range(info, hp, ranges[hp.name]) if hp.name in ranges else hp for hp in info.hyperparameters
    )
    return replace(info, hyperparameters=changed)


def _with_range(info: OptimizerInfo, hp: Hyperparameter, value: object) -> Hyperparameter:
    if isinstance(hp.default, bool | str | None):
        raise UserError(f"{hp.name} of {info.name} is {hp.default!r}, not a number, so it has no range to search")
    scale = hp.dimension.scale if hp.dimension else hp.optional_scale or Scale.LOG
    return replace(hp, dimension=dimension_from_spec(hp.name, value, scale=scale))


def custom_optimizer(
    name: str, *, class_path: str, arguments: Mapping[str, HpValue], ranges: Mapping[str, object]
) -> OptimizerInfo:
    """The record of a user's own class: what `[optimizers.NAME]` and `[search_spaces.NAME]` of a spec say.

    Args:
        name: What the sweep calls it.
        class_path: `package.module:Class`.
        arguments: Constructor arguments and their defaults; `beta1`, `beta2`, ... make up `betas`.
        ranges: As in `with_ranges`. A hyper-parameter with a range and no default takes the middle of its range.

    Raises:
        UserError: The name is taken, the path has another form, there is no `lr`, or a range is impossible.
    """
    if name in OPTIMIZER_LISTS or any(info.name == full_optimizer_name(name) for info in OPTIMIZERS):
        raise UserError(f"[optimizers.{name}] has the name of an optimizer of the catalogue; choose another name")
    _check_import_path(name, class_path)
    names = dict.fromkeys(["lr", "weight_decay", *arguments, *ranges])
    hyperparameters = tuple(
        _custom_hyperparameter(key, arguments, ranges) for key in names if key in arguments or key in ranges
    )
    if "lr" not in arguments and "lr" not in ranges:
        raise UserError(f"[optimizers.{name}] needs a learning rate: give args.lr or [search_spaces.{name}] lr")
    return OptimizerInfo(
        name=name, category="own", class_path=class_path, hyperparameters=hyperparameters, source="the spec"
    )


def _custom_hyperparameter(
    name: str, arguments: Mapping[str, HpValue], ranges: Mapping[str, object]
) -> Hyperparameter:
    scale = Scale.ZERO_OR_LOG if name == "weight_decay" else Scale.LOG
    dimension = dimension_from_spec(name, ranges[name], scale=scale) if name in ranges else None
    middle = dimension.value_at(0.5) if dimension else None
    return Hyperparameter(name=name, default=arguments.get(name, middle), dimension=dimension)


def _check_import_path(name: str, class_path: str) -> None:
    module, _, attribute = class_path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise UserError(f"the class of [optimizers.{name}] must be written package.module:Class; got {class_path!r}")


def check_hyperparameters(info: OptimizerInfo, hp: Mapping[str, HpValue]) -> None:
    """Checks that `hp` has a value for every hyper-parameter of `info` and for nothing else.

    Raises:
        UserError: One is unknown or missing.
    """
    known = info.defaults
    for name in hp:
        if name not in known:
            raise unknown_name(f"hyper-parameter of {info.name}", name, known)
    missing = [name for name in known if name not in hp]
    if missing:
        raise UserError(f"{info.name} needs a value for {', '.join(missing)}; got only {', '.join(hp) or 'none'}")
