"""Optimizers that came after the paper's twenty: what they compute, against independent references."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import pytorch_optimizer
import torch
from torch import nn
from torch.optim import Optimizer

from search_spaces.errors import UserError
from search_spaces.optimizers import HpValue, OptimizerInfo, expand_optimizers, get_optimizer
from search_spaces.recipes import DecayExemption
from tests import later_updates
from tests.optimizer_steps import STEPS, at, difference
from tests.published_updates import Array
from trainers.optimization.optimizers import BuiltOptimizer, build_optimizer

LATER = [get_optimizer(name) for name in expand_optimizers("later")]
POINTS = {"small": (0.3, 0.2), "no_decay": (0.5, 0.0), "large": (1.0, 1.0)}

every_optimizer = pytest.mark.parametrize("info", LATER, ids=lambda info: info.name)
every_point = pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors of a hundred numbers gain nothing from threads, which on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Net(nn.Module):
    """Every kind of parameter. No dimension is larger than the product of the others, so that preconditioners have
    full rank and one set of eigenvectors."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 2, bias=False)
        self.branch = nn.Conv2d(3, 3, 1, bias=False)
        self.depthwise = nn.Conv2d(4, 4, 2, groups=4, bias=False)
        self.convolution = nn.Conv2d(4, 6, 2, bias=False)
        self.linear = nn.Linear(6, 6, bias=False)
        self.table = nn.Parameter(torch.zeros(5, 5))
        self.vector = nn.Parameter(torch.zeros(6))
        self.head = nn.Linear(5, 5, bias=False)
        numbers = np.random.default_rng(0)
        for parameter in self.parameters():
            parameter.data = torch.from_numpy(numbers.normal(size=tuple(parameter.shape)))

    def arrays(self) -> dict[str, Array]:
        return {name: p.detach().double().numpy().copy() for name, p in self.named_parameters()}


MATRICES = frozenset({"convolution.weight", "linear.weight"})


def slopes(weights: later_updates.Weights, step: int) -> dict[str, Array]:
    """A pull to 0, so that a distance can be estimated, and noise."""
    numbers = np.random.default_rng(step)
    return {name: array + 0.3 * numbers.normal(size=array.shape) for name, array in weights.items()}


def rates(hp: dict[str, HpValue], steps: int = STEPS) -> list[float]:
    """Rates that rise and then fall, as a recipe lets them, or stay, as a schedule of the optimizer's own does."""
    peak = float(hp["lr"])  # type: ignore[arg-type]
    return [peak * min(step / 5, 1 if "warmup_share" in hp else 1 - step / 100) for step in range(1, steps + 1)]


def built(info: OptimizerInfo, hp: dict[str, HpValue], network: nn.Module) -> BuiltOptimizer:
    return build_optimizer(info, hp, network, DecayExemption.VECTORS)


def advance(optimizer: Optimizer, network: Net, hp: dict[str, HpValue], steps: range = range(1, STEPS + 1)) -> None:
    for step in steps:
        for name, slope in slopes(network.arrays(), step).items():
            parameter = network.get_parameter(name)
            parameter.grad = torch.from_numpy(slope).to(parameter.dtype)
        for group in optimizer.param_groups:
            group["lr"] = rates(hp)[step - 1]
        optimizer.step()


def trained(info: OptimizerInfo, hp: dict[str, HpValue]) -> tuple[Optimizer, Net]:
    network = Net()
    optimizer = built(info, hp, network).optimizer
    advance(optimizer, network, hp)
    return optimizer, network


@every_point
def test_schedule_free_steps_are_the_published_ones(point: tuple[float, float]) -> None:
    info = get_optimizer("adamw_schedulefree")
    hp = at(info, *point)
    optimizer, network = trained(info, hp)
    where_trained, average = later_updates.schedule_free(Net().arrays(), slopes, rates(hp), hp)
    assert difference(network.arrays(), where_trained) < 1e-6
    optimizer.eval()  # type: ignore[attr-defined]
    assert difference(network.arrays(), average) < 1e-6
    assert difference(average, where_trained) > 1e-5
    optimizer.train()  # type: ignore[attr-defined]
    assert difference(network.arrays(), where_trained) < 1e-6


@every_point
def test_prodigy_steps_are_the_published_ones(point: tuple[float, float]) -> None:
    """Its distance is kept in float32."""
    info = get_optimizer("prodigy")
    # A first distance that is not tiny, so that it grows by more than one power of ten within the steps.
    hp = {**at(info, *point), "d0": 1e-3}
    optimizer, network = trained(info, hp)
    expected, distance = later_updates.prodigy(Net().arrays(), slopes, rates(hp), hp)
    assert distance > 2e-3 or hp["lr"] < 1, "the distance is to grow, but for rates too small to go any way"  # type: ignore[operator]
    assert optimizer.param_groups[0]["d"] == pytest.approx(distance, rel=1e-5)
    assert difference(network.arrays(), expected) < 1e-5


@pytest.mark.parametrize("period", [1, 4, 50])
@every_point
def test_soap_steps_are_the_published_ones(point: tuple[float, float], period: int) -> None:
    """The class takes its bases in float32: as a part of a step they are wrong by 1e-6 or so."""
    info = get_optimizer("soap")
    hp = {**at(info, *point), "precondition_frequency": period}
    _, network = trained(info, hp)
    expected = later_updates.soap(Net().arrays(), slopes, rates(hp), hp)
    assert difference(network.arrays(), expected) < (1e-9 if period > STEPS else 1e-4)


def test_soaps_first_step_moves_nothing() -> None:
    network = Net()
    info = get_optimizer("soap")
    advance(built(info, info.defaults, network).optimizer, network, info.defaults, range(1, 2))
    assert difference(network.arrays(), Net().arrays()) == 0


@every_point
def test_muon_steps_are_the_published_ones(point: tuple[float, float]) -> None:
    """Its matrices are made orthogonal in bfloat16, with a relative error of 2^-8 in every product: 3 % of the way
    that they went are allowed for. Everything else is exact."""
    info = get_optimizer("muon")
    hp = at(info, *point)
    _, network = trained(info, hp)
    expected = later_updates.muon(Net().arrays(), slopes, rates(hp), hp, MATRICES)
    found, start = network.arrays(), Net().arrays()
    others = {name for name in expected if name not in MATRICES}
    assert difference({n: found[n] for n in others}, {n: expected[n] for n in others}) < 1e-9
    for name in MATRICES:
        way = np.linalg.norm(expected[name] - start[name])
        assert np.linalg.norm(found[name] - expected[name]) < 0.03 * way


def test_muons_matrices_are_those_of_torch_and_of_pytorch_optimizer() -> None:
    """All in bfloat16, but with products in another order."""
    info = get_optimizer("muon")
    hp = at(info, 0.5, 0.6)
    _, network = trained(info, hp)
    for reference in ("torch", "pytorch_optimizer"):
        other = Net()
        weight = other.linear.weight
        arguments = {"lr": hp["lr"], "weight_decay": hp["weight_decay"], "momentum": hp["momentum"]}
        made: Optimizer
        if reference == "torch":
            made = torch.optim.Muon([weight], **arguments, adjust_lr_fn="match_rms_adamw")  # type: ignore[arg-type]
        else:
            groups = [{"params": [weight], "use_muon": True}]
            made = pytorch_optimizer.Muon(groups, **arguments, use_adjusted_lr=True)  # type: ignore[arg-type]
        advance(made, other, hp)
        way = (weight - Net().linear.weight).norm()
        assert (network.linear.weight - weight).norm() < 0.03 * way


def test_muons_groups_are_hidden_matrices_and_the_rest() -> None:
    info = get_optimizer("muon")
    made = built(info, info.defaults, Net())
    assert [(group.name, group.tensors, group.weight_decay) for group in made.groups] == [
        ("matrices", 2, 0.1),
        ("decayed", 5, 0.1),
        ("exempt", 1, 0.0),
    ]
    assert made.hp == info.defaults


def test_muon_is_refused_where_it_would_be_adamw() -> None:
    info = get_optimizer("muon")
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(2, 2))
    with pytest.raises(UserError, match="none between its first and its last layer"):
        built(info, info.defaults, network)


@every_optimizer
def test_a_restored_optimizer_goes_on_bit_for_bit(info: OptimizerInfo) -> None:
    hp = at(info, 0.5, 0.6)
    whole, first, second = Net().float(), Net().float(), Net().float()
    advance(built(info, hp, whole).optimizer, whole, hp)
    stopped = built(info, hp, first).optimizer
    advance(stopped, first, hp, range(1, 11))
    second.load_state_dict(first.state_dict())
    restored = built(info, hp, second).optimizer
    restored.load_state_dict(copy.deepcopy(stopped.state_dict()))
    advance(restored, second, hp, range(11, 21))
    assert all(np.array_equal(second.arrays()[name], array) for name, array in whole.arrays().items())


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@every_optimizer
def test_a_weight_whose_gradient_was_nan_once_never_looks_trained_again(info: OptimizerInfo, first: bool) -> None:
    network = Net()
    hp = at(info, 0.3, 0.0)
    optimizer = built(info, hp, network).optimizer
    if not first:
        advance(optimizer, network, hp, range(1, 4))
    for place in range(13):
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        if place == 0:
            assert network.linear.weight.grad is not None
            network.linear.weight.grad[0, 0] = math.nan
        optimizer.step()
    assert network.linear.weight[0, 0].isnan()


@pytest.mark.parametrize("name", ["adamw_schedulefree", "prodigy"])
def test_all_tensors_at_once_are_stepped_as_one_by_one(name: str) -> None:
    """What runs on a GPU is another implementation of the same class."""
    info = get_optimizer(name)
    hp = at(info, 0.5, 0.6)
    networks = [Net(), Net()]
    for network, is_together in zip(networks, (False, True), strict=True):
        optimizer = built(info, hp, network).optimizer
        for group in optimizer.param_groups:
            group["foreach"] = is_together
        advance(optimizer, network, hp)
    assert difference(networks[1].arrays(), networks[0].arrays()) < 1e-7


IDLE = {
    ("muon", "scale_eps"),  # how eps, which guards matrices of zeros, is scaled
    ("soap", "merge_dims"),  # fails in this class where everything merges into one dimension
}
"""Switches that are off, and that nobody can turn on: a range in a spec is for numbers."""

OTHER_VALUES: dict[str, HpValue] = {
    "adjust_lr_fn": "original",
    "ns_coefficients": "quintic",
    "conv_mode": "batched",
    "algo": "adamuon",
    "max_precondition_dim": 4,
    "decoupling_c": 5,
    "warmup_steps": 10,
    "growth_rate": 1.02,
    "d0": 1e-3,
    "r": 1.0,
}


def other_value(name: str, value: HpValue) -> HpValue:
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if isinstance(value, bool):
        return not value
    if name.startswith("eps"):
        return float(value or 0) + 0.1
    return value // 2 if isinstance(value, int) else value / 2  # type: ignore[operator]


@pytest.mark.parametrize(
    ("info", "name"),
    [(info, n) for info in LATER for n in info.defaults if (info.name, n) not in IDLE and n != "warmup_share"],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_recorded_hyperparameter_acts(info: OptimizerInfo, name: str) -> None:
    hp = setting(info)
    other = {**hp, name: other_value(name, hp[name])}
    assert difference(trained(info, other)[1].arrays(), from_setting(info.name)) > 1e-9


def setting(info: OptimizerInfo) -> dict[str, HpValue]:
    return {**at(info, 0.5, 0.8), **({"d0": 1e-4} if info.name == "prodigy" else {})}


@functools.cache
def from_setting(name: str) -> dict[str, Array]:
    info = get_optimizer(name)
    return trained(info, setting(info))[1].arrays()
