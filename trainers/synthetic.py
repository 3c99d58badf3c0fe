"""A trainer without a network: learning curves in microseconds from a known truth about backbone and optimizer.

The README's first example, the end-to-end tests and the ground truth of the analysis are this one trainer. Its
truth, by `planted_truth`:

    accuracy after all epochs = ceiling - curvature * (log10 lr - optimum)^2 - decay_cost * distance^2 + noise

with `distance` in decades of weight decay from the optimizer's middle (0 where the decay is off), never below
chance. `ceiling` is a mean plus an effect of the backbone, one of the optimizer, and a coupling that sums to zero
over synthetic_a to synthetic_d: a and c favour fixed rates (SGD, Lion), b and d adaptive ones. Trials whose rate
lies beyond `edge` diverge.

A backbone of one's own for data set synthetic is a function that returns a `Behaviour`.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.backbones import BackboneInfo
from search_spaces.datasets import get_dataset
from search_spaces.errors import UserError
from search_spaces.optimizers import OptimizerInfo, check_hyperparameters, get_optimizer
from trainers.config import TrialConfig, config_digest
from trainers.final_measurements import CorruptionScore, LayerStatistics
from trainers.imports import OWN_CODE_ERRORS, check_source, load_callable
from trainers.measurement import Measurement
from trainers.memory import resident_memory
from trainers.optimization.schedule import hp_number, rate_of
from trainers.seeds import stream_seed
from trainers.trainer import Resolved

CHANCE = 0.1
NOISE_SD = 0.01
"""Standard deviation of a trial's final accuracy over seeds."""
_LEARNING_RATE_CONSTANT = 4.0
"""A run has e^-4 of the way to its final accuracy left to go after all its epochs, before rescaling to none."""

_BACKBONE_EFFECT = {"synthetic_a": 0.03, "synthetic_b": 0.01, "synthetic_c": -0.01, "synthetic_d": -0.03}
_LEANING = {"synthetic_a": 1.0, "synthetic_b": -1.0, "synthetic_c": 0.5, "synthetic_d": -0.5}
"""How much a backbone favours optimizers of fixed rate; sums to zero."""
_COUPLING = {"a": 0.10, "b": -0.05, "c": 0.0, "d": -0.08}
"""Ceiling gained with leaning 1, by category of the optimizer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a synthetic backbone does beside its curve: for tests of what surrounds a trial."""

    epoch_seconds: float = 0.0
    """How long each epoch sleeps."""
    before_epoch: Callable[[int], None] | None = None
    """Called in the trial's process with the number of the epoch about to be trained, from 1; it may raise, or end
    the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedTruth:
    """What a perfect analysis would find for one pair. Accuracies are fractions, rates log10."""

    ceiling: float
    """Expected accuracy at the best setting."""
    optimum: float
    """log10 of the best learning rate."""
    curvature: float
    """Accuracy lost per squared decade of learning rate from the optimum: the sensitivity to tuning."""
    edge: float
    """log10 of the learning rate beyond which trials diverge."""
    decay_cost: float
    """Accuracy lost per squared decade of weight decay from the middle of its range."""
    noise_sd: float

    def accuracy(self, lr: float, decay_distance: float = 0.0) -> float | None:
        """Expected accuracy after all epochs at a rate, or None where it diverges.

        Args:
            lr: Learning rate.
            decay_distance: Decades of weight decay from the best one.
        """
        if lr <= 0:
            return CHANCE
        place = math.log10(lr)
        if place > self.edge:
            return None
        lost = self.curvature * (place - self.optimum) ** 2 + self.decay_cost * decay_distance**2
        return max(CHANCE, self.ceiling - lost)


def planted_truth(backbone: str, optimizer: str | OptimizerInfo) -> PlantedTruth:
    """The truth for a pair; names beside synthetic_a to synthetic_d have no coupling, only small effects by hash.

    Raises:
        UserError: The optimizer's name is not in the catalogue.
    """
    info = get_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    coupling = _COUPLING.get(info.category, 0.0) * _LEANING.get(backbone, 0.0)
    main = _BACKBONE_EFFECT.get(backbone, 0.02 * _share("backbone", backbone)) + 0.02 * _share("optimizer", info.name)
    default = info.defaults.get("lr")
    centre = math.log10(default) if isinstance(default, float | int) and default > 0 else -3.0
    optimum = centre + 0.6 * _share("optimum", backbone, info.name)
    return PlantedTruth(
        ceiling=0.75 + main + coupling,
        optimum=optimum,
        curvature=0.06 + 0.04 * _share("curvature", info.name) + 0.01 * _share("curvature", backbone),
        edge=optimum + 1.5,
        decay_cost=0.005,
        noise_sd=NOISE_SD,
    )


def _share(*names: str) -> float:
    """A fixed number in [-1, 1] for some names."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return int.from_bytes(digest[:4]) / (2**32 - 1) * 2 - 1


class SyntheticTrainer:
    """Implements `trainers.trainer.Trainer` on planted truth. Its epochs take microseconds and import no torch.

    Raises:
        UserError: The backbone is a network, or a hyper-parameter is unknown, missing or not a number.
    """

    def __init__(self, config: TrialConfig) -> None:
        check_hyperparameters(config.optimizer, config.hp)
        self._config = config
        self._behaviour = behaviour_of(config.backbone)
        self._truth = planted_truth(config.backbone.name, config.optimizer)
        self._lr = hp_number(config, "lr")
        self._decay_distance = _decay_distance(config)
        self._epoch = 0
        info = get_dataset("synthetic")
        self._resolved = Resolved(
            input_size=config.data.image_size or info.image_size,
            classes=info.classes,
            parameters=0,
            drop_path=0.0,
            initialisation=config.backbone.initialisation,
            optimizer_class=config.optimizer.class_path,
            hp=dict(config.hp),
            groups=(),
            precision="float32",
            device="cpu",
            data_sha256=hashlib.sha256(b"synthetic").hexdigest(),
            train_samples=info.train_count,
            validation_samples=info.test_count,
            test_samples=info.test_count,
        )

    @property
    def resolved(self) -> Resolved:
        """What a real trainer would have built; the optimizer's class is named but never imported."""
        return self._resolved

    @property
    def epoch(self) -> int:
        """Epochs trained so far."""
        return self._epoch

    @property
    def step(self) -> int:
        """An epoch is one step."""
        return 0

    def train_epoch(self, between_steps: Callable[[], None] | None = None) -> Measurement:  # noqa: ARG002
        """One point of the learning curve."""
        started = time.perf_counter()
        if self._behaviour.before_epoch is not None:
            self._behaviour.before_epoch(self._epoch + 1)
        if self._behaviour.epoch_seconds > 0:
            time.sleep(self._behaviour.epoch_seconds)
        lr = rate_of(self._config, self._epoch, steps_per_epoch=1)
        self._epoch += 1
        accuracy = self._accuracy("validation")
        loss = math.nan if accuracy is None else -math.log(accuracy)
        return Measurement(
            epoch=self._epoch,
            train_loss=loss,
            val_loss=loss,
            val_top1=CHANCE if accuracy is None else accuracy,
            val_top5=0.5 if accuracy is None else (1 + accuracy) / 2,
            lr=lr,
            grad_norm=None,
            seconds=time.perf_counter() - started,
        )

    def evaluate_test(self) -> float:
        """Accuracy on another sample of the same size: the same truth with noise of its own."""
        accuracy = self._accuracy("test")
        return CHANCE if accuracy is None else accuracy

    def weight_statistics(self) -> tuple[LayerStatistics, ...]:
        """Of no weight: there is no network."""
        return ()

    def evaluate_corruptions(self) -> tuple[CorruptionScore, ...]:
        """There are no images to spoil.

        Raises:
            ValueError: Always.
        """
        raise ValueError("data set synthetic has no images that could be corrupted")

    def peak_memory(self) -> int:
        """The process's resident size now, in bytes."""
        return resident_memory()

    def snapshot(self) -> Callable[[], bytes]:
        """The number of epochs, and which trial it is."""
        state = json.dumps({"trial": config_digest(self._config), "epoch": self._epoch}).encode()
        return lambda: state

    def restore(self, state: bytes) -> None:
        """Goes on from the bytes of a snapshot that was taken under an equal config.

        Raises:
            ValueError: The bytes are not such a state.
        """
        try:
            fields = json.loads(state)
            trial, epoch = fields["trial"], fields["epoch"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"these {len(state)} bytes are not a synthetic trainer's state") from error
        if trial != config_digest(self._config):
            raise ValueError("this state belongs to another trial")
        self._epoch = epoch

    def _accuracy(self, part: str) -> float | None:
        """Accuracy after the epochs so far, in [CHANCE, 1), or None once diverged."""
        expected = self._truth.accuracy(self._lr, self._decay_distance)
        if expected is None:
            return None
        # Keyed by the setting too: trials of one seed are as independent as real ones.
        names = (
            part,
            self._config.backbone.name,
            self._config.optimizer.name,
            json.dumps(dict(self._config.hp), sort_keys=True),
        )
        generator = random.Random(stream_seed(self._config.seed, "noise", *names))  # noqa: S311
        noise = generator.gauss(0, self._truth.noise_sd)
        final = min(max(expected + noise, CHANCE), 0.999)
        progress = self._epoch / self._config.epochs
        reached = (1 - math.exp(-_LEARNING_RATE_CONSTANT * progress)) / (1 - math.exp(-_LEARNING_RATE_CONSTANT))
        return CHANCE + (final - CHANCE) * reached


def behaviour_of(backbone: BackboneInfo) -> Behaviour:
    """What a backbone does beside its curve.

    Raises:
        UserError: It is a network, or the user's own function raises or returns something else.
    """
    purpose = f"backbone {backbone.name}"
    if backbone.family not in ("synthetic", "own"):
        raise UserError(
            f"{purpose} is a network, and data set synthetic has no images; take synthetic_a, synthetic_b,"
            " synthetic_c or synthetic_d, or a function that returns trainers.synthetic.Behaviour"
        )
    function = load_callable(backbone.builder, purpose=purpose)
    check_source(backbone.builder, backbone.source_sha256, purpose=purpose)
    try:
        behaviour = function(**backbone.arguments)
    except OWN_CODE_ERRORS as error:
        raise UserError(f"{purpose} raises {type(error).__name__}: {error}") from error
    if not isinstance(behaviour, Behaviour):
        raise UserError(
            f"{purpose} must return trainers.synthetic.Behaviour for data set synthetic; it returned"
            f" {type(behaviour).__name__}"
        )
    return behaviour


def _decay_distance(config: TrialConfig) -> float:
    dimension = {d.name: d for d in config.optimizer.space.dimensions}.get("weight_decay")
    if dimension is None or "weight_decay" not in config.hp:
        return 0.0
    decay = hp_number(config, "weight_decay")
    return math.log10(decay / math.sqrt(dimension.low * dimension.high)) if decay else 0.0
