"""Trains a vision network, one epoch at a time.

Nothing random is carried from step to step: the order of the images, crops, augmentation and dropout are drawn from
streams that are functions of (seed, epoch, step). So a state is weights, optimizer, averages and the number of steps,
and a trial that was interrupted, in the middle of an epoch too, goes on exactly as if it had not been.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from search_spaces.backbones import acting_drop_path
from trainers.config import TrialConfig, config_digest
from trainers.corruptions.catalogue import CORRUPTIONS, SEVERITIES, Corruption, corrupted
from trainers.data.datasets import ImageSet, load_trial_data
from trainers.data.images import Framing, Images, ResidentImages, framing_of
from trainers.data.streams import StreamedImages
from trainers.evaluation import Evaluation, evaluate, guessing
from trainers.final_measurements import CorruptionScore, LayerStatistics
from trainers.measurement import Measurement
from trainers.memory import resident_memory
from trainers.networks.backbones import build_backbone
from trainers.networks.layout import to_device
from trainers.optimization.averaging import WeightAverage
from trainers.optimization.optimizers import AveragingOptimizer, build_optimizer
from trainers.optimization.schedule import rate_of
from trainers.pixels import Pixels
from trainers.precision import arithmetic
from trainers.process import reset_process_state, seed_process
from trainers.readers.part import EncodedSet
from trainers.seeds import stream_seed
from trainers.snapshot import load_snapshot, snapshot_of
from trainers.step import TrainingStep
from trainers.trainer import Resolved
from trainers.weight_statistics import weight_statistics

_EVALUATION_BATCH = 512
_EVALUATION_PIXELS = 128 * 224**2
"""Of a batch: larger images come in smaller batches, so that memory for evaluation stays below that for training."""
_STEPS_BETWEEN_CHECKS = 16
"""Reading the loss waits for the device, so a loss that is not finite is noticed only this often."""
_SETTLING_BATCHES = 50
"""As the authors of Schedule-Free AdamW advise for networks with BatchNorm (arXiv 2405.15682)."""


@dataclass(slots=True, kw_only=True)
class _Progress:
    """How far the epoch is, and sums over its steps."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    losses: torch.Tensor
    grad_norms: torch.Tensor


class VisionTrainer:
    """Implements `trainers.trainer.Trainer` for networks and images.

    Raises:
        UserError: The data, the network, the optimizer or the precision cannot be had as the config says.
    """

    def __init__(self, config: TrialConfig) -> None:
        reset_process_state(config.seed, config.threads)
        self._config = config
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = arithmetic(config.precision, self._device)
        data = load_trial_data(replace(config.data, image_size=None), config.train_on)
        self._data = data
        size = config.data.image_size or data.info.image_size
        framing = framing_of(config.recipe, size)
        self._train, self._validation, self._test = (
            _images(part, framing, config, self._device) for part in (data.train, data.validation, data.test)
        )
        self._pixels = Pixels(data.mean, data.std, self._device)
        self._steps_per_epoch = self._train.steps(config.batch_size)
        seed_process(config.seed, "init")
        network = build_backbone(
            config.backbone,
            classes=data.info.classes,
            channels=data.info.channels,
            image_size=size,
            drop_path=config.recipe.drop_path,
            mlp_dropout=config.recipe.mlp_dropout,
        )
        self._network = to_device(network, self._device)
        exemption = config.recipe.decay_exemption.acting_for(config.optimizer.name)
        built = build_optimizer(config.optimizer, config.hp, self._network, exemption)
        self._optimizer = built.optimizer
        self._average = _average(config, self._network, self._steps_per_epoch)
        self._step = TrainingStep(
            self._network,
            self._optimizer,
            config.recipe,
            pixels=self._pixels,
            classes=data.info.classes,
            dtype=self._dtype,
            micro_batch=config.micro_batch,
            average=self._average,
        )
        self._epoch = 0
        self._progress = self._fresh_progress()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._resolved = Resolved(
            input_size=size,
            classes=data.info.classes,
            parameters=sum(p.numel() for p in self._network.parameters() if p.requires_grad),
            drop_path=acting_drop_path(config.backbone, config.recipe.drop_path),
            initialisation=config.backbone.initialisation,
            optimizer_class=built.class_path,
            hp=built.hp,
            groups=built.groups,
            precision=str(self._dtype).removeprefix("torch."),
            device=_device_name(self._device),
            data_sha256=data.sha256,
            train_samples=len(data.train),
            validation_samples=len(data.validation),
            test_samples=len(data.test),
        )

    @property
    def resolved(self) -> Resolved:
        """What was built."""
        return self._resolved

    @property
    def epoch(self) -> int:
        """Whole epochs trained so far."""
        return self._epoch

    @property
    def step(self) -> int:
        """Steps trained of the epoch after those."""
        return self._progress.step

    def train_epoch(self, between_steps: Callable[[], None] | None = None) -> Measurement:
        """Trains to the end of an epoch and measures.

        Where the loss is not finite the epoch ends early, and its `val_` numbers are those of guessing.

        Args:
            between_steps: Called now and then between two steps, when a snapshot may be taken.
        """
        started, before = time.perf_counter(), self._progress.seconds
        self._train_steps(between_steps or (lambda: None), started)
        self._show_own_average()
        progress, self._progress = self._progress, self._fresh_progress()
        last = self._epoch * self._steps_per_epoch + progress.step - 1
        self._epoch += 1
        loss = progress.losses.item() / progress.images
        raw = self._evaluation(self._validation, is_averaged=False) if math.isfinite(loss) else None
        if raw is not None and self._average is not None:
            scored = self._evaluation(self._validation, is_averaged=True)
        else:
            scored = raw or guessing(self._data.info.classes)
        unaveraged = raw if self._average is not None else None
        return Measurement(
            epoch=self._epoch,
            train_loss=loss,
            val_loss=scored.loss,
            val_top1=scored.top1,
            val_top5=scored.top5,
            lr=rate_of(self._config, last, steps_per_epoch=self._steps_per_epoch),
            grad_norm=progress.grad_norms.item() / progress.step,
            seconds=before + time.perf_counter() - started,
            val_loss_raw=unaveraged.loss if unaveraged else None,
            val_top1_raw=unaveraged.top1 if unaveraged else None,
        )

    def evaluate_test(self) -> float:
        """Top-1 accuracy on the test part, as a fraction; changes no state that later epochs depend on."""
        return self._evaluation(self._test, is_averaged=self._average is not None).top1

    def weight_statistics(self) -> tuple[LayerStatistics, ...]:
        """Statistics of every weight; where the recipe averages the weights, of the average."""
        with self._average.applied() if self._average else nullcontext():
            return weight_statistics(self._network)

    def evaluate_corruptions(self) -> tuple[CorruptionScore, ...]:
        """As `evaluate_test`, of the test part spoilt by every corruption in every severity.

        Raises:
            ValueError: The images are decoded on the way, and not of the size that corruptions are made for.
        """
        return tuple(self._corruption_score(corruption, s) for corruption in CORRUPTIONS for s in SEVERITIES)

    def peak_memory(self) -> int:
        """Bytes: the GPU's peak since the trainer was built; on the CPU the process's resident size now."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return resident_memory()

    def snapshot(self) -> Callable[[], bytes]:
        """A copy of everything needed to go on from here, as tensors on the CPU and plain values only."""
        progress = self._progress
        fields = {
            "trial": self._fingerprint(),
            "epoch": self._epoch,
            "progress": {name: getattr(progress, name) for name in _Progress.__dataclass_fields__},
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._step.scaler.state_dict(),
            "average": self._average.state() if self._average else None,
        }
        return snapshot_of(fields)

    def restore(self, state: bytes) -> None:
        """Goes on from the bytes of a snapshot that was taken under an equal config and of equal data.

        Raises:
            ValueError: The bytes are not such a state.
        """
        fields = load_snapshot(state)
        if fields.get("trial") != self._fingerprint():
            raise ValueError("this state belongs to another trial, or to other data")
        # Kept on the CPU: network and optimizer move what belongs on the device.
        self._network.load_state_dict(fields["network"])
        self._optimizer.load_state_dict(fields["optimizer"])
        self._step.scaler.load_state_dict(fields["scaler"])
        if self._average is not None:
            self._average.load(fields["average"])
        self._epoch = fields["epoch"]
        progress = _Progress(**fields["progress"])
        progress.losses, progress.grad_norms = (
            tensor.to(self._device) for tensor in (progress.losses, progress.grad_norms)
        )
        self._progress = progress

    def _corruption_score(self, corruption: Corruption, severity: int) -> CorruptionScore:
        if not isinstance(self._test, ResidentImages):
            name = self._config.data.name
            raise ValueError(f"corruptions are of small images; {name} is decoded from files")  # noqa: TRY004 - the spec's
        spoilt = self._test.changed(lambda images: corrupted(images, corruption, severity))
        found = self._evaluation(spoilt, is_averaged=self._average is not None)
        return CorruptionScore(corruption=corruption.name, severity=severity, top1=found.top1, loss=found.loss)

    def _fingerprint(self) -> str:
        return f"{config_digest(self._config)}/{self._data.sha256}"

    def _fresh_progress(self) -> _Progress:
        return _Progress(losses=torch.zeros((), device=self._device), grad_norms=torch.zeros((), device=self._device))

    def _train_steps(self, between_steps: Callable[[], None], started: float) -> None:
        """Trains the steps that the epoch lacks, or until the loss is not finite."""
        config, epoch, progress = self._config, self._epoch, self._progress
        before = progress.seconds
        self._network.train()
        if isinstance(self._optimizer, AveragingOptimizer):
            self._optimizer.train()
        batches = self._train.training_batches(
            seed=config.seed, epoch=epoch, batch_size=config.batch_size, first_step=progress.step
        )
        for batch in batches:
            place = progress.step
            step = epoch * self._steps_per_epoch + place
            seed_process(config.seed, "step", epoch, place)
            generator = torch.Generator().manual_seed(stream_seed(config.seed, "augmentation", epoch, place))
            lr = rate_of(config, step, steps_per_epoch=self._steps_per_epoch)
            result = self._step.take(batch, step=step, lr=lr, generator=generator)
            progress.losses += result.loss * len(batch.labels)
            progress.grad_norms += result.grad_norm
            progress.images += len(batch.labels)
            progress.step += 1
            if place % _STEPS_BETWEEN_CHECKS == 0:
                if not math.isfinite(progress.losses.item()):
                    break
                progress.seconds = before + time.perf_counter() - started
                between_steps()

    def _show_own_average(self) -> None:
        """Between epochs the network has the weights that its optimizer averages, where it does.

        So evaluations and snapshots are of them, whoever asks for how many. BatchNorm's statistics were those of
        other weights, and are taken anew from the epoch's first batches.
        """
        if not isinstance(self._optimizer, AveragingOptimizer):
            return
        self._optimizer.eval()
        seed, epoch = self._config.seed, self._epoch
        seed_process(seed, "settling", epoch)
        batches = self._train.training_batches(seed=seed, epoch=epoch, batch_size=self._config.batch_size)
        self._step.settle(
            (batch, torch.Generator().manual_seed(stream_seed(seed, "augmentation", epoch, place)))
            for place, batch in enumerate(itertools.islice(batches, _SETTLING_BATCHES))
        )

    def _evaluation(self, part: Images, *, is_averaged: bool) -> Evaluation:
        limit = min(_EVALUATION_BATCH, max(1, _EVALUATION_PIXELS // self._resolved.input_size**2))
        size = min(limit, self._config.micro_batch or limit)
        with self._average.applied() if is_averaged and self._average else nullcontext():
            return evaluate(
                self._network,
                part.evaluation_batches(batch_size=size),
                pixels=self._pixels,
                classes=self._data.info.classes,
                dtype=self._dtype,
            )


def _average(config: TrialConfig, network: torch.nn.Module, steps_per_epoch: int) -> WeightAverage | None:
    if config.recipe.ema_decay is None:
        return None
    return WeightAverage(network, config.recipe, config.epochs * steps_per_epoch)


def _images(part: ImageSet | EncodedSet, framing: Framing, config: TrialConfig, device: torch.device) -> Images:
    if isinstance(part, EncodedSet):
        limit = config.data.max_bad_samples
        return StreamedImages(part, framing, device=device, threads=config.threads, max_bad=limit)
    images, labels = (torch.from_numpy(array).to(device) for array in (part.images, part.labels))
    return ResidentImages(images, labels, framing)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
