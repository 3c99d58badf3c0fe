"""The contract between a trainer and whoever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from search_spaces.optimizers import HpValue
from trainers.final_measurements import CorruptionScore, LayerStatistics
from trainers.measurement import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that share one weight decay."""

    name: str
    tensors: int
    parameters: int
    weight_decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What was built for a trial, as opposed to what was asked for."""

    input_size: int
    classes: int
    parameters: int
    """Number of trained scalars."""
    drop_path: float
    """Stochastic depth that acts: 0 in a network without residual branches."""
    initialisation: str
    """How the fresh weights were drawn."""
    optimizer_class: str
    """Import path of the class that ran."""
    hp: dict[str, HpValue]
    """Every hyper-parameter that acted, with the value that the optimizer holds."""
    groups: tuple[ParameterGroup, ...]
    precision: str
    device: str
    """"cpu", or the GPU's product name."""
    data_sha256: str
    """Digest of images, labels and split."""
    train_samples: int
    validation_samples: int
    test_samples: int


class Trainer(Protocol):
    """One trial's training, epoch by epoch.

    Building a trainer resets the process (random states, threads, precision flags), so that a trial on a used
    process equals the same trial on a fresh one.
    """

    @property
    def resolved(self) -> Resolved:
        """What was built."""
        ...

    @property
    def epoch(self) -> int:
        """Whole epochs trained so far."""
        ...

    @property
    def step(self) -> int:
        """Steps trained of the epoch after those: above 0 between two steps, or where a snapshot was taken there."""
        ...

    def train_epoch(self, between_steps: Callable[[], None] | None = None) -> Measurement:
        """Trains to the end of an epoch and measures.

        On the CPU the numbers are a function of config and epoch alone.

        Args:
            between_steps: Called now and then between two steps, when a snapshot may be taken.
        """
        ...

    def evaluate_test(self) -> float:
        """Top-1 accuracy on the test part, as a fraction; changes no state that later epochs depend on."""
        ...

    def weight_statistics(self) -> tuple[LayerStatistics, ...]:
        """Statistics of every weight of the network that `evaluate_test` tests; changes nothing."""
        ...

    def evaluate_corruptions(self) -> tuple[CorruptionScore, ...]:
        """As `evaluate_test`, of the test part spoilt by every corruption in every severity.

        Raises:
            ValueError: There are no images, or none of a kind that corruptions are made for.
        """
        ...

    def peak_memory(self) -> int:
        """Bytes: the device's peak since the trainer was built; on the CPU the process's resident size now."""
        ...

    def snapshot(self) -> Callable[[], bytes]:
        """Copies what is needed to go on from here: weights, optimizer, schedule, random states, place in the data.

        What is returned turns the copy into bytes; it may be called on another thread while training goes on.
        """
        ...

    def restore(self, state: bytes) -> None:
        """Goes on from the bytes of a snapshot that was taken under an equal config.

        Raises:
            ValueError: The bytes are not such a state.
        """
        ...
