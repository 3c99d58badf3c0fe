"""What a signal does to a sweep, whoever sends it and whenever it comes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.store.schema import AttemptRow, TrialRow
from tests.integration.commands import (
    MARK,
    end_marked,
    environment,
    heed_signals,
    marked,
    recorded,
    running,
    wait_until,
)

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SPEC = """
[sweep]
name = "signals"
[grid]
backbones = ["own_code:sleepy"]
optimizers = ["sgd"]
[data]
name = "synthetic"
[training]
epochs = 4
[protocol.default]
seeds = 4
[checkpoints]
interval_seconds = 3600
[resources]
max_concurrent = 2
"""

RUN = "run", "signals.toml"
COMMAND = sys.executable, "-m", "orchestrator.cli", *RUN


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "signals.toml").write_text(SPEC)
    return tmp_path / "store"


def has_begun(store: Path) -> bool:
    return any(row.outcome == "RUNNING" for row in recorded(store, "signals", AttemptRow))


def test_a_signal_to_the_whole_group_parks_what_runs(store: Path) -> None:
    with running(store, *RUN, in_a_group=True) as process:
        wait_until(lambda: has_begun(store), "a trial to begin")
        time.sleep(1)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=60) == 130, (store.parent / "output.txt").read_text()
    reasons = [row.reason or "" for row in recorded(store, "signals", AttemptRow) if row.outcome != "COMPLETE"]
    assert reasons
    assert all(reason.startswith("stopped after ") for reason in reasons), reasons


def test_a_cluster_whose_head_dies_ends_the_run_with_a_sentence(store: Path) -> None:
    with running(store, *RUN, in_a_group=True) as process:
        wait_until(lambda: has_begun(store), "a trial to begin")
        (head,) = subprocess.check_output(["pgrep", "-g", str(process.pid), "gcs_server"], text=True).split()
        os.kill(int(head), signal.SIGKILL)
        assert process.wait(timeout=30) == 4
    assert "the head of the Ray cluster has died" in (store.parent / "output.txt").read_text()


def test_while_ray_starts_a_signal_ends_the_run(store: Path) -> None:
    with running(store, *RUN, in_a_group=True) as process:
        wait_until(lambda: "gcs_server" in [started.name() for started in marked(process)], "Ray's head to start")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130, (store.parent / "output.txt").read_text()


def test_a_terminal_that_is_closed_parks_what_runs(store: Path) -> None:
    mark = f"terminal-{os.getpid()}"
    pid, terminal = pty.fork()
    if pid == 0:
        heed_signals()
        os.chdir(store.parent)
        os.execve(sys.executable, COMMAND, environment(store, **{MARK: mark}))
    try:
        wait_until(lambda: has_begun(store), "a trial to begin")
        time.sleep(1)
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    finally:
        end_marked(mark)
    assert os.waitstatus_to_exitcode(status) == 130
    outcomes = {row.outcome for row in recorded(store, "signals", AttemptRow)}
    assert "STOPPED" in outcomes
    assert outcomes <= {"STOPPED", "COMPLETE"}


def test_the_second_signal_ends_it_at_once(store: Path) -> None:
    with running(store, *RUN) as process:
        wait_until(lambda: has_begun(store), "a trial to begin")
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        assert process.wait(timeout=30) == 130


def test_tune_may_be_started_anew_in_the_middle_of_a_sweep(store: Path) -> None:
    code = "from orchestrator import cli; from orchestrator.running import driver; driver.ATTEMPTS_PER_TUNE_RUN = 3; "
    answer = subprocess.run(
        [sys.executable, "-c", code + "cli.main()", *RUN],
        env=environment(store),
        cwd=store.parent,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert [row.state for row in recorded(store, "signals", TrialRow)] == ["COMPLETE"] * 4
    assert {row.outcome for row in recorded(store, "signals", AttemptRow)} == {"STOPPED", "COMPLETE"}
