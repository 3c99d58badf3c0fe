"""Everything that decides one trial's numbers, in one frozen record that travels as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from pydantic import TypeAdapter

from search_spaces.backbones import BackboneInfo
from search_spaces.optimizers import HpValue, OptimizerInfo
from search_spaces.recipes import Recipe


class Validation(StrEnum):
    """Which part a trial's score is measured on."""

    SPLIT = "split"
    """A part split from the training data, the same for every trial of a sweep."""
    TEST = "test"
    """The test part, as the paper does: the score is then selected on the test part."""


class TrainOn(StrEnum):
    """Which part a trial trains on."""

    TRAIN = "train"
    ALL = "train+validation"
    """Training and validation part together: nothing is left to validate on, so the score is of the test part."""


class Precision(StrEnum):
    """Arithmetic of forward and backward passes; weights and optimizer state are always float32."""

    AUTO = "auto"
    """bfloat16 on GPUs that have it, float32 elsewhere."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    """With loss scaling; GPUs only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images, and how they are split."""

    name: str
    path: str | None = None
    """Absolute path of the folder, for data sets that are read from files."""
    image_size: int | None = None
    """Side in pixels the network sees; None keeps the data's own."""
    validation: Validation = Validation.SPLIT
    validation_fraction: float = 0.1
    split_seed: int = 0
    max_bad_samples: int = 0
    """Samples that may be skipped in one pass, because they cannot be decoded or have no label; of data sets that are
    decoded while they are trained on."""
    source_sha256: str | None = None
    """Digest of the source of a user's own function; None for data that is read from files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """One trial: what to build, on which data, for how long, from which seed. Equal configs give equal numbers."""

    backbone: BackboneInfo
    optimizer: OptimizerInfo
    hp: Mapping[str, HpValue]
    """A value for every hyper-parameter of the optimizer."""
    recipe: Recipe
    data: DataConfig
    epochs: int
    batch_size: int
    seed: int
    precision: Precision = Precision.AUTO
    train_on: TrainOn = TrainOn.TRAIN
    threads: int = 1
    """CPU threads of the process while this trial runs."""
    micro_batch: int | None = None
    """Images per forward and backward pass, with gradients summed up to the batch; None takes the whole batch."""

    def to_json(self) -> str:
        """The config as one JSON object."""
        return _ADAPTER.dump_json(self).decode()

    @staticmethod
    def from_json(text: str) -> TrialConfig:
        """The inverse of `to_json`."""
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(TrialConfig)


def config_digest(config: TrialConfig) -> str:
    """SHA-256 of what decides a trial's numbers; where its data lies is left out, so a trial can move."""
    fields = json.loads(config.to_json())
    del fields["data"]["path"]
    # A trial that went on met no more bad samples than were allowed: raising the limit changes none of its numbers.
    del fields["data"]["max_bad_samples"]
    for record in ("backbone", "optimizer", "recipe"):
        del fields[record]["source"]  # words about it
    if fields["micro_batch"] is None:
        del fields["micro_batch"]  # so that checkpoints made before there were micro-batches still fit
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def recipe_settings(recipe: Recipe) -> str:
    """A recipe's fields as one JSON object, keys sorted; its name and source are left out."""
    fields = {name: value for name, value in asdict(recipe).items() if name not in ("name", "source")}
    return json.dumps(fields, sort_keys=True)


def recipe_digest(recipe: Recipe) -> str:
    """SHA-256 of `recipe_settings`: equal recipes have equal digests."""
    return hashlib.sha256(recipe_settings(recipe).encode()).hexdigest()
