"""Trains a vision network on images that live on the device, one epoch at a time.

Nothing random is carried from epoch to epoch: the order of the images, augmentation and dropout are drawn from
streams that are functions of (seed, epoch). So a state is weights, optimizer and the number of epochs, and a trial
that was interrupted goes on exactly as if it had not been.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.errors import UserError
from search_spaces.recipes import Recipe
from trainers.augmentation.crops import random_crop, random_flip
from trainers.backbones import build_backbone
from trainers.config import Precision, TrialConfig, config_digest
from trainers.datasets import ImageSet, load_trial_data
from trainers.measurement import Measurement
from trainers.memory import resident_memory
from trainers.optimizers import build_optimizer
from trainers.process import reset_process_state, seed_process
from trainers.schedule import lr_share
from trainers.seeds import stream_seed
from trainers.snapshot import load_snapshot, snapshot_of
from trainers.trainer import Resolved

_EVALUATION_BATCH = 512
_STEPS_BETWEEN_CHECKS = 16
"""Reading the loss waits for the device, so a loss that is not finite is noticed only this often."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Images and labels on the device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """Means over one epoch's images and steps."""

    loss: float
    grad_norm: float
    lr: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluation:
    """Means over one part."""

    loss: float
    top1: float
    top5: float | None


class VisionTrainer:
    """Implements `trainers.trainer.Trainer` for networks and images.

    Raises:
        UserError: The data, the network, the optimizer or the precision cannot be had as the config says.
    """

    def __init__(self, config: TrialConfig) -> None:
        reset_process_state(config.seed, config.threads)
        self._config = config
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = _arithmetic(config.precision, self._device)
        data = load_trial_data(config.data, config.train_on)
        self._data = data
        self._train, self._validation, self._test = (
            _on_device(part, self._device) for part in (data.train, data.validation, data.test)
        )
        self._size = config.data.image_size or data.info.image_size
        shape = (1, -1, 1, 1)
        self._mean = torch.tensor(data.mean, device=self._device).view(shape)
        self._std = torch.tensor(data.std, device=self._device).view(shape)
        seed_process(config.seed, "init")
        network = build_backbone(
            config.backbone, classes=data.info.classes, channels=data.info.channels, image_size=self._size
        )
        # The layout that convolutions run fastest in, on the CPU too.
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        built = build_optimizer(config.optimizer, config.hp, self._network, config.recipe.decay_exemption)
        self._optimizer = built.optimizer
        self._peak_lr = _peak_lr(config)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._dtype is torch.float16)
        self._loss = nn.CrossEntropyLoss(label_smoothing=config.recipe.label_smoothing)
        self._epoch = 0
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._resolved = Resolved(
            input_size=self._size,
            classes=data.info.classes,
            parameters=sum(p.numel() for p in self._network.parameters() if p.requires_grad),
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
        """Epochs trained so far."""
        return self._epoch

    def train_epoch(self) -> Measurement:
        """Trains one epoch and measures.

        Where the loss is not finite the epoch ends early, and its `val_` numbers are those of guessing.
        """
        started = time.perf_counter()
        seed_process(self._config.seed, "epoch", self._epoch)
        training = self._train_once()
        self._epoch += 1
        if math.isfinite(training.loss):
            evaluation = self._evaluate(self._validation)
        else:
            evaluation = _guessing(self._data.info.classes)
        return Measurement(
            epoch=self._epoch,
            train_loss=training.loss,
            val_loss=evaluation.loss,
            val_top1=evaluation.top1,
            val_top5=evaluation.top5,
            lr=training.lr,
            grad_norm=training.grad_norm,
            seconds=time.perf_counter() - started,
        )

    def evaluate_test(self) -> float:
        """Top-1 accuracy on the test part, as a fraction; changes no state that later epochs depend on."""
        return self._evaluate(self._test).top1

    def peak_memory(self) -> int:
        """Bytes: the GPU's peak since the trainer was built; on the CPU the process's resident size now."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return resident_memory()

    def snapshot(self) -> Callable[[], bytes]:
        """A copy of everything needed to go on from here, as tensors on the CPU and plain values only."""
        fields = {
            "trial": self._fingerprint(),
            "epoch": self._epoch,
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
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
        self._scaler.load_state_dict(fields["scaler"])
        self._epoch = fields["epoch"]

    def _fingerprint(self) -> str:
        return f"{config_digest(self._config)}/{self._data.sha256}"

    def _train_once(self) -> _Training:
        config, epoch = self._config, self._epoch
        batches = _batches(len(self._train), config.batch_size, stream_seed(config.seed, "order", epoch))
        augmentation = torch.Generator().manual_seed(stream_seed(config.seed, "augmentation", epoch))
        self._network.train()
        losses, norms = torch.zeros((), device=self._device), torch.zeros((), device=self._device)
        images_seen = lr = 0.0
        for place, batch in enumerate(batches):
            lr = self._set_lr(epoch * len(batches) + place, config.epochs * len(batches))
            loss, norm = self._step(batch, augmentation)
            losses += loss * len(batch)
            norms += norm
            images_seen += len(batch)
            is_check = place % _STEPS_BETWEEN_CHECKS == 0 or place == len(batches) - 1
            if is_check and not math.isfinite(losses.item()):
                break
        return _Training(loss=losses.item() / images_seen, grad_norm=norms.item() / (place + 1), lr=lr)

    def _set_lr(self, step: int, total_steps: int) -> float:
        lr = self._peak_lr * lr_share(step, total_steps, self._config.recipe)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _step(self, batch: Tensor, augmentation: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mean loss of the batch, and the norm of its gradient before clipping."""
        places = batch.to(self._device)
        images = _augment(self._train.images[places], self._config.recipe, augmentation)
        labels = self._train.labels[places]
        self._optimizer.zero_grad()
        loss = torch.zeros((), device=self._device)
        for start, end in micro_batches(len(batch), self._config.micro_batch):
            loss += self._backward(images[start:end], labels[start:end], (end - start) / len(batch))
        self._scaler.unscale_(self._optimizer)
        parameters = [parameter for parameter in self._network.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if self._config.recipe.clip_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._config.recipe.clip_grad_norm, norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return loss, norm

    def _backward(self, images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Adds the gradient of some images of a batch, of which they are a share; returns their part of its loss."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not torch.float32):
            loss = self._loss(self._network(self._pixels(images)), labels)
        part: Tensor = loss * share
        torch.autograd.backward(self._scaler.scale(part))
        return part.detach()

    def _pixels(self, images: Tensor) -> Tensor:
        """Bytes (N, C, H, W) as what the network sees: resized where asked for, normalised, channels last."""
        pixels = images.float()
        if pixels.shape[-1] != self._size:
            resized = nn.functional.interpolate(pixels, self._size, mode="bicubic", antialias=True)
            pixels = resized.clamp(0, 255)
        normalised = (pixels / 255 - self._mean) / self._std
        return normalised.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _evaluate(self, part: _Part) -> _Evaluation:
        self._network.eval()
        losses, top1, top5 = (torch.zeros((), device=self._device) for _ in range(3))
        has_top5 = self._data.info.classes > 5
        size = min(_EVALUATION_BATCH, self._config.micro_batch or _EVALUATION_BATCH)
        for start in range(0, len(part), size):
            images = part.images[start : start + size]
            labels = part.labels[start : start + size]
            with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not torch.float32):
                logits = self._network(self._pixels(images))
            logits = logits.float()
            losses += nn.functional.cross_entropy(logits, labels, reduction="sum")
            top1 += (logits.argmax(1) == labels).sum()
            if has_top5:
                top5 += (logits.topk(5).indices == labels[:, None]).sum()
        count = len(part)
        return _Evaluation(
            loss=losses.item() / count, top1=top1.item() / count, top5=top5.item() / count if has_top5 else None
        )


def _arithmetic(precision: Precision, device: torch.device) -> torch.dtype:
    is_gpu = device.type == "cuda"
    match precision:
        case Precision.AUTO:
            return torch.bfloat16 if is_gpu and torch.cuda.is_bf16_supported() else torch.float32
        case Precision.FLOAT16 if not is_gpu:
            raise UserError("precision float16 needs a GPU; on the CPU take float32 or bfloat16")
        case _:
            dtype: torch.dtype = getattr(torch, precision.value)
            return dtype


def _peak_lr(config: TrialConfig) -> float:
    lr = config.hp["lr"]
    if isinstance(lr, bool) or not isinstance(lr, float | int):
        raise UserError(f"the learning rate of {config.optimizer.name} must be a number; got {lr!r}")
    return float(lr)


def _on_device(part: ImageSet, device: torch.device) -> _Part:
    return _Part(images=torch.from_numpy(part.images).to(device), labels=torch.from_numpy(part.labels).to(device))


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _batches(count: int, batch_size: int, seed: int) -> list[Tensor]:
    """Places of the images of each step. A last batch of one is left out: BatchNorm cannot train on it."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    batches = [order[start : start + batch_size] for start in range(0, count, batch_size)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def micro_batches(count: int, size: int | None) -> list[tuple[int, int]]:
    """Bounds of even pieces of a batch, of at most `size` images where that leaves none with a single one.

    BatchNorm cannot train on one image.
    """
    pieces = 1 if size is None else min(math.ceil(count / size), max(1, count // 2))
    bounds = [round(count * piece / pieces) for piece in range(pieces + 1)]
    return list(itertools.pairwise(bounds))


def _augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    if recipe.crop_padding:
        images = random_crop(images, recipe.crop_padding, generator)
    return random_flip(images, generator) if recipe.horizontal_flip else images


def _guessing(classes: int) -> _Evaluation:
    return _Evaluation(loss=math.nan, top1=1 / classes, top5=5 / classes if classes > 5 else None)
