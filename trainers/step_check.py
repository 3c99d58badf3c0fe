"""Takes one real training step of a backbone with each of several optimizers, to see that every pair can train."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.backbones import BackboneInfo
from search_spaces.datasets import get_dataset
from search_spaces.errors import UserError
from search_spaces.optimizers import HpValue, OptimizerInfo
from search_spaces.paper_settings import paper_setting
from search_spaces.recipes import Recipe, recipe_for
from trainers.config import Precision
from trainers.data.images import ResidentImages, framing_of
from trainers.evaluation import evaluate
from trainers.networks.backbones import build_backbone
from trainers.networks.layout import to_device
from trainers.optimization.optimizers import build_optimizer
from trainers.pixels import Pixels
from trainers.precision import arithmetic
from trainers.process import reset_process_state, seed_process
from trainers.seeds import stream_seed
from trainers.step import TrainingStep


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCheck:
    """What one step of one pair did."""

    backbone: str
    optimizer: str
    image_size: int
    """Side in pixels."""
    seconds: float
    """Of the step, building the optimizer and evaluating afterwards included."""
    error: str | None
    """Why the pair cannot train, or None."""


class StepChecker:
    """Trains one step at a time on random images the size of CIFAR-100's, under the paper's recipe of the backbone.

    Args:
        batch_size: Images of the step.
        precision: Arithmetic of forward and backward passes.
        threads: Of the CPU.
    """

    def __init__(self, *, batch_size: int, precision: Precision, threads: int) -> None:
        self._batch_size = batch_size
        self._threads = threads
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = arithmetic(precision, self._device)
        self._dataset = get_dataset("cifar100")
        channels = self._dataset.channels
        self._pixels = Pixels((0.5,) * channels, (0.25,) * channels, self._device)

    def check(self, info: BackboneInfo, image_size: int, optimizers: Iterable[OptimizerInfo]) -> Iterator[StepCheck]:
        """Each pair of a backbone from the same fresh weights; what goes wrong is in what is given, never raised.

        Args:
            info: The backbone, in its form for the image size.
            image_size: Side of the images that it sees, in pixels.
            optimizers: Each at the paper's setting for the pair, else at its default: at some defaults a single step
                without a warm-up ends in NaN (RMSprop on MogaNet), which is a result and no fault.
        """
        reset_process_state(0, self._threads)
        recipe = recipe_for("paper", backbone=info.name, dataset=self._dataset, image_size=image_size)
        try:
            network = self._network(info, image_size, recipe.drop_path)
        except UserError as caught:
            yield from (
                StepCheck(
                    backbone=info.name,
                    optimizer=optimizer.name,
                    image_size=image_size,
                    seconds=0.0,
                    error=f"UserError: {caught}",
                )
                for optimizer in optimizers
            )
            return
        fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        images = ResidentImages(*self._random_images(), framing_of(recipe, image_size))
        for optimizer in optimizers:
            network.load_state_dict(fresh)
            started, error = time.perf_counter(), None
            try:
                self._train(network, images, optimizer, setting_of(info, optimizer), recipe)
            except (RuntimeError, ValueError, TypeError, UserError) as caught:
                error = f"{type(caught).__name__}: {caught}"
            yield StepCheck(
                backbone=info.name,
                optimizer=optimizer.name,
                image_size=image_size,
                seconds=time.perf_counter() - started,
                error=error,
            )

    def _network(self, info: BackboneInfo, image_size: int, drop_path: float) -> nn.Module:
        network = build_backbone(
            info,
            classes=self._dataset.classes,
            channels=self._dataset.channels,
            image_size=image_size,
            drop_path=drop_path,
        )
        return to_device(network, self._device)

    def _train(
        self,
        network: nn.Module,
        images: ResidentImages,
        optimizer: OptimizerInfo,
        hp: Mapping[str, HpValue],
        recipe: Recipe,
    ) -> None:
        """Takes a step, or two where the first moves nothing, and evaluates after it.

        Raises:
            ValueError: A loss is not finite, or no weight has changed.
        """
        built = build_optimizer(optimizer, hp, network, recipe.decay_exemption.acting_for(optimizer.name))
        classes, dtype = self._dataset.classes, self._dtype
        step = TrainingStep(
            network,
            built.optimizer,
            recipe,
            pixels=self._pixels,
            classes=classes,
            dtype=dtype,
            micro_batch=None,
            average=None,
        )
        before = [parameter.detach().clone() for parameter in network.parameters()]
        seed_process(0, "step")
        network.train()
        (batch,) = images.training_batches(seed=0, epoch=0, batch_size=self._batch_size)
        generator = torch.Generator().manual_seed(stream_seed(0, "augmentation"))
        lr = float(hp["lr"] or 0)
        loss = step.take(batch, step=0, lr=lr, generator=generator).loss.item()
        if _is_unchanged(network, before):  # SOAP's first step only starts its averages
            loss = step.take(batch, step=1, lr=lr, generator=generator).loss.item()
        batches = images.evaluation_batches(batch_size=self._batch_size)
        after = evaluate(network, batches, pixels=self._pixels, classes=classes, dtype=dtype).loss
        if not (math.isfinite(loss) and math.isfinite(after)):
            raise ValueError(f"the loss is {loss} in the step and {after} after it")
        if _is_unchanged(network, before):
            raise ValueError("no weight has changed")

    def _random_images(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(stream_seed(0, "images"))
        size = self._dataset.image_size
        shape = (self._batch_size, self._dataset.channels, size, size)
        images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        labels = torch.randint(self._dataset.classes, (self._batch_size,), generator=generator)
        return images.to(self._device), labels.to(self._device)


def setting_of(backbone: BackboneInfo, optimizer: OptimizerInfo) -> dict[str, HpValue]:
    """Every hyper-parameter of a pair: the paper's rate and decay where it has them, else the defaults."""
    try:
        setting = paper_setting(backbone.name, optimizer.name)
    except UserError:
        return optimizer.defaults
    return {**optimizer.defaults, "lr": setting.lr, "weight_decay": setting.weight_decay}


def _is_unchanged(network: nn.Module, before: list[Tensor]) -> bool:
    return all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
