"""Every kind of failure is told apart, has its own answer, and costs no more than its own trial."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from orchestrator.store.schema import AttemptRow, TrialRow
from tests.integration.commands import bocb, recorded, running, wait_until
from tests.integration.failing_sweeps import outcomes, write_spec

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def run_here(folder: Path, code: int) -> Path:
    store = folder / "store"
    answer = bocb(store, "run", "failing.toml", BOCB_TEST_FLAG=str(folder / "flag"))
    assert answer.returncode == code, answer.stdout + answer.stderr
    return store


def test_out_of_memory_trains_the_same_batch_in_smaller_pieces(tmp_path: Path) -> None:
    write_spec(
        tmp_path,
        "own_networks:hungry",
        **{"data": 'name = "digits"', "training": "epochs = 1\nbatch_size = 128", "protocol.default": "seeds = 1"},
    )
    store = run_here(tmp_path, 0)
    assert outcomes(store) == [
        *[("OOM", f"out of memory with {size} images at a time") for size in (128, 64, 32)],
        ("COMPLETE", None),
    ]
    (trial,) = recorded(store, "failing", TrialRow)
    assert (trial.batch_size, trial.micro_batch, trial.attempt) == (128, 16, 4)
    again = bocb(store, "reproduce", trial.trial_id)
    assert "bit for bit" in again.stdout, again.stdout + again.stderr


def test_a_silent_trial_is_killed_and_goes_on_and_fails_if_it_is_silent_again(tmp_path: Path) -> None:
    backbones = "own_code:hangs_once", "own_code:hangs_always"
    write_spec(
        tmp_path,
        *backbones,
        **{"resources": "max_concurrent = 2\nhang_seconds = 6", "protocol.default": "seeds = 1"},
    )
    store = run_here(tmp_path, 3)
    trials = {row.backbone: row for row in recorded(store, "failing", TrialRow)}
    assert [(trials[name].state, trials[name].attempt) for name in backbones] == [("COMPLETE", 2), ("FAIL", 2)]
    assert trials[backbones[1]].reason == "hang: it said nothing for too long, in 2 attempts"
    attempts = sorted(recorded(store, "failing", AttemptRow), key=lambda row: (row.attempt, row.outcome))
    assert [row.outcome for row in attempts] == ["HANG", "HANG", "COMPLETE", "FAIL"]
    assert max(row.first_epoch or 0 for row in attempts) == 2


def test_a_process_in_which_code_has_raised_trains_no_other_trial(tmp_path: Path) -> None:
    backbones = "own_code:poisons", "own_code:innocent", "own_code:unprintable"
    write_spec(tmp_path, *backbones, training="epochs = 2", resources="max_concurrent = 1")
    store = run_here(tmp_path, 3)
    trials = sorted(recorded(store, "failing", TrialRow), key=lambda row: row.trial_id)
    assert len(trials) == 6
    assert {(row.backbone, row.state, row.attempt) for row in trials} == {
        ("own_code:poisons", "FAIL", 2),
        ("own_code:innocent", "COMPLETE", 1),
        ("own_code:unprintable", "FAIL", 2),
    }
    reasons = {row.backbone: row.reason for row in trials}
    assert reasons["own_code:poisons"] == "error: RuntimeError: device-side assert triggered"
    assert reasons["own_code:unprintable"] == "error: UnprintableError: its message cannot be read"
    assert not list((store / "failing" / "checkpoints").glob("*")), (
        "a retry would go on from what broken code trained"
    )


def test_a_trial_that_always_ends_its_worker_in_a_later_epoch_fails(tmp_path: Path) -> None:
    tables = {"protocol.default": "seeds = 1", "checkpoints": "interval_seconds = 60"}
    write_spec(tmp_path, "own_code:ends_in_a_later_epoch", **tables)
    (trial,) = recorded(run_here(tmp_path, 3), "failing", TrialRow)
    assert (trial.state, trial.attempt) == ("FAIL", 5)
    assert (trial.reason or "").startswith("lost: 5 workers in a row died")


def test_a_store_that_goes_away_makes_training_wait_and_loses_nothing(tmp_path: Path) -> None:
    write_spec(tmp_path, "own_code:slow_a", **{"protocol.default": "seeds = 6"}, resources="max_concurrent = 1")
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    with running(store, "run", "failing.toml") as process:
        wait_until(lambda: len(recorded(store, "failing", TrialRow)) >= 2, "two trials")
        store.rename(elsewhere)
        wait_until(lambda: "not where it was" in (tmp_path / "output.txt").read_text(), "the driver to notice")
        time.sleep(3)
        assert not store.exists(), "a second store was begun where the first one had been"
        elsewhere.rename(store)
        assert process.wait(timeout=90) == 0, (tmp_path / "output.txt").read_text()
    assert [(row.state, row.attempt) for row in recorded(store, "failing", TrialRow)] == [("COMPLETE", 1)] * 6
    assert bocb(store, "verify").returncode == 0


def test_what_a_trial_prints_is_kept_even_if_its_worker_is_killed(tmp_path: Path) -> None:
    write_spec(tmp_path, "own_code:talks", **{"protocol.default": "seeds = 1"})
    store = run_here(tmp_path, 0)
    (trial,) = recorded(store, "failing", TrialRow)
    shown = bocb(store, "logs", trial.trial_id)
    assert shown.returncode == 0
    first, second = shown.stdout.split("== attempt ")[1:]
    assert "LOST: worker died" in first
    assert "COMPLETE" in second
    said = [f"{how} in epoch {epoch}" for epoch in (1, 2, 3) for how in ("print", "write")]
    assert first.splitlines()[1:] == said
    assert second.splitlines()[-1] == "write in epoch 4"
    assert not list((store / "failing" / "checkpoints").glob("*")), "a log outlived its trial"


def write_cifar(folder: Path) -> None:
    """A tiny CIFAR-10 as Parquet."""
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    png = (folder / "image.png").read_bytes()
    for part, count in (("train", 40), ("test", 10)):
        table = pa.table({"img": [{"bytes": png, "path": ""}] * count, "label": [n % 10 for n in range(count)]})
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")


def test_data_that_is_damaged_while_it_runs_is_named_and_can_be_retried(tmp_path: Path) -> None:
    write_cifar(tmp_path / "data")
    tables = {"training": "epochs = 1\nbatch_size = 8", "resources": "max_concurrent = 1"}
    write_spec(tmp_path, "test_vit3", data='name = "cifar10"\npath = "data"', **tables)
    store = tmp_path / "store"
    with running(store, "run", "failing.toml") as process:
        # The data was looked at before anything started; it is damaged after that and before a worker reads it.
        wait_until(lambda: (store / "failing").exists(), "the sweep to begin")
        shard = tmp_path / "data" / "train-00000-of-00001.parquet"
        shard.write_bytes(shard.read_bytes()[:-100])
        assert process.wait(timeout=120) == 3
    reasons = {row.reason or "" for row in recorded(store, "failing", TrialRow)}
    assert all(reason.startswith("data: ") and "cannot be read as Parquet" in reason for reason in reasons), reasons
    write_cifar(tmp_path / "data")
    listed = bocb(store, "resume", "failing", "--retry", "data", "--dry-run").stdout
    assert "2 trials can start now" in listed
    assert "0 trials can start now" in bocb(store, "resume", "failing", "--retry", "oom", "--dry-run").stdout


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small file system needs root")
def test_a_full_disk_makes_training_wait_and_loses_nothing(tmp_path: Path) -> None:
    write_spec(tmp_path, "own_code:slow_a", **{"protocol.default": "seeds = 6"}, resources="max_concurrent = 1")
    store = tmp_path / "disk" / "store"
    store.parent.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", store.parent], check=False).returncode:
        pytest.skip("this machine does not let us mount a small file system")
    try:
        (store.parent / "failing.toml").write_text((tmp_path / "failing.toml").read_text())
        with running(store, "run", "failing.toml") as process:
            wait_until(lambda: len(recorded(store, "failing", TrialRow)) >= 2, "two trials")
            ballast = store.parent / "ballast"
            with pytest.raises(OSError), ballast.open("wb") as file:
                file.write(bytes(8 * 2**20))
            output = store.parent / "output.txt"
            full = tmp_path / "seen.txt"
            wait_until(lambda: process.poll() is not None or _is_waiting(store, full), "the driver to notice")
            assert process.poll() is None, output.read_text()
            ballast.unlink()
            assert process.wait(timeout=90) == 0, output.read_text()
        trials = recorded(store, "failing", TrialRow)
        assert [(row.state, row.attempt) for row in trials] == [("COMPLETE", 1)] * 6
    finally:
        subprocess.run(["umount", "-l", store.parent], check=True)


def _is_waiting(store: Path, seen: Path) -> bool:
    """Whether nothing new has been written for three seconds although trials run."""
    count = len(recorded(store, "failing", TrialRow))
    last = seen.read_text().split() if seen.exists() else ["-1", "0"]
    again = int(last[1]) + 1 if int(last[0]) == count else 0
    seen.write_text(f"{count} {again}")
    return again > 30
