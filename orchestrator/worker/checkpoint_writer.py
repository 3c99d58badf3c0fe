"""Writes the checkpoints of a running attempt on a thread of its own, so that training goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from orchestrator.store.store import SweepStore
from orchestrator.worker.checkpoints import Checkpoint, delete_older_checkpoints, save_checkpoint


class CheckpointWriter:
    """One attempt's checkpoints, one at a time.

    `trouble` says why the last one could not be written; training goes on and the next one is tried.
    """

    def __init__(self, sweep: SweepStore, *, driver_epoch: int, attempt: int) -> None:
        self.trouble: str | None = None
        self._sweep = sweep
        self._driver_epoch = driver_epoch
        self._attempt = attempt
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._last: Future[None] | None = None
        self._saved_epochs = 0

    def save(self, make: Callable[[], Checkpoint]) -> None:
        """Begins to write a checkpoint, when the one before it is written.

        Args:
            make: Gives the checkpoint; called on the thread, since making bytes of tensors takes time too.
        """
        self.wait()
        self._last = self._thread.submit(self._write, make)

    def wait(self) -> int:
        """Returns when nothing is being written: the epochs of the last checkpoint that was, 0 for none."""
        if self._last is not None:
            self._last.result()
            self._last = None
        return self._saved_epochs

    def close(self) -> None:
        """Waits, whatever comes of the last one, and ends the thread."""
        self._thread.shutdown()

    def _write(self, make: Callable[[], Checkpoint]) -> None:
        try:
            checkpoint = make()
            save_checkpoint(self._sweep, checkpoint, driver_epoch=self._driver_epoch, attempt=self._attempt)
        except OSError as error:
            self.trouble = f"no checkpoint can be written: {error}"
        else:
            self.trouble = None
            if not self._saved_epochs:
                # Earlier attempts' files are of no more use, and a trial is to take no more room than its spec says.
                with suppress(OSError):
                    delete_older_checkpoints(self._sweep, checkpoint.trial_id, self._driver_epoch, self._attempt)
            self._saved_epochs = checkpoint.epochs
