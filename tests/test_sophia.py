"""Sophia's curvature: what the estimate is an estimate of, and when it is taken up."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.recipes import Loss
from tests.published_updates import Array
from trainers.losses import training_loss
from trainers.optimization.curvature import CurvatureOptimizer, sampled_loss, sampled_terms
from trainers.optimization.sophia import SophiaG

IMAGES, FEATURES, CLASSES = 6, 3, 4
DRAWS = 3000

every_loss = pytest.mark.parametrize("loss", Loss)


def pixels() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(IMAGES, FEATURES))).float()


def linear() -> nn.Linear:
    network = nn.Linear(FEATURES, CLASSES)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(np.random.default_rng(1).normal(size=tuple(parameter.shape))))
    return network


def gauss_newton_diagonal(network: nn.Linear, loss: Loss) -> tuple[Array, Array]:
    """Of the mean loss over the images, for weights and biases, from its definition: mean of J' H J."""
    x = pixels().double().numpy()
    z = x @ network.weight.detach().double().numpy().T + network.bias.detach().double().numpy()
    if loss is Loss.CROSS_ENTROPY:
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        hessians = np.stack([np.diag(row) - np.outer(row, row) for row in p])
    else:
        p = 1 / (1 + np.exp(-z))
        hessians = np.stack([np.diag(row * (1 - row)) for row in p]) / CLASSES
    diagonals = np.diagonal(hessians, axis1=1, axis2=2)
    return (diagonals[:, :, None] * x[:, None, :] ** 2).mean(axis=0), diagonals.mean(axis=0)


@every_loss
def test_the_expected_estimate_is_the_diagonal_of_the_gauss_newton_matrix(loss: Loss) -> None:
    """An estimate's standard deviation is about sqrt(2) of its mean, so that of the mean of 3,000 is 2.6 %; five of
    them are allowed. The wrong power of the number of classes or of images is off by a factor of at least 4."""
    torch.manual_seed(0)
    network, images = linear(), pixels()
    sums = [torch.zeros_like(parameter) for parameter in network.parameters()]
    for _ in range(DRAWS):
        gradients = torch.autograd.grad(sampled_loss(loss, network(images)), list(network.parameters()))
        for total, gradient in zip(sums, gradients, strict=True):
            total += sampled_terms(loss, IMAGES, CLASSES) * gradient**2 / DRAWS
    for found, exact in zip(sums, gauss_newton_diagonal(network, loss), strict=True):
        np.testing.assert_allclose(found.numpy(), exact, rtol=0.13)


@every_loss
def test_the_sampled_loss_is_averaged_as_the_training_loss(loss: Loss) -> None:
    """Where the outputs leave no doubt, the drawn labels are known; where they say nothing, so is the loss."""
    sure = torch.tensor([[50.0, -50.0, -50.0], [-50.0, 50.0, -50.0]])
    assert sampled_loss(loss, sure).item() == pytest.approx(0, abs=1e-12)
    flat, labels = torch.zeros(4, 3), torch.eye(3)[[0, 1, 2, 0]]
    assert sampled_loss(loss, flat).item() == pytest.approx(training_loss(loss, flat, labels).item())


@every_loss
def test_outputs_that_are_nan_show_in_the_loss(loss: Loss) -> None:
    logits = torch.zeros(2, 3)
    logits[0, 1] = math.nan
    assert sampled_loss(loss, logits).isnan()


def test_labels_are_drawn_as_often_as_the_softmax_says() -> None:
    torch.manual_seed(0)
    probabilities = torch.tensor([0.7, 0.2, 0.1])
    rows = probabilities.log().repeat(20_000, 1).requires_grad_()
    sampled_loss(Loss.CROSS_ENTROPY, rows).backward()
    assert rows.grad is not None
    drawn = (rows.grad < 0).double().mean(dim=0)  # p - y, over the number of rows
    # The standard error of a share of 20,000 draws is at most 0.0035.
    np.testing.assert_allclose(drawn.numpy(), probabilities.numpy(), atol=0.015)


def stepped(optimizer: SophiaG, parameter: nn.Parameter, steps: int) -> list[int]:
    """Steps with estimates where they are wanted; the steps, from 1, that wanted one."""
    wanted = []
    for step in range(1, steps + 1):
        parameter.grad = torch.ones_like(parameter)
        if optimizer.needs_curvature:
            wanted.append(step)
            optimizer.update_curvature(8)
        optimizer.step()
    return wanted


def test_an_estimate_is_wanted_in_the_first_step_and_every_period_later() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = SophiaG([parameter], hessian_period=3)
    assert isinstance(optimizer, CurvatureOptimizer)
    assert stepped(optimizer, parameter, 8) == [1, 4, 7]
    assert optimizer.estimates == 3
    restored = SophiaG([parameter], hessian_period=3)
    restored.load_state_dict(optimizer.state_dict())
    assert stepped(restored, parameter, 4) == [2]
    assert restored.estimates == 4


def test_a_step_without_the_estimate_it_needs_is_an_error() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = SophiaG([parameter])
    parameter.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="curvature before step 1"):
        optimizer.step()


def test_a_step_that_was_left_out_keeps_its_estimate() -> None:
    """As where a loss scale was too large: the estimate is not taken up twice."""
    parameter = nn.Parameter(torch.ones(2))
    optimizer = SophiaG([parameter])
    parameter.grad = torch.ones(2)
    optimizer.update_curvature(8)
    assert not optimizer.needs_curvature


@pytest.mark.parametrize("changed", [{"lr": -1.0}, {"betas": (1.0, 0.9)}, {"hessian_period": 2.5}, {"eps": 0.0}])
def test_impossible_hyperparameters_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        SophiaG([nn.Parameter(torch.ones(2))], **changed)  # type: ignore[arg-type]
