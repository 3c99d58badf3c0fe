"""Checkpoints of running trials: one file per attempt, replaced in place, never a pickle.

A file is a line with a digest of all that follows, a line of JSON, and the trainer's own state. The JSON carries the
measurements so far: after a restore they are reported again, so that a store that lost its newest rows regains them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from orchestrator.store.lease import require_claim
from orchestrator.store.paths import is_checkpoint
from orchestrator.store.store import SweepStore
from orchestrator.worker.messages import measurements_from
from orchestrator.worker.output_log import readable
from trainers.measurement import Measurement

_MAGIC = b"bocb checkpoint 2 "


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trial after some epoch, or some steps into the next one."""

    trial_id: str
    config_sha256: str
    """Digest of the trial's config: a state fits only the config it was made under."""
    history: tuple[Measurement, ...]
    state: bytes
    steps: int = 0
    """Steps trained of the epoch after the history."""

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.history)


def encode(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint file."""
    header = {
        "trial_id": checkpoint.trial_id,
        "config_sha256": checkpoint.config_sha256,
        "steps": checkpoint.steps,
        "history": [asdict(measurement) for measurement in checkpoint.history],
    }
    body = json.dumps(header).encode() + b"\n" + checkpoint.state
    return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(content: bytes) -> Checkpoint:
    """The inverse of `encode`.

    Raises:
        ValueError: The bytes are not a whole, unchanged checkpoint.
    """
    first, _, body = content.partition(b"\n")
    if not first.startswith(_MAGIC):
        raise ValueError("not a checkpoint of this version")
    if first.removeprefix(_MAGIC) != hashlib.sha256(body).hexdigest().encode():
        raise ValueError("the checkpoint is damaged: its digest does not fit")
    line, _, state = body.partition(b"\n")
    header = json.loads(line)
    return Checkpoint(
        trial_id=header["trial_id"],
        config_sha256=header["config_sha256"],
        history=measurements_from(header["history"]),
        state=state,
        steps=header.get("steps", 0),
    )


def save_checkpoint(sweep: SweepStore, checkpoint: Checkpoint, *, driver_epoch: int, attempt: int) -> None:
    """Replaces the attempt's checkpoint; a process that is killed meanwhile leaves the old one.

    Raises:
        OSError: The store cannot be written, or is not where the attempt's driver has it.
    """
    require_claim(sweep, driver_epoch)
    sweep.files.write(sweep.paths.checkpoint(checkpoint.trial_id, driver_epoch, attempt), encode(checkpoint))


def best_checkpoint(sweep: SweepStore, trial_id: str, config_sha256: str) -> Checkpoint | None:
    """The checkpoint with most epochs, and steps beyond them, that any attempt of a trial left, or None.

    Damaged files and those of another config are passed over: the trial then starts from an older one, or anew.

    Raises:
        OSError: The store cannot be reached.
    """
    fitting = (found for found in _readable(sweep, trial_id) if found.config_sha256 == config_sha256)
    return max(fitting, key=lambda checkpoint: (checkpoint.epochs, checkpoint.steps), default=None)


def delete_checkpoints(sweep: SweepStore, trial_id: str) -> None:
    """Removes every checkpoint of a trial, and what its attempts printed: that is in the store by then."""
    for name in sweep.files.names(sweep.paths.checkpoints(trial_id)):
        sweep.files.delete(f"{sweep.paths.checkpoints(trial_id)}/{name}")
    sweep.files.delete_empty_folder(sweep.paths.checkpoints(trial_id))


def delete_older_checkpoints(sweep: SweepStore, trial_id: str, driver_epoch: int, attempt: int) -> None:
    """Removes the checkpoints that attempts before this one have left; never one of an attempt after it."""
    own = sweep.paths.checkpoint(trial_id, driver_epoch, attempt)
    for name in _names(sweep, trial_id):
        if name < own:  # names sort by driver and attempt
            sweep.files.delete(name)


def read_log(sweep: SweepStore, trial_id: str, driver_epoch: int, attempt: int) -> str | None:
    """What a running or lost attempt left of its output, or None."""
    try:
        return readable(sweep.files.read(sweep.paths.log(trial_id, driver_epoch, attempt)))
    except OSError:
        return None  # it printed nothing, or the store is out of reach: no reason to lose the attempt's row


def trials_with_checkpoints(sweep: SweepStore) -> list[str]:
    """Ids of the trials that have a folder of checkpoints."""
    return sweep.files.names(sweep.paths.all_checkpoints)


def _readable(sweep: SweepStore, trial_id: str) -> Iterator[Checkpoint]:
    for name in _names(sweep, trial_id):
        try:
            yield decode(sweep.files.read(name))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue


def _names(sweep: SweepStore, trial_id: str) -> list[str]:
    folder = sweep.paths.checkpoints(trial_id)
    return [f"{folder}/{name}" for name in sweep.files.names(folder) if is_checkpoint(name)]
