"""One optimizer step: augmentation, forward and backward, clipping, update, and the average of the weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import update_bn

from search_spaces.recipes import Recipe
from trainers.augmentation.pipeline import Augmentation
from trainers.data.images import Batch
from trainers.losses import training_loss
from trainers.optimization.averaging import WeightAverage
from trainers.optimization.curvature import CurvatureOptimizer, sampled_loss, sampled_terms
from trainers.pixels import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step says of itself, as tensors on the device: reading them waits for it."""

    loss: Tensor
    """Mean over the batch."""
    grad_norm: Tensor
    """L2 norm of the gradient before clipping."""


class TrainingStep:
    """Takes optimizer steps on a network.

    Args:
        network: Trained in place.
        optimizer: Of its parameters.
        recipe: Augmentation, loss and clipping.
        pixels: Bytes to what the network sees.
        classes: Number of classes.
        dtype: Arithmetic of forward and backward passes.
        micro_batch: Images per forward and backward pass; None takes the whole batch.
        average: Average of the weights to keep, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        recipe: Recipe,
        *,
        pixels: Pixels,
        classes: int,
        dtype: torch.dtype,
        micro_batch: int | None,
        average: WeightAverage | None,
    ) -> None:
        self._network = network
        self._optimizer = optimizer
        self._recipe = recipe
        self._augmentation = Augmentation(recipe, pixels, classes)
        self._device_type = next(network.parameters()).device.type
        self._dtype = dtype
        self._micro_batch = micro_batch
        self._average = average
        self._classes = classes
        self.scaler = torch.amp.GradScaler(self._device_type, enabled=dtype is torch.float16)

    def take(self, batch: Batch, *, step: int, lr: float, generator: torch.Generator) -> StepResult:
        """Trains on one batch.

        Args:
            batch: The images and labels.
            step: The step's number in the run, from 0.
            lr: Learning rate.
            generator: On the CPU; augmentation draws from it.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        inputs, targets = self._augmentation(batch, generator)
        if isinstance(self._optimizer, CurvatureOptimizer) and self._optimizer.needs_curvature:
            self._estimate_curvature(self._optimizer, inputs)
        self._optimizer.zero_grad()
        loss = torch.zeros((), device=inputs.device)
        for start, end in micro_batches(len(inputs), self._micro_batch):
            loss += self._backward(inputs[start:end], targets[start:end], (end - start) / len(inputs))
        norm = self._clip()
        self.scaler.step(self._optimizer)
        self.scaler.update()
        if self._average is not None:
            self._average.update(step)
        return StepResult(loss=loss, grad_norm=norm)

    def _estimate_curvature(self, optimizer: CurvatureOptimizer, inputs: Tensor) -> None:
        """Gives the optimizer the estimate of this batch, for which the batch passes through the network once more.

        BatchNorm takes its statistics up twice. float16 would need a loss scale of its own: the pass is in float32.
        """
        self._optimizer.zero_grad()
        for start, end in micro_batches(len(inputs), self._micro_batch):
            with torch.autocast(self._device_type, self._dtype, enabled=self._dtype is torch.bfloat16):
                loss = sampled_loss(self._recipe.loss, self._network(inputs[start:end]))
            torch.autograd.backward(loss * ((end - start) / len(inputs)))
        optimizer.update_curvature(sampled_terms(self._recipe.loss, len(inputs), self._classes))

    def settle(self, batches: Iterable[tuple[Batch, torch.Generator]]) -> None:
        """Takes BatchNorm's statistics anew, as means over augmented batches seen with the weights as they are now.

        Args:
            batches: Each with the generator that its augmentation draws from.
        """
        with torch.autocast(self._device_type, self._dtype, enabled=self._dtype is not torch.float32):
            update_bn(self._pieces(batches), self._network)

    def _pieces(self, batches: Iterable[tuple[Batch, torch.Generator]]) -> Iterator[Tensor]:
        for batch, generator in batches:
            with torch.autocast(self._device_type, enabled=False):
                inputs, _ = self._augmentation(batch, generator)
            for start, end in micro_batches(len(inputs), self._micro_batch):
                yield inputs[start:end]

    def _backward(self, inputs: Tensor, targets: Tensor, share: float) -> Tensor:
        """Adds the gradient of some images of a batch, of which they are a share; returns their part of its loss."""
        with torch.autocast(self._device_type, self._dtype, enabled=self._dtype is not torch.float32):
            loss = training_loss(self._recipe.loss, self._network(inputs), targets)
        part = loss * share
        torch.autograd.backward(self.scaler.scale(part))
        return part.detach()

    def _clip(self) -> Tensor:
        """The norm of the gradient, which is then clipped as the recipe says."""
        self.scaler.unscale_(self._optimizer)
        parameters = [parameter for parameter in self._network.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._recipe.clip_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._recipe.clip_grad_norm, norm)
        return norm


def micro_batches(count: int, size: int | None) -> list[tuple[int, int]]:
    """Bounds of even pieces of a batch, of at most `size` images where that leaves none with a single one.

    BatchNorm cannot train on one image.
    """
    pieces = 1 if size is None else min(math.ceil(count / size), max(1, count // 2))
    bounds = [round(count * piece / pieces) for piece in range(pieces + 1)]
    return list(itertools.pairwise(bounds))
