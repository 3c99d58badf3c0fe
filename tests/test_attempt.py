"""What a worker makes of a trial whose code, disk or store does what it should not."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.planning.plan import Plan
from orchestrator.running.driver import Driver, Order
from orchestrator.running.history import read_history
from orchestrator.running.kept_checkpoints import leftover_checkpoints
from orchestrator.running.trial_rows import history_digest
from orchestrator.store.lease import Lease, claim
from orchestrator.store.local_files import LocalFiles
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, TrialRow
from orchestrator.store.store import SweepStore, open_store
from orchestrator.store.writer import TableWriter
from orchestrator.worker import attempt as attempt_module
from orchestrator.worker.attempt import Attempt
from orchestrator.worker.checkpoints import best_checkpoint
from orchestrator.worker.messages import Task
from tests.planned_sweeps import small_plan
from tests.sweeps_in_process import report_of, run_here
from trainers.config import TrialConfig, config_digest
from trainers.step import StepResult, TrainingStep


def plan_of(backbone: str = "synthetic_a", **sections: dict[str, Any]) -> Plan:
    """One trial of three epochs."""
    grid = {"backbones": [backbone], "optimizers": ["sgd"]}
    return small_plan(grid=grid, protocol={"default": {"seeds": 1}}, **sections)


class Bench:
    """A driver and the store it writes, without workers."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.sweep: SweepStore = open_store(str(folder), create=True).sweep(plan.spec.sweep.name)
        self.lease: Lease = claim(self.sweep)
        self.writer = TableWriter(self.sweep, self.lease)
        self.driver = Driver(plan, self.sweep, self.lease, self.writer, read_history(self.sweep, plan))

    def begin(self) -> tuple[Task, Attempt]:
        task = self.driver.next_task()
        assert task is not None
        self.driver.on_start(task)
        return task, Attempt(task)


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        ("exits", "error: SystemExit: this code thinks that it is a program"),
        ("unprintable", "error: UnprintableError: its message cannot be read"),
        ("interrupts", "error: KeyboardInterrupt: "),
    ],
)
def test_whatever_code_raises_fails_its_trial_and_ends_no_worker(tmp_path: Path, backbone: str, reason: str) -> None:
    sweep = run_here(plan_of(f"tests.own_code:{backbone}"), tmp_path)
    (trial,) = read_rows(sweep, TrialRow)
    assert (trial.state, trial.reason) == ("FAIL", reason)
    assert [row.outcome for row in read_rows(sweep, AttemptRow)] == ["ERROR", "FAIL"]


def test_a_gpu_that_is_full_is_met_with_smaller_pieces_of_the_same_batch(tmp_path: Path) -> None:
    sections = {"data": {"name": "digits"}, "training": {"epochs": 1, "batch_size": 128}}
    sweep = run_here(plan_of("tests.own_networks:hungry_on_a_gpu", **sections), tmp_path)
    assert [row.outcome for row in read_rows(sweep, AttemptRow)] == ["OOM", "OOM", "OOM", "COMPLETE"]
    (trial,) = read_rows(sweep, TrialRow)
    assert (trial.batch_size, trial.micro_batch) == (128, 16)


def test_a_process_in_which_code_has_raised_or_whose_node_goes_away_is_not_used_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of("tests.own_code:exits"))
    _, attempt = bench.begin()
    report = report_of(attempt)
    assert bench.driver.on_report(report) is Order.NOTHING
    assert not bench.driver.may_use_again(report)

    bench = Bench(tmp_path / "other", plan_of())
    _, attempt = bench.begin()
    report = report_of(attempt)
    assert bench.driver.on_report(report) is Order.GO_ON
    assert bench.driver.may_use_again(report)
    bench.driver.leave([report.node_id])
    assert bench.driver.on_report(report_of(attempt)) is Order.LEAVE
    assert not bench.driver.may_use_again(report)


def test_a_checkpoint_that_is_to_be_kept_is_written_though_the_store_refuses_it_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "STORE_RETRY_SECONDS", 0.01)
    write, refused = LocalFiles.write, list[str]()

    def refuse_twice(self: LocalFiles, name: str, data: bytes) -> None:
        if name.endswith(".ckpt") and len(refused) < 2:
            refused.append(name)
            raise OSError(28, "No space left on device")
        write(self, name, data)

    monkeypatch.setattr(LocalFiles, "write", refuse_twice)
    sweep = run_here(plan_of(checkpoints={"keep": "all", "interval_seconds": 3600}), tmp_path)
    assert len(refused) == 2
    assert len(list(tmp_path.rglob("*.ckpt"))) == 1
    assert [row.reason for row in read_rows(sweep, AttemptRow)] == [None]


def test_a_checkpoint_that_is_lost_for_good_is_said_so_in_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "STORE_PATIENCE_SECONDS", 0.0)
    write = LocalFiles.write

    def refuse(self: LocalFiles, name: str, data: bytes) -> None:
        if name.endswith(".ckpt"):
            raise OSError(28, "No space left on device")
        write(self, name, data)

    monkeypatch.setattr(LocalFiles, "write", refuse)
    sweep = run_here(plan_of(checkpoints={"keep": "all"}), tmp_path)
    (attempt,) = read_rows(sweep, AttemptRow)
    assert attempt.outcome == "COMPLETE"
    assert attempt.reason == "no checkpoint can be written: [Errno 28] No space left on device"


def test_an_attempt_that_goes_on_leaves_one_checkpoint(tmp_path: Path) -> None:
    bench = Bench(tmp_path, plan_of(training={"epochs": 9}, checkpoints={"interval_seconds": 3600}))
    for epochs in (1, 2, 3):
        task, attempt = bench.begin()
        for _ in range(2 if epochs > 1 else 1):  # the first report of one that goes on repeats what it found
            bench.driver.on_report(report_of(attempt))
        bench.driver.on_left(task.trial_id, attempt.leave(save=True))
        assert [path.stem for path in tmp_path.rglob("*.ckpt")] == [f"000001-{task.attempt:04d}"]
    bench.writer.flush()
    assert [row.epochs_done for row in read_rows(bench.sweep, AttemptRow)] == [1, 2, 3]


def test_a_long_epoch_is_saved_between_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {"data": {"name": "digits"}, "training": {"epochs": 1, "batch_size": 32}}
    plan = plan_of("resnet_digits", **sections, checkpoints={"interval_seconds": 0})
    write, saved = LocalFiles.write, list[str]()

    def die_after_three(self: LocalFiles, name: str, data: bytes) -> None:
        saved.append(name)
        if len(saved) <= 3:
            write(self, name, data)

    bench = Bench(tmp_path, plan)
    task, attempt = bench.begin()
    with monkeypatch.context() as patch:
        patch.setattr(LocalFiles, "write", die_after_three)
        whole = report_of(attempt)
    assert len([name for name in saved if name.endswith(".ckpt")]) == 3
    best = best_checkpoint(bench.sweep, task.trial_id, config_digest(TrialConfig.from_json(task.config)))
    assert best is not None
    assert (best.epochs, best.steps) == (0, 33)

    taken, take = list[int](), TrainingStep.take

    def note(self: TrainingStep, *args: Any, step: int, **given: Any) -> StepResult:
        taken.append(step)
        return take(self, *args, step=step, **given)

    monkeypatch.setattr(TrainingStep, "take", note)
    again = report_of(Attempt(task))
    assert taken[0] == 33
    assert history_digest(again.measurements) == history_digest(whole.measurements)
    assert again.ending is not None
    assert whole.ending is not None
    assert again.ending.test_top1 == whole.ending.test_top1


def test_an_attempt_that_leaves_has_nothing_left_beside_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("BOCB_TEST_FLAG", str(tmp_path / "flag"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(LocalFiles, "local_path", lambda self, name: None)  # as of an object store
    bench = Bench(tmp_path / "store", plan_of("tests.own_code:talks"))
    task, attempt = bench.begin()
    bench.driver.on_report(report_of(attempt))
    assert list((tmp_path / "temporary").iterdir())
    bench.driver.on_left(task.trial_id, attempt.leave(save=True))
    assert not list((tmp_path / "temporary").iterdir())
    bench.writer.flush()
    (row,) = read_rows(bench.sweep, AttemptRow)
    assert row.log == "write in epoch 1\n"  # what Python prints goes to the test's own capture


def test_a_checkpoint_that_outlived_its_trial_is_found(tmp_path: Path) -> None:
    plan = plan_of()
    sweep = run_here(plan, tmp_path)
    (trial,) = ended = read_rows(sweep, TrialRow)
    assert leftover_checkpoints(plan, sweep, ended) == []
    sweep.files.write(sweep.paths.checkpoint(trial.trial_id, 1, 1), b"left")
    assert leftover_checkpoints(plan, sweep, ended) == [trial.trial_id]
