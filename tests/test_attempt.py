"""What a worker makes of a trial whose code does what it should not."""

from __future__ import annotations

from pathlib import Path

from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, TrialRow
from tests.planned_sweeps import small_plan
from tests.sweeps_in_process import run_here


def test_code_that_calls_exit_fails_its_trial_and_ends_no_worker(tmp_path: Path) -> None:
    grid = {"backbones": ["tests.own_code:exits"], "optimizers": ["sgd"]}
    sweep = run_here(small_plan(grid=grid, protocol={"default": {"seeds": 1}}), tmp_path)
    (trial,) = read_rows(sweep, TrialRow)
    assert trial.state == "FAIL"
    assert trial.reason == "error: SystemExit: this code thinks that it is a program"
    assert [row.outcome for row in read_rows(sweep, AttemptRow)] == ["ERROR", "FAIL"]
