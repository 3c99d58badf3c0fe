"""Rows of a large made-up sweep, in the order in which a driver would hand them to its writer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import numpy as np

from orchestrator.store.schema import AttemptRow, CurveRow, Row, SweepRow, TrialRow

SWEEP = "large"
BACKBONES = tuple(f"backbone_{number:02d}" for number in range(20))
OPTIMIZERS = tuple(f"optimizer_{number:02d}" for number in range(20))
CELLS = tuple((backbone, optimizer) for backbone in BACKBONES for optimizer in OPTIMIZERS)
START = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
VALIDATION_IMAGES = 5000
EPOCH_SECONDS = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpTrial:
    """One trial of the sweep: `index` counts over all, breadth first over the cells."""

    index: int
    epochs: int
    cells: int = len(CELLS)
    driver_epoch: int = 1

    @property
    def cell(self) -> tuple[str, str]:
        """Backbone and optimizer."""
        return CELLS[self.index % self.cells]

    @property
    def number(self) -> int:
        """Number of the setting within its cell."""
        return self.index // self.cells

    @property
    def trial_id(self) -> str:
        """An id as the planner makes it."""
        backbone, optimizer = self.cell
        return f"{backbone}.paper.{optimizer}.design-{self.number:03d}-s0"

    @property
    def started_at(self) -> datetime:
        """As if 64 trials ran at once."""
        return START + timedelta(seconds=self.index // 64 * EPOCH_SECONDS * self.epochs)

    def curve(self) -> list[CurveRow]:
        """Accuracies are whole numbers of images, the learning rate a cosine, the rest noise to the last bit."""
        rng = np.random.default_rng(self.index)
        epochs = np.arange(1, self.epochs + 1)
        level = 0.5 + 0.3 * rng.random()
        rise = level * (1 - np.exp(-5 * epochs / self.epochs))
        top1 = np.round((rise + 0.01 * rng.random(self.epochs)) * VALIDATION_IMAGES) / VALIDATION_IMAGES
        columns = {
            "epoch": epochs,
            "train_loss": 4.6 * (1 - rise) + 0.05 * rng.random(self.epochs),
            "val_loss": 4.6 * (1 - rise) + 0.1 * rng.random(self.epochs),
            "val_top1": top1,
            "val_top5": np.minimum(1.0, np.round((top1 + 0.2) * VALIDATION_IMAGES) / VALIDATION_IMAGES),
            "lr": self.learning_rate * 0.5 * (1 + np.cos(np.pi * epochs / self.epochs)),
            "grad_norm": 1.0 + rng.random(self.epochs),
            "seconds": EPOCH_SECONDS + 0.2 * rng.standard_normal(self.epochs),
        }
        backbone, optimizer = self.cell
        names = list(columns)
        return [
            CurveRow(
                sweep=SWEEP, trial_id=self.trial_id, backbone=backbone, optimizer=optimizer, role="design", attempt=1,
                driver_epoch=self.driver_epoch, **dict(zip(names, values, strict=True)),
            )
            for values in zip(*(column.tolist() for column in columns.values()), strict=True)
        ]  # fmt: skip

    @property
    def learning_rate(self) -> float:
        """Peak learning rate, log-uniform."""
        return float(10 ** -(1 + 3 * np.random.default_rng(self.index + 1_000_000).random()))

    def attempt(self, *, has_ended: bool) -> AttemptRow:
        """The row of its only attempt, at the start or at the end."""
        row = {"outcome": "RUNNING"}
        end = {
            "outcome": "COMPLETE", "node": "node-1", "pid": 1000 + self.index % 64, "first_epoch": 1,
            "epochs_done": self.epochs, "gpu_seconds": EPOCH_SECONDS * self.epochs, "ended_at": self.ended_at,
        }  # fmt: skip
        return AttemptRow(
            sweep=SWEEP, trial_id=self.trial_id, attempt=1, driver_epoch=self.driver_epoch,
            started_at=self.started_at, **(end if has_ended else row),
        )  # fmt: skip

    @property
    def ended_at(self) -> datetime:
        """When its last epoch ended."""
        return self.started_at + timedelta(seconds=EPOCH_SECONDS * self.epochs)

    def row(self, curve: list[CurveRow]) -> TrialRow:
        """The row that closes it."""
        backbone, optimizer = self.cell
        accuracies = [row.val_top1 for row in curve]
        return TrialRow(
            sweep=SWEEP, trial_id=self.trial_id, backbone=backbone, recipe="paper", optimizer=optimizer,
            dataset="cifar100", input_size=32, batch_size=128, precision="fp32", role="design", number=self.number,
            replicate=0, seed=self.index * 7919, state="COMPLETE", score=accuracies[-1],
            score_rule="final on validation", val_top1_final=accuracies[-1], val_top1_best=max(accuracies),
            val_top1_median10=float(np.median(accuracies[-10:])), test_top1=accuracies[-1], epochs_done=self.epochs,
            epochs_planned=self.epochs, hp=json.dumps({"lr": self.learning_rate, "weight_decay": 5e-4}),
            hp_source="design", hp_lr=self.learning_rate, hp_weight_decay=5e-4,
            point=json.dumps({"lr": self.learning_rate}), optimizer_class="torch.optim.SGD", groups="[]",
            parameters=11_000_000, classes=100, attempt=1, driver_epoch=self.driver_epoch,
            started_at=self.started_at, ended_at=self.ended_at, train_seconds=EPOCH_SECONDS * self.epochs,
            wall_seconds=EPOCH_SECONDS * self.epochs, images_per_second=6400.0, peak_memory=2**30, device="gpu",
            code_version="0.1.0+abc", recipe_sha256="r" * 64, data_sha256="d" * 64,
            history_sha256=f"{self.index:064x}",
        )  # fmt: skip


def sweep_row(trials: int, *, cells: int = len(CELLS), driver_epoch: int = 1) -> SweepRow:
    """The sweep's only version."""
    names = [[backbone, "paper", optimizer] for backbone, optimizer in CELLS[:cells]]
    return SweepRow(
        sweep=SWEEP, version=1, driver_epoch=driver_epoch, spec="{}", spec_sha256="s" * 64, trials_planned=trials,
        cells=json.dumps(names), created_at=START, packages="{}", code_version="0.1.0+abc",
    )  # fmt: skip


@dataclass(slots=True)
class _Running:
    """A trial and the points of its curve that are still to come."""

    trial: MadeUpTrial
    curve: list[CurveRow]
    done: int = 0

    def next_rows(self) -> list[Row]:
        """Of its next epoch: a measurement, with a row at its start before and those of its end after."""
        rows: list[Row] = [] if self.done else [self.trial.attempt(has_ended=False)]
        rows.append(self.curve[self.done])
        self.done += 1
        if self.has_ended:
            rows += [self.trial.attempt(has_ended=True), self.trial.row(self.curve)]
        return rows

    @property
    def has_ended(self) -> bool:
        return self.done == len(self.curve)


def rows_in_order(trials: Iterable[MadeUpTrial], *, slots: int = 64) -> Iterator[list[Row]]:
    """Batches of rows as a driver receives them: each is one epoch of every trial that runs.

    Starts are staggered, so that at any moment some trials begin, some end and most are in between.

    Args:
        trials: In the order of their starts.
        slots: How many run at once.
    """
    waiting = iter(trials)
    running: list[_Running] = []
    while True:
        room = slots - len(running)
        starting = max(1, room // 8) if room else 0
        running += [_Running(trial, trial.curve()) for trial in islice(waiting, starting)]
        if not running:
            return
        yield [row for item in running for row in item.next_rows()]
        running = [item for item in running if not item.has_ended]
