"""An exponential moving average of a network's parameters, and the network seen with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces.recipes import Recipe

_WARM_UP_FROM = 0.9
"""Share of the decay that the warm-up starts from."""


class WeightAverage:
    """The average; buffers, such as BatchNorm's statistics, stay those of the network.

    Source: the moving average of the paper's code, whose decay d acts after step i (from 0) of a warm-up of n as
    d (1 - (1 - i / n) / 10).

    Args:
        network: Its trained parameters are averaged, starting from what they are now.
        recipe: One with `ema_decay`.
        total_steps: Steps of the whole run.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, total_steps: int) -> None:
        self._parameters: list[Tensor] = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._averages = [parameter.detach().clone() for parameter in self._parameters]
        self._decay = average_decay(recipe, total_steps)
        self._warmup_steps = round(recipe.warmup_share * total_steps)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the parameters after step `step` (from 0)."""
        decay = self._decay
        if step < self._warmup_steps:
            decay *= 1 - (1 - step / self._warmup_steps) * (1 - _WARM_UP_FROM)
        torch._foreach_lerp_(self._averages, self._parameters, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the network has the averages as its parameters."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self._averages, strict=True):
            parameter.data, average.data = average.data, parameter.data

    def state(self) -> list[Tensor]:
        """The averages, in the order of the network's parameters."""
        return self._averages

    @torch.no_grad()
    def load(self, state: list[Tensor]) -> None:
        """Goes on from what `state` gave.

        Raises:
            ValueError: It is of another network.
        """
        if [tensor.shape for tensor in state] != [average.shape for average in self._averages]:
            raise ValueError("the averaged weights are those of another network")
        for average, tensor in zip(self._averages, state, strict=True):
            average.copy_(tensor)


def average_decay(recipe: Recipe, total_steps: int) -> float:
    """Decay per step for a run of that length: the same share of the run is averaged over.

    Raises:
        ValueError: The recipe keeps no average.
    """
    if recipe.ema_decay is None:
        raise ValueError(f"recipe {recipe.name} keeps no average of the weights")
    if recipe.ema_reference_steps is None:
        return recipe.ema_decay
    return max(0.0, 1 - (1 - recipe.ema_decay) * recipe.ema_reference_steps / total_steps)
