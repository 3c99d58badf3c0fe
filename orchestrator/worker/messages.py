"""What driver and worker tell each other, as JSON: a task one way, a report after every epoch the other way.

Tune keeps statistics of every number in a result, so a report crosses as a single string.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from trainers.final_measurements import CorruptionScore, LayerStatistics
from trainers.measurement import Measurement
from trainers.trainer import ParameterGroup, Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt of a trial, as a worker is given it."""

    trial_id: str
    attempt: int
    driver_epoch: int
    config: str
    """`TrialConfig` as JSON."""
    store: str
    """The store's URI, where the trial's checkpoints are."""
    sweep: str
    checkpoint_seconds: float
    keep_checkpoint: bool
    """Whether the state after the last epoch is kept."""
    layers: bool = False
    """Whether the statistics of the weights are taken after the last epoch."""
    corruptions: bool = False
    """Whether the network is tested on corrupted images after the last epoch."""

    def to_json(self) -> str:
        """The task as one JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Task:
        """The inverse of `to_json`."""
        return Task(**json.loads(text))


class EndingKind(StrEnum):
    """How an attempt ended, as the worker saw it."""

    FINISHED = "finished"
    """The whole budget was trained."""
    NOT_FINITE = "not finite"
    """A loss became infinite or NaN."""
    RAISED = "raised"
    """The trial's code raised."""
    BAD_DATA = "bad data"
    """A file of the data set could not be read."""
    OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The last thing that a worker says about an attempt."""

    kind: EndingKind
    test_top1: float | None = None
    peak_memory: int | None = None
    exception: str | None = None
    message: str | None = None
    traceback: str | None = None
    log: str | None = None
    """What the attempt printed."""
    layers: tuple[LayerStatistics, ...] | None = None
    """Statistics of the trained weights; None where none were taken."""
    corruptions: tuple[CorruptionScore, ...] | None = None
    """How the network does on corrupted images; None where it was not tested."""
    seconds: float = 0.0
    """Wall time from the last epoch to here: of tests and statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker says after an epoch.

    The first report of an attempt that went on from a checkpoint repeats the epochs before it, so that rows which
    died with a driver come back.
    """

    trial_id: str
    attempt: int
    measurements: tuple[Measurement, ...]
    node: str
    """Host name."""
    node_id: str
    """What Ray calls the node."""
    pid: int
    resolved: Resolved | None
    """What was built; None only if building it raised."""
    restored_epochs: int = 0
    """Epochs that the attempt found in a checkpoint."""
    ending: Ending | None = None
    trouble: str | None = None
    """What went wrong without ending the attempt."""

    def to_json(self) -> str:
        """The report as one JSON object; losses may be NaN, as Python's json writes it."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Report:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        resolved, ending = fields.pop("resolved"), fields.pop("ending")
        return Report(
            **{**fields, "measurements": measurements_from(fields["measurements"])},
            resolved=resolved and _resolved_from(resolved),
            ending=ending and _ending_from(ending),
        )


def measurements_from(records: Sequence[dict[str, Any]]) -> tuple[Measurement, ...]:
    """Measurements from their JSON objects."""
    return tuple(Measurement(**record) for record in records)


def _ending_from(fields: dict[str, Any]) -> Ending:
    layers, corruptions = fields["layers"], fields["corruptions"]
    read = {
        "layers": layers and tuple(LayerStatistics(**layer) for layer in layers),
        "corruptions": corruptions and tuple(CorruptionScore(**score) for score in corruptions),
    }
    return Ending(**{**fields, **read, "kind": EndingKind(fields["kind"])})


def _resolved_from(fields: dict[str, Any]) -> Resolved:
    return Resolved(**{**fields, "groups": tuple(ParameterGroup(**group) for group in fields["groups"])})
