"""Steps of real optimizers on made-up gradients, to compare with references."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from search_spaces.optimizers import HpValue, OptimizerInfo
from search_spaces.recipes import DecayExemption
from tests.published_updates import SAMPLED_TERMS, Array, sampled_gradient
from trainers.optimization.curvature import CurvatureOptimizer
from trainers.optimization.optimizers import build_optimizer

STEPS = 20


class Weights(nn.Module):
    """A matrix, a convolution and a vector in float64; the vector is exempt from weight decay."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        numbers = np.random.default_rng(seed)
        self.matrix = nn.Parameter(torch.from_numpy(numbers.normal(size=(12, 10))))
        self.convolution = nn.Parameter(torch.from_numpy(numbers.normal(size=(8, 6, 3, 3))))
        self.vector = nn.Parameter(torch.from_numpy(numbers.normal(size=12)))

    def arrays(self) -> dict[str, Array]:
        return {name: parameter.detach().numpy().copy() for name, parameter in self.named_parameters()}


def gradients(weights: dict[str, Array], step: int, seed: int = 0) -> dict[str, Array]:
    """Noise and a pull to 0. The matrix is scale-invariant by row, the convolution as a whole at every other step."""
    numbers = np.random.default_rng((seed, step))
    found = {name: numbers.normal(size=array.shape) + 0.1 * array for name, array in weights.items()}
    rows = weights["matrix"]
    found["matrix"] -= rows * (rows * found["matrix"]).sum(1, keepdims=True) / (rows**2).sum(1, keepdims=True)
    if step % 2:
        whole = weights["convolution"]
        found["convolution"] -= whole * (whole * found["convolution"]).sum() / (whole**2).sum()
    return found


def built(info: OptimizerInfo, hp: dict[str, HpValue], network: Weights) -> Optimizer:
    return build_optimizer(info, hp, network, DecayExemption.VECTORS).optimizer


def advance(
    optimizer: Optimizer, network: Weights, steps: range, *, peak: float | None = None, seed: int = 0
) -> None:
    """Steps of an optimizer; with a peak the rate falls from step to step, as a recipe lets it."""
    for step in steps:
        if isinstance(optimizer, CurvatureOptimizer) and optimizer.needs_curvature:
            for parameter in network.parameters():
                sampled = torch.from_numpy(sampled_gradient(tuple(parameter.shape), step))
                parameter.grad = sampled.to(parameter.dtype)
            optimizer.update_curvature(SAMPLED_TERMS)
        for name, gradient in gradients(network.arrays(), step, seed).items():
            parameter = network.get_parameter(name)
            parameter.grad = torch.from_numpy(gradient).to(parameter.dtype)
        for group in optimizer.param_groups:
            group["lr"] = peak * (1 - step / 100) if peak is not None else group["lr"]
        optimizer.step()


def difference(found: dict[str, Array], expected: dict[str, Array]) -> float:
    """The largest difference of a weight, in units of the largest weight of its tensor."""
    return max(float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max()) for name in expected)


def at(info: OptimizerInfo, lr: float, weight_decay: float) -> dict[str, HpValue]:
    """The defaults with rate and decay at coordinates of the search space."""
    return {**info.defaults, **info.space.values_at({"lr": lr, "weight_decay": weight_decay})}
