"""Runs a recorded trial again, in this process, and says how closely it matches what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import StoreError, UsageError
from orchestrator.planning.plan import Plan, Role, cell_key
from orchestrator.provenance import code_version
from orchestrator.running.outcomes import State
from orchestrator.running.resume import recorded_plan
from orchestrator.running.trial_rows import history_digest
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import CurveRow, TrialRow
from orchestrator.store.store import Store
from trainers.config import TrainOn, TrialConfig
from trainers.make import make_trainer
from trainers.measurement import Measurement

TOLERANCE = 0.01
"""Difference of any epoch's validation accuracy up to which a trial counts as reproduced on a GPU or on other
hardware, where sums are taken in another order. On the CPU that recorded it a trial is reproduced bit for bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A trial that ran again."""

    trial_id: str
    epochs: int
    is_bitwise: bool
    """Whether every number of every epoch is the same to the last bit."""
    largest_difference: float
    """Of any epoch's validation accuracy, as a fraction."""
    code_differs: bool
    """Whether another version of the code recorded the trial."""

    @property
    def is_match(self) -> bool:
        """Whether the trial counts as reproduced."""
        return self.is_bitwise or self.largest_difference <= TOLERANCE

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {**asdict(self), "is_match": self.is_match, "tolerance": TOLERANCE}

    def sentence(self) -> str:
        """The finding for a person."""
        if self.is_bitwise:
            found = "bit for bit what was recorded"
        else:
            verdict = "within" if self.is_match else "beyond"
            found = (
                f"not bit for bit what was recorded; its accuracies differ by at most {self.largest_difference:.4f}, "
                f"{verdict} the tolerance of {TOLERANCE}"
            )
        other = "; another version of the code recorded it" if self.code_differs else ""
        return f"{self.trial_id}: {self.epochs} epochs are {found}{other}"


def reproduce(
    store: Store, sweep: str, trial_id: str, on_epoch: Callable[[Measurement], None] | None = None
) -> Reproduction:
    """Runs a trial again from its recorded spec, setting and seed; writes nothing.

    Args:
        store: The store.
        sweep: The trial's sweep.
        trial_id: A trial that ended with a result.
        on_epoch: Called after every epoch.

    Raises:
        UsageError: The trial has not ended, or ended without a result.
        StoreError: What was recorded does not fit together.
    """
    plan = recorded_plan(store, sweep)
    row = _recorded_trial(store, sweep, trial_id)
    curve = read_rows(store.sweep(sweep), CurveRow, where={"trial_id": trial_id})
    trainer = make_trainer(config_of_row(plan, row))
    history: list[Measurement] = []
    for _ in range(row.epochs_done):
        history.append(trainer.train_epoch())
        if on_epoch is not None:
            on_epoch(history[-1])
        if not history[-1].is_finite:
            break
    recorded = [point.val_top1 for point in curve]
    differences = [abs(again.val_top1 - before) for again, before in zip(history, recorded, strict=False)]
    return Reproduction(
        trial_id=trial_id,
        epochs=len(history),
        is_bitwise=history_digest(history) == row.history_sha256,
        largest_difference=max(differences, default=1.0) if len(history) == len(recorded) else 1.0,
        code_differs=row.code_version != code_version(),
    )


def config_of_row(plan: Plan, row: TrialRow) -> TrialConfig:
    """The config of a trial as it ran, from its row and its sweep's plan.

    Raises:
        StoreError: The plan has no such cell.
    """
    key = cell_key(row.backbone, row.recipe, row.optimizer)
    cell = next((cell for cell in plan.cells if cell.key == key), None)
    if cell is None:
        raise StoreError(f"the recorded spec has no cell {key}; trial {row.trial_id} is of an older version of it")
    return TrialConfig(
        backbone=cell.backbone,
        optimizer=cell.optimizer,
        hp=json.loads(row.hp),
        recipe=cell.recipe,
        data=plan.data_of(cell),
        epochs=row.epochs_planned,
        batch_size=row.batch_size,
        seed=row.seed,
        precision=plan.spec.training.precision,
        train_on=plan.protocol.confirm.train_on if row.role == Role.CONFIRM else TrainOn.TRAIN,
        threads=plan.spec.resources.cpus_per_trial,
        micro_batch=row.micro_batch,
    )


def _recorded_trial(store: Store, sweep: str, trial_id: str) -> TrialRow:
    rows = read_rows(store.sweep(sweep), TrialRow, where={"trial_id": trial_id})
    if not rows:
        raise UsageError(f"trial {trial_id} of sweep {sweep} has not ended; there is nothing to compare with")
    (row,) = rows
    if row.state == State.FAIL:
        raise UsageError(f"trial {trial_id} failed ({row.reason}); `bocb resume {sweep} --retry all` runs it again")
    return row
