"""Checkpoints of attempts: the best one is restored, damaged ones are passed over, no pickle is ever opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.store import SweepStore, open_store
from orchestrator.worker.checkpoints import (
    Checkpoint,
    best_checkpoint,
    decode,
    delete_checkpoints,
    encode,
    save_checkpoint,
    trials_with_checkpoints,
)
from tests.planned_sweeps import history_of


def checkpoint(epochs: int, state: bytes = b"weights\n\x00", config: str = "c") -> Checkpoint:
    return Checkpoint(trial_id="cell.tune-000", config_sha256=config, history=history_of(0.5, epochs), state=state)


@pytest.fixture
def sweep(tmp_path: Path) -> SweepStore:
    sweep = open_store(str(tmp_path), create=True).sweep("s")
    for driver_epoch in (1, 2):
        sweep.files.write(sweep.paths.driver(driver_epoch), b"")
    return sweep


@given(state=st.binary(max_size=200), epochs=st.integers(0, 5))
def test_round_trip(state: bytes, epochs: int) -> None:
    assert decode(encode(checkpoint(epochs, state))) == checkpoint(epochs, state)


@given(cut=st.integers(0, 10_000))
def test_a_truncated_file_is_refused(cut: int) -> None:
    whole = encode(checkpoint(2))
    with pytest.raises(ValueError):
        decode(whole[: cut % len(whole)])


def test_the_one_with_most_epochs_counts_whoever_wrote_it(sweep: SweepStore) -> None:
    save_checkpoint(sweep, checkpoint(3, b"old driver"), driver_epoch=1, attempt=1)
    save_checkpoint(sweep, checkpoint(2, b"new driver"), driver_epoch=2, attempt=2)
    save_checkpoint(sweep, checkpoint(9, b"other config", config="x"), driver_epoch=2, attempt=3)
    found = best_checkpoint(sweep, "cell.tune-000", "c")
    assert found is not None
    assert (found.epochs, found.state) == (3, b"old driver")


def test_a_damaged_one_is_passed_over(sweep: SweepStore) -> None:
    save_checkpoint(sweep, checkpoint(2), driver_epoch=1, attempt=1)
    save_checkpoint(sweep, checkpoint(3), driver_epoch=1, attempt=2)
    path = Path(sweep.files.location(sweep.paths.checkpoint("cell.tune-000", 1, 2)))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = best_checkpoint(sweep, "cell.tune-000", "c")
    assert found is not None
    assert found.epochs == 2


def test_they_go_with_their_trial(sweep: SweepStore) -> None:
    save_checkpoint(sweep, checkpoint(2), driver_epoch=1, attempt=1)
    assert trials_with_checkpoints(sweep) == ["cell.tune-000"]
    delete_checkpoints(sweep, "cell.tune-000")
    assert trials_with_checkpoints(sweep) == []
    assert best_checkpoint(sweep, "cell.tune-000", "c") is None
