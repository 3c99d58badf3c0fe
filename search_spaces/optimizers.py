"""The optimizers that can be swept: class, published defaults and ranges of every hyper-parameter.

A name means the published algorithm. Classes are named by import path and given every argument by
`trainers.optimizers`; the name factory of timm is never used, because it drops what an optimizer does not take.

Defaults and ranges are those of `search_spaces.csv` in the tables of the paper (arXiv 2410.06373): the setting of
the official CIFAR-100 configs where there is one, else the class default. Learning rates span 4 decades and weight
decays 3 for every optimizer, so that equal steps on the unit cube are equal factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from search_spaces.errors import UserError, unknown_name
from search_spaces.spaces import Dimension, Scale, SearchSpace, dimension_from_spec

HpValue = float | int | bool | str | None
"""A hyper-parameter's value, as JSON can hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameter:
    """One argument of an optimizer's class: its published default and, where it is searched, its range."""

    name: str
    default: HpValue
    dimension: Dimension | None = None
    optional_scale: Scale | None = None
    """Scale of its range where a spec asks for one; None takes `Scale.LOG`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerInfo:
    """One optimizer, with everything its constructor is given.

    `hyperparameters` named `beta1`, `beta2`, ... are passed together as the tuple `betas`; every other one is
    passed by its own name. `learning rate` is `lr` and weight decay `weight_decay` for all of them.
    """

    name: str
    category: str
    """a: fixed rate and momentum; b: adaptive rate and momentum; c: other estimated rates; d: adaptive without
    momentum (paper, Table A2); own: a user's class."""
    class_path: str
    """Import path, `package.module:Class`."""
    hyperparameters: tuple[Hyperparameter, ...]
    source: str = ""

    @property
    def space(self) -> SearchSpace:
        """The dimensions that are searched, learning rate and weight decay first."""
        return SearchSpace(dimensions=tuple(hp.dimension for hp in self.hyperparameters if hp.dimension is not None))

    @property
    def defaults(self) -> dict[str, HpValue]:
        """The published default of every hyper-parameter."""
        return {hp.name: hp.default for hp in self.hyperparameters}


def list_optimizers() -> tuple[OptimizerInfo, ...]:
    """Every optimizer of the catalogue, by category."""
    return OPTIMIZERS


def get_optimizer(name: str) -> OptimizerInfo:
    """The optimizer of that name.

    Raises:
        UserError: No optimizer has that name.
    """
    for info in OPTIMIZERS:
        if info.name == name:
            return info
    raise unknown_name("optimizer", name, (info.name for info in OPTIMIZERS))


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
    if any(info.name == name for info in OPTIMIZERS):
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


def _lr(default: float, low: float, high: float) -> Hyperparameter:
    return Hyperparameter(name="lr", default=default, dimension=Dimension(name="lr", low=low, high=high))


def _decay(default: float, low: float, high: float) -> Hyperparameter:
    dimension = Dimension(name="weight_decay", low=low, high=high, scale=Scale.ZERO_OR_LOG)
    return Hyperparameter(name="weight_decay", default=default, dimension=dimension)


def _fixed(**values: HpValue) -> tuple[Hyperparameter, ...]:
    momenta = {"momentum", "beta1", "beta2", "alpha"}
    return tuple(
        Hyperparameter(name=name, default=value, optional_scale=Scale.LOG1M if name in momenta else None)
        for name, value in values.items()
    )


OPTIMIZERS: tuple[OptimizerInfo, ...] = (
    OptimizerInfo(
        name="sgd",
        category="a",
        class_path="torch.optim:SGD",
        hyperparameters=(
            _lr(0.1, 0.0003162, 3.162),
            _decay(0.0001, 3.162e-06, 0.003162),
            *_fixed(momentum=0.9, dampening=0.0, nesterov=False),
        ),
        source="SGD with heavy-ball momentum: the paper's SGD-M",
    ),
    OptimizerInfo(
        name="lion",
        category="a",
        class_path="timm.optim:Lion",
        hyperparameters=(
            _lr(0.0001, 1e-06, 0.01),
            _decay(0.0, 0.001, 1.0),
            *_fixed(beta1=0.9, beta2=0.99, caution=False, corrected_weight_decay=False),
        ),
        source="Chen et al. 2023, arXiv 2302.06675",
    ),
    OptimizerInfo(
        name="adam",
        category="b",
        class_path="torch.optim:Adam",
        hyperparameters=(
            _lr(0.001, 1e-05, 0.1),
            _decay(0.0, 3.162e-06, 0.003162),
            *_fixed(beta1=0.9, beta2=0.999, eps=1e-08, amsgrad=False, decoupled_weight_decay=False),
        ),
        source="Kingma and Ba 2014, arXiv 1412.6980",
    ),
    OptimizerInfo(
        name="adamax",
        category="b",
        class_path="torch.optim:Adamax",
        hyperparameters=(
            _lr(0.002, 2e-05, 0.2),
            _decay(0.0, 3.162e-06, 0.003162),
            *_fixed(beta1=0.9, beta2=0.999, eps=1e-08),
        ),
        source="Kingma and Ba 2014, arXiv 1412.6980, section 7.1",
    ),
    OptimizerInfo(
        name="nadam",
        category="b",
        class_path="torch.optim:NAdam",
        hyperparameters=(
            _lr(0.002, 2e-05, 0.2),
            _decay(0.0, 3.162e-06, 0.003162),
            *_fixed(beta1=0.9, beta2=0.999, eps=1e-08, momentum_decay=0.004, decoupled_weight_decay=False),
        ),
        source="Dozat 2016, Incorporating Nesterov momentum into Adam",
    ),
    OptimizerInfo(
        name="adamw",
        category="b",
        class_path="torch.optim:AdamW",
        hyperparameters=(
            _lr(0.001, 1e-05, 0.1),
            _decay(0.05, 0.001, 1.0),
            *_fixed(beta1=0.9, beta2=0.999, eps=1e-08, amsgrad=False),
        ),
        source="Loshchilov and Hutter 2017, arXiv 1711.05101",
    ),
    OptimizerInfo(
        name="lamb",
        category="b",
        class_path="timm.optim:Lamb",
        hyperparameters=(
            _lr(0.001, 1e-05, 0.1),
            _decay(0.02, 0.001, 1.0),
            *_fixed(beta1=0.9, beta2=0.999, eps=1e-06, max_grad_norm=1.0, bias_correction=True),
            # Without always_adapt a weight decay of 0 switches the trust ratio off: LAMB would become Adam.
            *_fixed(grad_averaging=True, trust_clip=False, always_adapt=True),
            *_fixed(decoupled_decay=False, caution=False, corrected_weight_decay=False),
        ),
        source="You et al. 2019, arXiv 1904.00962",
    ),
    OptimizerInfo(
        name="adagrad",
        category="d",
        class_path="torch.optim:Adagrad",
        hyperparameters=(
            _lr(0.01, 1e-05, 0.1),
            _decay(0.0, 3.162e-06, 0.003162),
            *_fixed(eps=1e-10, initial_accumulator_value=0.0, lr_decay=0.0),
        ),
        source="Duchi et al. 2011, Adaptive subgradient methods",
    ),
    OptimizerInfo(
        name="rmsprop",
        category="d",
        class_path="torch.optim:RMSprop",
        hyperparameters=(
            _lr(0.01, 1e-05, 0.1),
            _decay(0.0, 3.162e-06, 0.003162),
            *_fixed(alpha=0.99, eps=1e-08, momentum=0.0, centered=False),
        ),
        source="Tieleman and Hinton 2012, lecture 6.5, without momentum",
    ),
)
