"""The record of one optimizer: its class, and the default and range of every hyper-parameter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from search_spaces.spaces import Dimension, Scale, SearchSpace

HpValue = float | int | bool | str | None
"""A hyper-parameter's value, as JSON can hold it."""


WARMUP_SHARE = "warmup_share"
"""A hyper-parameter of this name belongs to the schedule, not to the class: the rate rises linearly for this share of
the steps and then stays where it is, whatever the recipe says."""


class Grouping(StrEnum):
    """How an optimizer wants the parameters told apart."""

    DECAY = "decay"
    """Those with weight decay and those that the recipe exempts."""
    MATRICES = "matrices"
    """Before that, the weights of hidden linear and convolutional layers, which are stepped as matrices."""


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
    momentum (paper, Table A2); later: not in the paper; own: a user's class."""
    class_path: str
    """Import path, `package.module:Class`."""
    hyperparameters: tuple[Hyperparameter, ...]
    source: str = ""
    source_sha256: str | None = None
    """Digest of the source of a user's own class; None for what comes with a recorded version."""
    grouping: Grouping = Grouping.DECAY
    averages_weights: bool = False
    """Whether it is evaluated at an average of its own, which takes the place of a recipe's."""

    @property
    def has_own_schedule(self) -> bool:
        """Whether the rate follows its own warm-up and then stays constant, instead of the recipe's schedule."""
        return any(hp.name == WARMUP_SHARE for hp in self.hyperparameters)

    @property
    def space(self) -> SearchSpace:
        """The dimensions that are searched, learning rate and weight decay first."""
        return SearchSpace(dimensions=tuple(hp.dimension for hp in self.hyperparameters if hp.dimension is not None))

    @property
    def defaults(self) -> dict[str, HpValue]:
        """The published default of every hyper-parameter."""
        return {hp.name: hp.default for hp in self.hyperparameters}


def searched_rate(default: float, low: float, high: float) -> Hyperparameter:
    """A learning rate that is searched on a logarithmic scale."""
    return Hyperparameter(name="lr", default=default, dimension=Dimension(name="lr", low=low, high=high))


def searched_decay(default: float, low: float, high: float) -> Hyperparameter:
    """A weight decay that is searched, exactly 0 included."""
    dimension = Dimension(name="weight_decay", low=low, high=high, scale=Scale.ZERO_OR_LOG)
    return Hyperparameter(name="weight_decay", default=default, dimension=dimension)


def fixed(**values: HpValue) -> tuple[Hyperparameter, ...]:
    """Hyper-parameters that stay at these values unless a spec gives them a range."""
    momenta = {"momentum", "beta1", "beta2", "beta3", "alpha", "rho"}
    return tuple(
        Hyperparameter(name=name, default=value, optional_scale=Scale.LOG1M if name in momenta else None)
        for name, value in values.items()
    )
