"""What every optimizer of the catalogue computes, against the published update, and what acts on it."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces.optimizers import HpValue, OptimizerInfo, get_optimizer, list_optimizers
from search_spaces.recipes import DecayExemption
from tests.optimizer_steps import STEPS, Weights, advance, at, built, difference, gradients
from tests.published_updates import UPDATES, Array, State, clipped
from trainers.optimization.optimizers import build_optimizer

OPTIMIZERS = [info for info in list_optimizers() if info.category != "later"]

every_optimizer = pytest.mark.parametrize("info", OPTIMIZERS, ids=lambda info: info.name)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors of a hundred numbers gain nothing from threads, which on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(info: OptimizerInfo, hp: dict[str, HpValue], *, seed: int = 0, falling: bool = False) -> dict[str, Array]:
    network = Weights(seed)
    peak = float(hp["lr"]) if falling else None  # type: ignore[arg-type]
    advance(built(info, hp, network), network, range(1, STEPS + 1), peak=peak, seed=seed)
    return network.arrays()


def published(info: OptimizerInfo, hp: dict[str, HpValue], *, seed: int = 0) -> dict[str, Array]:
    weights = Weights(seed).arrays()
    states: dict[str, State] = {name: {} for name in weights}
    exempt = {**hp, "weight_decay": 0.0, "always_adapt": False}
    for step in range(1, STEPS + 1):
        slopes = dict(zip(weights, clipped(list(gradients(weights, step, seed).values()), hp), strict=True))
        weights = {
            name: UPDATES[info.name](array, slopes[name], step, exempt if name == "vector" else hp, states[name])
            for name, array in weights.items()
        }
    return weights


@pytest.mark.parametrize(
    "point", [(0.3, 0.2), (0.5, 0.0), (0.5, 0.6), (1.0, 1.0)], ids=["small", "no_decay", "middle", "large"]
)
@every_optimizer
def test_twenty_steps_are_the_published_ones(info: OptimizerInfo, point: tuple[float, float]) -> None:
    hp = at(info, *point)
    found = trained(info, hp)
    assert all(np.isfinite(array).all() for array in found.values())
    assert difference(found, published(info, hp)) < 1e-6


@given(seed=st.integers(0, 1000), lr=st.floats(0, 1), weight_decay=st.floats(0, 1))
@settings(max_examples=4, deadline=None)
@every_optimizer
def test_the_published_steps_are_taken_anywhere_in_the_space(
    info: OptimizerInfo, seed: int, lr: float, weight_decay: float
) -> None:
    hp = at(info, lr, weight_decay)
    assert difference(trained(info, hp, seed=seed), published(info, hp, seed=seed)) < 1e-6


@pytest.mark.parametrize("way", ["foreach", "fused"])
@every_optimizer
def test_all_tensors_at_once_are_stepped_as_one_by_one(info: OptimizerInfo, way: str) -> None:
    """What runs on a GPU is another implementation of the same class."""
    hp = at(info, 0.5, 0.6)
    alone, together = Weights(), Weights()
    optimizers = [built(info, hp, network) for network in (alone, together)]
    if way not in optimizers[0].param_groups[0]:
        pytest.skip(f"{info.class_path} has one implementation")
    for optimizer, is_together in zip(optimizers, (False, True), strict=True):
        for group in optimizer.param_groups:
            group.update({"foreach": False} | ({"fused": False} if "fused" in group else {}) | {way: is_together})
    advance(optimizers[0], alone, range(1, STEPS + 1))
    advance(optimizers[1], together, range(1, STEPS + 1))
    assert difference(together.arrays(), alone.arrays()) < 1e-7


@every_optimizer
def test_a_restored_optimizer_goes_on_bit_for_bit(info: OptimizerInfo) -> None:
    """In float32, which weights have in training. (In float64 torch restores one scalar of NAdam in another type.)"""
    hp = at(info, 0.5, 0.6)
    peak = float(hp["lr"])  # type: ignore[arg-type]
    whole = Weights().float()
    advance(built(info, hp, whole), whole, range(1, 21), peak=peak)
    first = Weights().float()
    stopped = built(info, hp, first)
    advance(stopped, first, range(1, 11), peak=peak)
    second = Weights(seed=1).float()
    second.load_state_dict(first.state_dict())
    restored = built(info, hp, second)
    restored.load_state_dict(copy.deepcopy(stopped.state_dict()))
    advance(restored, second, range(11, 21), peak=peak)
    assert all(np.array_equal(second.arrays()[name], array) for name, array in whole.arrays().items())


@every_optimizer
def test_a_weight_whose_gradient_was_nan_once_never_looks_trained_again(info: OptimizerInfo) -> None:
    """It stays NaN, so that the loss shows it. Lion's steps are signs, and the sign of NaN is 0: there it stands
    still but for its decay, with a momentum that stays NaN."""
    network = Weights()
    optimizer = built(info, at(info, 0.3, 0.0), network)
    advance(optimizer, network, range(1, 4))
    before = network.matrix[0, 0].item()
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert network.matrix.grad is not None
    network.matrix.grad[0, 0] = math.nan
    optimizer.step()
    for _ in range(3):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    if info.class_path == "timm.optim:Lion":
        assert network.matrix[0, 0].item() == before
        assert optimizer.state[network.matrix]["exp_avg"][0, 0].isnan()
    else:
        assert network.matrix[0, 0].isnan()


@pytest.mark.parametrize(("name", "without"), [("lars", "lars_released"), ("lamb", "adam")])
def test_no_decay_leaves_the_trust_ratio_on(name: str, without: str) -> None:
    info, other = get_optimizer(name), get_optimizer(without)
    hp = {**info.defaults, "lr": 0.01, "weight_decay": 0.0}
    same = {key: value for key, value in hp.items() if key in other.defaults}
    found, plain = trained(info, hp), trained(other, {**other.defaults, **same})
    assert difference({"matrix": found["matrix"]}, {"matrix": plain["matrix"]}) > 1e-3


def test_the_released_lars_is_sgd_and_the_released_radam_that_of_torch() -> None:
    for name, made in (("lars_released", torch.optim.SGD), ("radam_released", torch.optim.RAdam)):
        info = get_optimizer(name)
        hp = at(info, 0.5, 0.6)
        network = Weights()
        groups = [
            {"params": [network.matrix, network.convolution]},
            {"params": [network.vector], "weight_decay": 0.0},
        ]
        named = {"momentum": 0.9} if made is torch.optim.SGD else {}
        advance(made(groups, lr=hp["lr"], weight_decay=hp["weight_decay"], **named), network, range(1, 21))
        assert difference(trained(info, hp), network.arrays()) < 1e-12


def test_the_released_adafactor_never_stops_lengthening_its_average() -> None:
    network = nn.Linear(1, 1, bias=False)
    info = get_optimizer("adafactor_released")
    optimizer = build_optimizer(info, info.defaults, network, DecayExemption.NONE).optimizer
    network.weight.grad = torch.ones_like(network.weight)
    optimizer.step()
    optimizer.param_groups[0]["step"] = 99_999
    network.weight.grad = torch.full_like(network.weight, math.sqrt(2))
    optimizer.step()
    state = optimizer.state[network.weight]
    assert state["exp_avg_sq_row"].item() - 1 == pytest.approx(100_000**-0.8, rel=0.01)


IDLE = {
    # how a decay apart from the step is done, where there is none
    *(
        ("lamb", "corrected_weight_decay"),
        ("novograd", "corrected_weight_decay"),
        ("adabound_released", "fixed_decay"),
    ),
    # for a rate that follows from the step's number, where one is given
    *(("adafactor", "scale_parameter"), ("adafactor", "warmup_init"), ("adafactor_released", "warmup_init")),
    # for a first moment, where there is none, and for a denominator that rectification replaces
    *(("adafactor", "caution"), ("adabelief", "amsgrad")),
}
"""Switches that are off, and would do nothing or be refused if they were on, because of another hyper-parameter."""

OTHER_VALUES: dict[str, HpValue] = {
    "delta": 10.0,
    "gamma": 1.0,
    "beta1": 0.5,
    "min_dim_size_to_factor": 16,
    "hessian_period": 5,
}
"""Values to compare the defaults with, where half of the default or the other position of a switch does not show."""


def test_idle_switches_are_off() -> None:
    assert all(get_optimizer(name).defaults[switch] is False for name, switch in IDLE)


def other_value(name: str, value: HpValue) -> HpValue:
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if isinstance(value, bool):
        return not value
    assert isinstance(value, float)
    return value + 0.1 if name.startswith("eps") else value / 2 or 0.5


@pytest.mark.parametrize(
    ("info", "name"),
    [(info, name) for info in OPTIMIZERS for name in info.defaults if (info.name, name) not in IDLE],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_recorded_hyperparameter_acts(info: OptimizerInfo, name: str) -> None:
    hp = {**setting(info), **({"weight_decay": 0.0} if name == "always_adapt" else {})}
    other = trained(info, {**hp, name: other_value(name, hp[name])}, falling=True)
    assert difference(other, from_setting(info.name, without_decay=name == "always_adapt")) > 1e-9


def setting(info: OptimizerInfo) -> dict[str, HpValue]:
    return {**info.defaults, "lr": 0.02, "weight_decay": at(info, 0.5, 0.8)["weight_decay"]}


@functools.cache
def from_setting(name: str, *, without_decay: bool) -> dict[str, Array]:
    info = get_optimizer(name)
    return trained(info, {**setting(info), **({"weight_decay": 0.0} if without_decay else {})}, falling=True)
