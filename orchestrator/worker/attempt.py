"""One attempt of a trial, inside a worker: restore, train epoch by epoch, measure, save. Knows nothing of Ray."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from orchestrator.store.store import Store
from orchestrator.worker.checkpoint_writer import CheckpointWriter
from orchestrator.worker.checkpoints import Checkpoint, best_checkpoint
from orchestrator.worker.messages import Ending, EndingKind, Report, Task
from orchestrator.worker.output_log import OutputLog
from search_spaces.errors import DataError
from trainers.config import TrialConfig, config_digest
from trainers.make import make_trainer
from trainers.measurement import Measurement
from trainers.memory import is_out_of_memory, release_cached_memory
from trainers.trainer import Trainer

STORE_PATIENCE_SECONDS = 900.0
STORE_RETRY_SECONDS = 5.0


class Attempt:
    """A running attempt. `step` never raises: whatever goes wrong is in the report. After an ending it is over."""

    def __init__(self, task: Task, node_id: str = "") -> None:
        self.task = task
        self._node_id = node_id
        self._config = TrialConfig.from_json(task.config)
        self._store = Store(task.store).sweep(task.sweep)
        self._log = OutputLog(
            self._store.files, self._store.paths.log(task.trial_id, task.driver_epoch, task.attempt)
        )
        self._checkpoints = CheckpointWriter(self._store, driver_epoch=task.driver_epoch, attempt=task.attempt)
        self._trainer: Trainer | None = None
        self._history: list[Measurement] = []
        self._trouble: str | None = None
        self._restored_epochs = 0
        self._saved_at = time.monotonic()

    def step(self) -> Report:
        """Trains one epoch, after building or restoring the trial where that has not been done."""
        report = self._guarded_step()
        if report.ending is None:
            return report
        ending = replace(report.ending, log=self._log.text())
        self._log.remove()
        self.leave()
        return replace(report, ending=ending)

    def leave(self, *, save: bool = False) -> int:
        """Ends the attempt, as it is between two epochs: afterwards nothing of it is held or being written.

        A worker may wait long for its next attempt, and what this one printed stays in the store for the driver.

        Args:
            save: Whether the trial is to go on from here later.

        Returns:
            The epochs that are saved.
        """
        saved = self._restored_epochs
        with suppress(Exception):  # what cannot be saved is trained again
            saved = max(self._checkpoints.wait(), saved)
            if save and self._trainer is not None and len(self._history) > saved:
                self._save(self._trainer)
                saved = max(self._checkpoints.wait(), saved)
        self._checkpoints.close()
        self._log.close()
        self._trainer = None
        with suppress(Exception):  # a GPU in disorder refuses even this
            release_cached_memory()
        return saved

    def _guarded_step(self) -> Report:
        try:
            with self._log.capturing():
                return self._advance()
        # The one place where a worker's failure becomes a record: Tune would drop the worker otherwise, and the
        # user's own code can raise anything, call sys.exit, and raise what cannot even be printed.
        except BaseException as error:  # noqa: BLE001
            return self._report((), _failure(error))

    def _advance(self) -> Report:
        is_first = self._trainer is None
        trainer = self._trainer or self._build()
        # What was restored is reported before anything follows: the driver may want to stop the trial there.
        is_restored = is_first and bool(self._history)
        if not is_restored:
            self._history.append(trainer.train_epoch(lambda: self._save_if_due(trainer)))
        ending = self._ending(trainer)
        if ending is None:
            self._save_if_due(trainer)
        if ending is not None:
            self._checkpoints.wait()
            if self.task.keep_checkpoint:
                self._save_for_good(trainer)
        return self._report(self._history if is_first else self._history[-1:], ending)

    def _build(self) -> Trainer:
        """The trainer, gone on from the trial's best checkpoint where there is one."""
        trainer = make_trainer(self._config)
        saved = self._best_checkpoint()
        if saved is not None:
            try:
                trainer.restore(saved.state)
                self._history = list(saved.history)
                self._restored_epochs = saved.epochs
            except (ValueError, RuntimeError) as error:
                # Other data, or another layout of the network's weights: the trial starts anew.
                self._trouble = f"its checkpoint of epoch {saved.epochs} cannot be used: {error}"
                trainer = make_trainer(self._config)
        self._trainer = trainer
        return trainer

    def _best_checkpoint(self) -> Checkpoint | None:
        """The trial's best checkpoint, waited for while the store is out of reach."""
        deadline = time.monotonic() + STORE_PATIENCE_SECONDS
        while True:
            try:
                return best_checkpoint(self._store, self.task.trial_id, config_digest(self._config))
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(STORE_RETRY_SECONDS)

    def _ending(self, trainer: Trainer) -> Ending | None:
        if not self._history[-1].is_finite:
            return Ending(kind=EndingKind.NOT_FINITE, peak_memory=trainer.peak_memory())
        if len(self._history) < self._config.epochs:
            return None
        return self._final_measurements(trainer)

    def _final_measurements(self, trainer: Trainer) -> Ending:
        started = time.monotonic()
        test_top1, peak_memory = trainer.evaluate_test(), trainer.peak_memory()
        layers = trainer.weight_statistics() if self.task.layers else None
        corruptions = None
        if self.task.corruptions:
            self._save_if_due(trainer)  # 75 tests may take longer than an epoch
            corruptions = trainer.evaluate_corruptions()
        return Ending(
            kind=EndingKind.FINISHED,
            test_top1=test_top1,
            peak_memory=peak_memory,
            layers=layers,
            corruptions=corruptions,
            seconds=time.monotonic() - started,
        )

    def _save_if_due(self, trainer: Trainer) -> None:
        if time.monotonic() - self._saved_at >= self.task.checkpoint_seconds:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        """Copies the trial's state and has it written while training goes on."""
        state, history, steps = trainer.snapshot(), tuple(self._history), trainer.step

        def make() -> Checkpoint:
            self._log.publish()
            return Checkpoint(
                trial_id=self.task.trial_id,
                config_sha256=config_digest(self._config),
                history=history,
                state=state(),
                steps=steps,
            )

        self._checkpoints.save(make)
        self._saved_at = time.monotonic()

    def _save_for_good(self, trainer: Trainer) -> None:
        """Saves a trial that has ended, and tries again while the store is out of reach."""
        deadline = time.monotonic() + STORE_PATIENCE_SECONDS
        while True:
            self._save(trainer)
            self._checkpoints.wait()
            if self._checkpoints.trouble is None or time.monotonic() > deadline:
                return
            time.sleep(STORE_RETRY_SECONDS)

    def _report(self, measurements: Sequence[Measurement], ending: Ending | None) -> Report:
        return Report(
            trial_id=self.task.trial_id,
            attempt=self.task.attempt,
            measurements=tuple(measurements),
            node=socket.gethostname(),
            node_id=self._node_id,
            pid=os.getpid(),
            resolved=self._trainer.resolved if self._trainer else None,
            restored_epochs=self._restored_epochs,
            ending=ending,
            trouble=self._checkpoints.trouble or self._trouble,
        )


def _failure(error: BaseException) -> Ending:
    """What was raised, and what kind of failure that is."""
    kind = EndingKind.RAISED
    if is_out_of_memory(error):
        kind = EndingKind.OUT_OF_MEMORY
    elif isinstance(error, DataError):
        kind = EndingKind.BAD_DATA
    try:
        message, trace = str(error), traceback.format_exc()
    except Exception:  # noqa: BLE001 - some exceptions cannot be printed
        message, trace = "its message cannot be read", None
    return Ending(kind=kind, exception=type(error).__name__, message=message, traceback=trace)
