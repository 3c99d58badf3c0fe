"""The optimizer catalogue, a user's own optimizers, and what is built from them."""

from __future__ import annotations

import csv
import inspect
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from orchestrator.errors import SpecError
from orchestrator.planning.spec_changes import check_change
from search_spaces.errors import UserError
from search_spaces.optimizers import (
    OptimizerInfo,
    check_hyperparameters,
    custom_optimizer,
    expand_optimizers,
    full_optimizer_name,
    get_optimizer,
    list_optimizers,
    with_ranges,
)
from search_spaces.recipes import DecayExemption
from search_spaces.spaces import Dimension, Scale
from tests.planned_sweeps import small_plan
from trainers.optimization.optimizers import build_optimizer, optimizer_class

IMPLEMENTATION = {"params", "foreach", "fused", "maximize", "capturable", "differentiable", "kwargs", "verbose"}
"""Constructor arguments that choose how, not what, is computed, and the place for more of them."""

WITHOUT_EFFECT = {
    "adafactor": {"eps_scale"},  # bounds the scale by which scale_parameter multiplies, which is off
    "adafactor_released": {"eps2", "momentum_dtype"},  # the same, and the type of the first moment, which is off
    "muon": {"normalize_spatial", "adamw_lr"},  # for convolutions that are not flattened; an old name
    "soap": {"data_format"},  # in which order dimensions would be merged, which is off
}
"""Constructor arguments that do nothing beside the others and so are neither given nor recorded."""

PAPER = Path(__file__).parent / "fixtures/paper"

NAMES = {"trust_coefficient": "trust_coeff", "no_prox": "weight_decouple"}
"""Names of the table, where those of the class differ."""

every_optimizer = pytest.mark.parametrize("info", list_optimizers(), ids=lambda info: info.name)
every_optimizer_of_the_paper = pytest.mark.parametrize(
    "info", [info for info in list_optimizers() if info.category != "later"], ids=lambda info: info.name
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 4))
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)

    def no_weight_decay(self) -> set[str]:
        return {"token"}


class OwnSGD(torch.optim.SGD):
    """An optimizer of a user, who passes arguments on."""


class Forgetful(torch.optim.SGD):
    def __init__(self, params: object, lr: float, strength: float = 1.0) -> None:
        super().__init__(params, lr=lr)


class Stubborn(torch.optim.SGD):
    def __init__(self, params: object, lr: float, momentum: float = 0.0) -> None:
        super().__init__(params, lr=lr, momentum=0.5)


class PassesOn(torch.optim.SGD):
    """Names an argument of its own, and leaves the others to the class that it extends."""

    def __init__(self, params: object, strength: float = 1.0, **others: object) -> None:
        super().__init__(params, **others)
        self.strength = strength


def own(name: str, **arguments: float) -> OptimizerInfo:
    return custom_optimizer("mine", class_path=f"{__name__}:{name}", arguments=arguments, ranges={})


@every_optimizer
def test_rate_and_decay_are_searched_and_nothing_else_is(info: OptimizerInfo) -> None:
    assert info.space.names == ("lr", "weight_decay")
    rate, decay = info.space.dimensions
    assert math.log10(rate.high / rate.low) == pytest.approx(4, abs=1e-3)
    assert math.log10(decay.high / decay.low) == pytest.approx(3, abs=1e-3)
    assert decay.scale is Scale.ZERO_OR_LOG
    assert rate.low <= info.defaults["lr"] <= rate.high


def test_the_catalogue_has_the_optimizers_of_the_table() -> None:
    named = {row["optimizer"] for row in table_rows()}
    released = {info.name for info in list_optimizers() if info.name.endswith("_released")}
    later = set(expand_optimizers("later"))
    assert {info.name for info in list_optimizers()} - released - later == named == set(expand_optimizers("paper20"))
    assert {name.removesuffix("_released") for name in released} <= named


@every_optimizer_of_the_paper
def test_defaults_and_ranges_are_those_of_the_table(info: OptimizerInfo) -> None:
    rows = [row for row in table_rows() if row["optimizer"] == info.name.removesuffix("_released")]
    dimensions = {dimension.name: dimension for dimension in info.space.dimensions}
    words = {"true": True, "false": False, "true for decayed parameters": True, "none": None}
    for row in rows:
        name = NAMES.get(row["hyperparameter"], row["hyperparameter"])
        if info.name.endswith("_released") and name not in dimensions:
            continue  # another algorithm, whose other hyper-parameters are its own
        if (info.name, name) == ("adafactor", "scale_parameter"):
            assert row["default"] == "no effect with a given lr"
            continue
        if (info.name, name) == ("adafactor", "relative_step"):
            assert row["default"] == "false"  # follows from a given lr: no argument of this class
            continue
        default = words[row["default"]] if row["default"] in words else float(row["default"])
        assert info.defaults[name] == default, name
        if row["low"]:
            ends = (float(row["low"]), float(row["high"]))
            dimension = dimensions.get(name) or added(info, name, ends)
            assert (dimension.low, dimension.high, dimension.scale) == (*ends, row["scale"])


def added(info: OptimizerInfo, name: str, ends: tuple[float, float]) -> Dimension:
    """The dimension of a hyper-parameter that is searched only where a spec asks for it."""
    space = with_ranges(info, {name: list(ends)}).space
    assert space.names == ("lr", "weight_decay", name)
    return space.dimensions[2]


def table_rows(table: str = "search_spaces.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((PAPER / table).read_text(encoding="utf-8").splitlines()))


@every_optimizer_of_the_paper
def test_the_category_is_that_of_the_paper(info: OptimizerInfo) -> None:
    rows = table_rows("tableA2_optimizers.csv")
    categories = {row["optimizer"].lower().removesuffix("-m"): row["category"] for row in rows}
    assert info.category == categories[info.name.removesuffix("_released")]


@every_optimizer
def test_every_argument_of_the_class_is_given(info: OptimizerInfo) -> None:
    named = set(inspect.signature(optimizer_class(info)).parameters)
    given = {"betas" if name.startswith("beta") and name not in named else name for name in info.defaults}
    left_out = IMPLEMENTATION | WITHOUT_EFFECT.get(info.name, set())
    assert named - left_out == given - {"warmup_share"}  # which is the schedule's


@every_optimizer
@pytest.mark.parametrize("exemption", DecayExemption)
def test_what_was_built_holds_what_was_asked_for(info: OptimizerInfo, exemption: DecayExemption) -> None:
    if info.name == "muon":
        pytest.skip("steps hidden matrices, of which this network has none")
    asked = {**info.defaults, "lr": 0.0123, "weight_decay": 0.045}
    built = build_optimizer(info, asked, Net(), exemption)
    assert built.hp == asked
    assert built.class_path.split(":")[1] == info.class_path.split(":")[1]
    by_name = {group.name: group for group in built.groups}
    if exemption is DecayExemption.NONE:
        assert set(by_name) == {"decayed"}
        assert by_name["decayed"].tensors == 5
    else:
        assert (by_name["decayed"].tensors, by_name["decayed"].parameters) == (1, 72)
        assert (by_name["exempt"].tensors, by_name["exempt"].weight_decay) == (4, 0.0)
    assert by_name["decayed"].weight_decay == 0.045


def test_lists_and_short_names_stand_for_optimizers() -> None:
    short = {row["optimizer"]: row["category"] for row in table_rows("tableA2_optimizers.csv")}
    assert {full_optimizer_name(name) for name in short} == set(expand_optimizers("paper20"))
    for letter in "abcd":
        members = {full_optimizer_name(name) for name, category in short.items() if category == letter}
        assert set(expand_optimizers(f"category_{letter}")) == members
    assert expand_optimizers("SGD-M") == ("sgd",)
    assert expand_optimizers("lars_released") == ("lars_released",)
    assert not set(expand_optimizers("later")) & set(expand_optimizers("paper20"))


def test_a_grid_can_name_lists_and_short_names() -> None:
    plan = small_plan(
        grid={"optimizers": ["category_a", "LAMB"], "exclude": [["synthetic_a", "SGD-M"]]},
        search_spaces={"LION": {"lr": [1e-5, 1e-3]}},
    )
    assert list(plan.optimizers) == ["sgdp", "lion", "lamb", "sgd"]
    assert plan.optimizers["lion"].space.dimensions[0].high == 1e-3
    assert ("synthetic_a", "sgd") not in {(cell.backbone.name, cell.optimizer.name) for cell in plan.cells}
    with pytest.raises(SpecError, match="names 'sgd' twice"):
        small_plan(grid={"optimizers": ["category_a", "SGD-M"]})
    with pytest.raises(SpecError, match=r"\[search_spaces.lion\] is there twice"):
        small_plan(grid={"optimizers": "lion"}, search_spaces={"LION": {"lr": [1, 2]}, "lion": {"lr": [1, 2]}})


def test_a_short_name_hides_no_change_of_a_range() -> None:
    before, after = (
        small_plan(grid={"optimizers": words}, search_spaces={"LION": {"lr": [1e-5, high]}}).spec
        for words, high in (("category_a", 1e-3), (["LION", "adamw"], 1e-2))
    )
    with pytest.raises(SpecError, match=r"search_spaces.lion.lr was .* results would not be comparable"):
        check_change(before, after)


def test_lamb_adapts_decayed_parameters_even_without_decay() -> None:
    info = get_optimizer("lamb")
    built = build_optimizer(info, {**info.defaults, "weight_decay": 0.0}, Net(), DecayExemption.VECTORS)
    assert [group["always_adapt"] for group in built.optimizer.param_groups] == [True, False]


def one_step(info: OptimizerInfo, **changed: float) -> float:
    """Where a weight of 2 with gradient 0.5 goes in the first step."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    built = build_optimizer(info, {**info.defaults, **changed}, network, DecayExemption.NONE)
    network.weight.grad = torch.full_like(network.weight, 0.5)
    built.optimizer.step()
    return network.weight.item()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # gradient 0.5 + 0.1 * 2 = 0.7 where the decay is coupled; the weight loses lr * 0.1 * 2 where decoupled
        ("sgd", 2 - 0.01 * 0.7),
        ("adam", 2 - 0.01),
        ("adamax", 2 - 0.01),
        ("adamw", 2 * (1 - 0.001) - 0.01),
        ("lion", 2 * (1 - 0.001) - 0.01),
        # the step's norm is the weight's: 2, times lr
        ("lamb", 2 - 0.02),
        ("adagrad", 2 - 0.01),
        # first second moment is 0.01 * gradient^2
        ("rmsprop", 2 - 0.1),
    ],
)
def test_the_first_step_is_the_published_one(name: str, expected: float) -> None:
    assert one_step(get_optimizer(name), lr=0.01, weight_decay=0.1) == pytest.approx(expected, abs=2e-6)


def test_unknown_names_show_the_close_ones() -> None:
    with pytest.raises(UserError, match=r"unknown optimizer 'adamww'; did you mean .*adamw"):
        get_optimizer("adamww")


@pytest.mark.parametrize("hp", [{"momentun": 0.9}, {}])
def test_hyperparameters_that_do_not_fit_are_refused(hp: dict[str, float]) -> None:
    info = get_optimizer("sgd")
    with pytest.raises(UserError, match="momentum"):
        check_hyperparameters(info, {"lr": 0.1, "weight_decay": 0.0, **hp})


def test_ranges_can_be_replaced_and_added() -> None:
    info = with_ranges(
        get_optimizer("sgd"), {"lr": [0.01, 1], "momentum": [0.5, 0.995], "weight_decay": [1e-5, 1e-2]}
    )
    assert info.space.names == ("lr", "weight_decay", "momentum")
    assert [d.scale for d in info.space.dimensions] == [Scale.LOG, Scale.ZERO_OR_LOG, Scale.LOG1M]
    assert (info.space.dimensions[0].low, info.space.dimensions[0].high) == (0.01, 1)
    assert info.defaults == get_optimizer("sgd").defaults


@pytest.mark.parametrize(
    ("ranges", "part"),
    [({"learning_rate": [1, 2]}, "learning_rate"), ({"nesterov": [0, 1]}, "not a number"), ({"lr": [1]}, "lr")],
)
def test_ranges_that_do_not_fit_are_refused(ranges: dict[str, object], part: str) -> None:
    with pytest.raises(UserError, match=part):
        with_ranges(get_optimizer("sgd"), ranges)


def test_an_optimizer_of_ones_own_is_built_with_its_arguments() -> None:
    info = custom_optimizer(
        "mine", class_path=f"{__name__}:OwnSGD", arguments={"momentum": 0.8}, ranges={"lr": [1e-3, 1e-1]}
    )
    assert info.space.names == ("lr",)
    assert info.defaults == pytest.approx({"lr": 1e-2, "momentum": 0.8})
    built = build_optimizer(info, info.defaults, Net(), DecayExemption.VECTORS)
    assert built.hp == info.defaults
    assert built.class_path.endswith(":OwnSGD")


def test_what_a_class_passes_on_is_accepted() -> None:
    info = own("PassesOn", lr=0.1, momentum=0.7, strength=2.0)
    assert build_optimizer(info, info.defaults, Net(), DecayExemption.NONE).hp == info.defaults


@pytest.mark.parametrize("wrong", ["weight_decuple", "max_grad_nrom", "nonsense"])
def test_arguments_that_a_library_would_drop_in_silence_are_refused(wrong: str) -> None:
    """pytorch-optimizer's classes take any keyword. Refused before anything starts, not when the first is built."""
    info = custom_optimizer("mine", class_path="pytorch_optimizer:Adan", arguments={"lr": 0.1, wrong: 1.0}, ranges={})
    close = {"weight_decuple": "weight_decouple", "max_grad_nrom": "max_grad_norm", "nonsense": "known"}[wrong]
    with pytest.raises(UserError, match=f"unknown argument of pytorch_optimizer:Adan '{wrong}'.*{close}"):
        optimizer_class(info)


@pytest.mark.parametrize(
    ("name", "class_path", "arguments", "part"),
    [
        ("paper20", "torch.optim:SGD", {"lr": 1.0}, "another name"),
        ("SGD-M", "torch.optim:SGD", {"lr": 1.0}, "another name"),
        ("sgd", "torch.optim:SGD", {"lr": 1.0}, "another name"),
        ("mine", "torch.optim.SGD", {"lr": 1.0}, "package.module:Class"),
        ("mine", "torch.optim:SGD", {}, "learning rate"),
    ],
)
def test_a_wrong_record_of_ones_own_is_refused(
    name: str, class_path: str, arguments: dict[str, float], part: str
) -> None:
    with pytest.raises(UserError, match=part):
        custom_optimizer(name, class_path=class_path, arguments=arguments, ranges={})


@pytest.mark.parametrize(
    ("info", "part"),
    [
        (own("Missing", lr=1.0), "Missing"),
        (own("Net", lr=1.0), "not a torch.optim.Optimizer"),
        (own("Forgetful", lr=1.0, strength=2.0), "strength .* did not act"),
        (own("Stubborn", lr=1.0, momentum=0.9), "holds momentum = 0.5 where 0.9"),
        (own("Stubborn", lr=1.0, momentumm=0.9), "did you mean momentum"),
        (own("PassesOn", lr=1.0, momentun=0.9), "unknown argument of .*PassesOn 'momentun'; did you mean momentum"),
        (own("OwnSGD", lr=-1.0), "refuses"),
        (custom_optimizer("x", class_path="no_such_package:X", arguments={"lr": 1}, ranges={}), "cannot import"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_class_that_does_not_do_what_was_asked_is_refused(info: OptimizerInfo, part: str) -> None:
    with pytest.raises(UserError, match=part):
        build_optimizer(info, info.defaults, Net(), DecayExemption.VECTORS)
