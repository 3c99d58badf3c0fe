"""Checkpoints are written beside training: one at a time, and a store that refuses them stops nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from orchestrator.store.store import SweepStore, open_store
from orchestrator.worker.checkpoint_writer import CheckpointWriter
from orchestrator.worker.checkpoints import Checkpoint, best_checkpoint
from tests.planned_sweeps import history_of


def checkpoint(epochs: int) -> Checkpoint:
    return Checkpoint(trial_id="t", config_sha256="c", history=history_of(0.5, epochs), state=b"weights")


@pytest.fixture
def sweep(tmp_path: Path) -> SweepStore:
    sweep = open_store(str(tmp_path), create=True).sweep("s")
    for driver_epoch in (1, 2):
        sweep.files.write(sweep.paths.driver(driver_epoch), b"")
    return sweep


def test_the_caller_goes_on_while_a_checkpoint_is_made_and_written(sweep: SweepStore) -> None:
    writer = CheckpointWriter(sweep, driver_epoch=1, attempt=1)
    may_go_on = threading.Event()

    def slow() -> Checkpoint:
        assert may_go_on.wait(10)
        return checkpoint(1)

    started = time.monotonic()
    writer.save(slow)
    assert time.monotonic() - started < 1
    assert best_checkpoint(sweep, "t", "c") is None
    may_go_on.set()
    assert writer.wait() == 1
    found = best_checkpoint(sweep, "t", "c")
    assert found is not None
    assert found.epochs == 1
    writer.close()


def test_the_next_one_waits_for_the_one_before(sweep: SweepStore) -> None:
    writer, order = CheckpointWriter(sweep, driver_epoch=1, attempt=1), list[int]()

    def make(epochs: int) -> Checkpoint:
        time.sleep(0.05)
        order.append(epochs)
        return checkpoint(epochs)

    for epochs in (1, 2, 3):
        writer.save(lambda epochs=epochs: make(epochs))  # type: ignore[misc]
        assert order == list(range(1, epochs))
    writer.close()
    assert order == [1, 2, 3]


def test_a_full_disk_is_trouble_until_one_is_written_again(
    sweep: SweepStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = CheckpointWriter(sweep, driver_epoch=1, attempt=1)

    def refuse(name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(sweep.files, "write", refuse)
        writer.save(lambda: checkpoint(1))
        assert writer.wait() == 0
    assert writer.trouble == "no checkpoint can be written: [Errno 28] No space left on device"
    writer.save(lambda: checkpoint(2))
    assert writer.wait() == 2
    assert writer.trouble is None


def test_what_making_one_raises_reaches_the_caller(sweep: SweepStore) -> None:
    writer = CheckpointWriter(sweep, driver_epoch=1, attempt=1)

    def out_of_memory() -> Checkpoint:
        raise MemoryError

    writer.save(out_of_memory)
    with pytest.raises(MemoryError):
        writer.wait()
