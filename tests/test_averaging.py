"""The moving average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces.recipes import Recipe
from trainers.optimization.averaging import WeightAverage, average_decay


def moved(network: nn.Module, amount: float) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += amount


def test_it_follows_the_published_rule_step_by_step() -> None:
    network = nn.Linear(2, 1).double()
    recipe = Recipe(name="r", ema_decay=0.8, warmup_share=0.5)
    average = WeightAverage(network, recipe, total_steps=8)
    expected = network.weight.detach().clone()
    for step in range(8):
        moved(network, 1.0)
        average.update(step)
        decay = 0.8 * (1 - (1 - step / 4) * 0.1) if step < 4 else 0.8
        expected = decay * expected + (1 - decay) * network.weight.detach()
    live = network.weight.detach().clone()
    with average.applied():
        assert torch.allclose(network.weight, expected, rtol=1e-12)
    assert torch.equal(network.weight, live)


def test_the_network_is_itself_again_after_an_error() -> None:
    network = nn.Linear(2, 1)
    average = WeightAverage(network, Recipe(name="r", ema_decay=0.5), total_steps=4)
    before = network.weight.detach().clone()
    moved(network, 1.0)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert torch.equal(network.weight, before + 1.0)


def test_buffers_stay_those_of_the_network() -> None:
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, Recipe(name="r", ema_decay=0.5), total_steps=4)
    network(torch.arange(8.0).view(4, 2))
    statistics = network.running_mean.clone()
    with average.applied():
        assert torch.equal(network.running_mean, statistics)


def test_a_recipes_decay_averages_over_the_same_share_of_a_shorter_run() -> None:
    recipe = Recipe(name="r", ema_decay=0.9999, ema_reference_steps=100_000)
    assert average_decay(recipe, 100_000) == 0.9999
    assert average_decay(recipe, 10_000) == pytest.approx(0.999)
    assert average_decay(recipe, 5) == 0.0
    assert average_decay(Recipe(name="r", ema_decay=0.99), 10) == 0.99


def test_it_goes_on_from_its_state_and_refuses_that_of_another_network() -> None:
    recipe = Recipe(name="r", ema_decay=0.5)
    network = nn.Linear(2, 1)
    average = WeightAverage(network, recipe, total_steps=4)
    moved(network, 1.0)
    average.update(0)
    again = WeightAverage(network, recipe, total_steps=4)
    again.load([tensor.clone() for tensor in average.state()])
    for one, other in zip(average.state(), again.state(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="another network"):
        again.load([torch.zeros(3)])
