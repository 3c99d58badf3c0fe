"""A sweep that is killed, stopped or loses workers ends with the numbers of one that was left alone."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.schema import AttemptRow, CurveRow, TrialRow
from tests.integration.commands import bocb, recorded, rows, running, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

SPEC = """
[sweep]
name = "killed"

[grid]
backbones = ["own_code:slow_a", "own_code:slow_b"]
optimizers = ["sgd"]

[data]
name = "synthetic"

[training]
epochs = 4

[protocol.default]
seeds = 1
[protocol.design]
points = 2
[protocol.tune]
trials = 2
[protocol.confirm]
top = 1
seeds = 1

[checkpoints]
interval_seconds = 0

[resources]
max_concurrent = 2
"""
TRIALS = 12


def results(store: Path) -> dict[str, tuple[Any, ...]]:
    """What must not depend on what happened on the way."""
    return {
        row.trial_id: (row.state, row.score, row.history_sha256, row.hp, row.seed, row.test_top1, row.repeats)
        for row in recorded(store, "killed", TrialRow)
    }


def curves(store: Path) -> dict[tuple[str, int], str]:
    found = recorded(store, "killed", CurveRow)
    # As text, so that a NaN equals itself.
    return {(row.trial_id, row.epoch): repr((row.val_top1, row.train_loss, row.lr)) for row in found}


def ended_trials(store: Path) -> int:
    return len(recorded(store, "killed", TrialRow))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "killed.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def undisturbed(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    answer = bocb(store, "run", str(spec))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len(results(store)) == TRIALS
    return store


def test_a_second_run_does_nothing(spec: Path, undisturbed: Path) -> None:
    before = rows(undisturbed, "SELECT * FROM attempts ORDER BY ALL")
    answer = bocb(undisturbed, "run", str(spec))
    assert answer.returncode == 0, answer.stderr
    assert rows(undisturbed, "SELECT * FROM attempts ORDER BY ALL") == before


def test_a_kill_of_the_driver_changes_no_number(spec: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running(store, "run", str(spec)) as process:
        wait_until(lambda: ended_trials(store) >= 4, "four trials")
        assert process.poll() is None, (tmp_path / "output.txt").read_text()
        process.kill()
    finished_before = {row.trial_id: row.attempt for row in recorded(store, "killed", TrialRow)}
    assert 4 <= len(finished_before) < TRIALS
    answer = bocb(store, "resume", "killed")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert results(store) == results(undisturbed)
    assert curves(store) == curves(undisturbed)
    assert len(curves(store)) == sum(row.epochs_done for row in recorded(store, "killed", TrialRow))
    final = {row.trial_id: row.attempt for row in recorded(store, "killed", TrialRow)}
    assert finished_before.items() <= final.items(), "a finished trial ran again"
    attempts = recorded(store, "killed", AttemptRow)
    lost = [row for row in attempts if row.outcome == "LOST"]
    assert lost, "no attempt was under way at the kill"
    assert not [row for row in attempts if row.outcome == "RUNNING"]
    went_on = [row for row in attempts if (row.first_epoch or 1) > 1]
    assert went_on, "no trial went on from a checkpoint"
    assert not list((store / "killed" / "checkpoints").glob("*/*")), "a checkpoint outlived its trial"


def test_ctrl_c_parks_the_running_trials(spec: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running(store, "run", str(spec)) as process:
        wait_until(lambda: ended_trials(store) >= 3, "three trials")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    outcomes = rows(store, "SELECT DISTINCT outcome FROM attempts ORDER BY ALL")
    # Trials of half a second may all have been in their last epoch; `test_signals` has longer ones.
    assert {row["outcome"] for row in outcomes} <= {"STOPPED", "COMPLETE"}
    answer = bocb(store, "run", str(spec))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert results(store) == results(undisturbed)
    assert not rows(store, "SELECT * FROM attempts WHERE outcome = 'LOST'"), "a parked epoch was lost"


def test_stop_ends_a_run_that_can_be_resumed(spec: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running(store, "run", str(spec)) as process:
        wait_until(lambda: ended_trials(store) >= 1, "one trial")
        busy = bocb(store, "run", str(spec))
        assert busy.returncode == 4, "a second driver was let in"
        assert "is being run by process" in busy.stderr
        assert bocb(store, "stop", "killed").returncode == 0
        assert process.wait(timeout=60) == 4
    assert 1 <= ended_trials(store) < TRIALS
    again = bocb(store, "stop", "killed")
    assert (again.returncode, again.stdout) == (2, "")


def test_a_driver_that_was_paused_and_taken_over_stops_when_it_wakes(
    spec: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store, short = tmp_path / "store", {"BOCB_LEASE_SECONDS": "12"}
    with running(store, "run", str(spec), **short) as paused:
        wait_until(lambda: ended_trials(store) >= 3, "three trials")
        paused.send_signal(signal.SIGSTOP)
        refused = bocb(store, "run", str(spec), **short)
        assert (refused.returncode, "is being run by process" in refused.stderr) == (4, True)
        before = ended_trials(store)
        with running(store, "run", str(spec), "--take-over", **short) as heir:
            wait_until(lambda: ended_trials(store) >= before + 2, "two trials of the new driver")
            paused.send_signal(signal.SIGCONT)
            assert paused.wait(timeout=60) == 4, (tmp_path / "output.txt").read_text()
            assert heir.wait(timeout=120) == 0, (tmp_path / "output.txt").read_text()
    assert "another driver has taken over" in (tmp_path / "output.txt").read_text()
    assert results(store) == results(undisturbed)
    assert curves(store) == curves(undisturbed)
    trials = recorded(store, "killed", TrialRow)
    assert len({row.trial_id for row in trials}) == TRIALS
    assert {row.driver_epoch for row in trials} == {1, 2}, "each driver has to have closed some of the trials"


def one_cell(backbone: str) -> str:
    return f"""
[sweep]
name = "one"
[grid]
backbones = ["synthetic_a", "own_code:{backbone}"]
optimizers = ["sgd"]
[data]
name = "synthetic"
[training]
epochs = 4
[protocol.default]
seeds = 2
[checkpoints]
interval_seconds = 0
"""


@pytest.fixture
def run_one(tmp_path: Path) -> Callable[..., tuple[int, Path]]:
    """Runs a sweep of one good and one bad cell."""

    def run(backbone: str, *arguments: str) -> tuple[int, Path]:
        (tmp_path / "one.toml").write_text(one_cell(backbone))
        store = tmp_path / "store"
        answer = bocb(store, *(arguments or ("run", "one.toml")), BOCB_TEST_FLAG=str(tmp_path / "flag"))
        return answer.returncode, store

    return run


def test_a_trial_that_raises_fails_alone(run_one: Callable[..., tuple[int, Path]]) -> None:
    code, store = run_one("raises_until_mended")
    assert code == 3
    states = rows(store, "SELECT state, attempt, reason, score FROM trials ORDER BY ALL")
    assert [(row["state"], row["attempt"]) for row in states] == [("COMPLETE", 1)] * 2 + [("FAIL", 2)] * 2
    assert states[-1]["reason"] == "error: RuntimeError: not mended yet"
    assert states[-1]["score"] is None
    tracebacks = rows(store, "SELECT traceback FROM attempts WHERE outcome IN ('ERROR', 'FAIL')")
    assert len(tracebacks) == 4
    assert all("_raise_until_mended" in row["traceback"] for row in tracebacks)

    assert run_one("raises_until_mended")[0] == 3, "a failed trial ran again without being asked for"
    (store.parent / "flag").touch()
    assert run_one("raises_until_mended", "resume", "one", "--retry", "lost")[0] == 3
    assert run_one("raises_until_mended", "resume", "one", "--retry", "error")[0] == 0
    after = rows(store, "SELECT state, attempt FROM trials ORDER BY ALL")
    assert [(row["state"], row["attempt"]) for row in after] == [("COMPLETE", 1)] * 2 + [("COMPLETE", 3)] * 2
