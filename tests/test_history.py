"""What the next driver learns from the store of one that died."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.clock import utc_now
from orchestrator.planning.plan import Plan
from orchestrator.running import history
from orchestrator.running.driver import Driver
from orchestrator.running.history import lost_attempts, read_history
from orchestrator.store.lease import claim
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, CurveRow, Row, TrialRow
from orchestrator.store.store import SweepStore, open_store
from orchestrator.store.writer import TableWriter
from tests.integration.commands import bocb
from tests.planned_sweeps import small_plan
from tests.sweeps_in_process import run_here

HALF_A_GPU = {"gpus_per_trial": 0.5, "max_gpu_hours": 1}


def write(sweep: SweepStore, rows: list[Row]) -> None:
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        for row in rows:
            writer.add(replace(row, driver_epoch=lease.driver_epoch))


def killed(folder: Path, *, device: str, **resources: float) -> tuple[Plan, SweepStore, AttemptRow]:
    """A sweep whose driver was killed with one trial ended and one in its second epoch, and that one's attempt."""
    plan = small_plan(resources=resources, training={"epochs": 5})
    sweep = run_here(plan, folder, trials=1)
    running = next(row for row in read_rows(sweep, AttemptRow) if row.outcome == "RUNNING")
    first = next(row for row in read_rows(sweep, CurveRow) if row.trial_id == running.trial_id)
    curve: list[Row] = [replace(first, epoch=epoch, seconds=epoch) for epoch in (1, 2)]
    write(sweep, [*curve, *(replace(row, device=device) for row in read_rows(sweep, TrialRow))])
    return plan, sweep, running


@pytest.mark.parametrize(
    ("device", "resources", "expected"),
    [
        ("NVIDIA H100", HALF_A_GPU, 1.5),
        ("NVIDIA H100", {}, 3.0),
        ("cpu", {"max_gpu_hours": 1}, 0.0),
        ("cpu", {}, 0.0),
    ],
)
def test_an_attempt_that_died_with_its_driver_has_cost_its_epochs(
    tmp_path: Path, device: str, resources: dict[str, float], expected: float
) -> None:
    plan, sweep, running = killed(tmp_path, device=device, **resources)
    found = read_history(sweep, plan)
    assert found.gpu_seconds == expected
    (lost,) = lost_attempts(sweep, found, driver_epoch=7)
    assert (lost.trial_id, lost.outcome, lost.driver_epoch) == (running.trial_id, "LOST", 7)
    assert (lost.first_epoch, lost.epochs_done) == (1, 2)
    assert lost.gpu_seconds == expected
    write(sweep, [lost])
    assert read_history(sweep, plan).gpu_seconds == expected


@pytest.mark.parametrize(("resources", "expected"), [({"max_gpu_hours": 1}, 3.0), ({}, 0.0), (HALF_A_GPU, 1.5)])
def test_before_any_trial_has_ended_a_budget_takes_the_dearer_case(
    tmp_path: Path, resources: dict[str, float], expected: float
) -> None:
    plan, sweep, _ = killed(tmp_path, device="cpu", **resources)
    write(sweep, [replace(row, device=None) for row in read_rows(sweep, TrialRow)])
    assert read_history(sweep, plan).gpu_seconds == expected


def test_epochs_that_were_restored_are_paid_once(tmp_path: Path) -> None:
    plan, sweep, running = killed(tmp_path, device="NVIDIA H100", **HALF_A_GPU)
    write(sweep, list(lost_attempts(sweep, read_history(sweep, plan), driver_epoch=2)))
    again = replace(running, attempt=2)
    first = next(row for row in read_rows(sweep, CurveRow) if row.trial_id == running.trial_id)
    write(sweep, [again, *(replace(first, epoch=epoch, seconds=epoch, attempt=2) for epoch in (1, 2, 3))])
    assert read_history(sweep, plan).gpu_seconds == (1 + 2 + 3) / 2


def test_curves_are_read_of_lost_trials_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, sweep, running = killed(tmp_path, device="NVIDIA H100")
    read: list[object] = []

    def spy(store: SweepStore, row_type: type, **options: object) -> list[object]:
        read.extend([options] if row_type is CurveRow else [])
        return read_rows(store, row_type, **options)

    monkeypatch.setattr(history, "read_rows", spy)
    write(sweep, list(lost_attempts(sweep, read_history(sweep, plan), driver_epoch=2)))
    assert read == [{"where": {"trial_id": {running.trial_id}}}]
    read_history(sweep, plan)
    assert len(read) == 1, "nothing is lost any more"


def test_a_driver_whose_budget_is_spent_by_lost_attempts_is_out_of_it(tmp_path: Path) -> None:
    plan, sweep, _ = killed(tmp_path, device="NVIDIA H100", gpus_per_trial=1, max_gpu_hours=2.9 / 3600)
    past = read_history(sweep, plan)
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        assert Driver(plan, sweep, lease, writer, past).out_of_budget


@pytest.mark.ray
def test_a_run_whose_budget_was_spent_by_a_lost_attempt_exits_with_six(tmp_path: Path) -> None:
    plan, sweep, _ = killed(tmp_path / "store", device="NVIDIA H100", max_gpu_hours=2.9 / 3600)
    (tmp_path / "spec.json").write_text(plan.spec.canonical_json())
    answer = bocb(tmp_path / "store", "run", "spec.json")
    assert answer.returncode == 6, answer.stdout + answer.stderr
    assert [row.outcome for row in read_rows(sweep, AttemptRow)].count("LOST") == 1
    assert len(read_rows(sweep, TrialRow)) == 1


def lost(number: int, reason: str, *, outcome: str = "LOST", epochs: int = 0, restored: int = 0) -> AttemptRow:
    return AttemptRow(
        sweep="small",
        trial_id="one",
        attempt=number,
        driver_epoch=1,
        outcome=outcome,
        reason=reason,
        started_at=utc_now(),
        ended_at=utc_now(),
        first_epoch=restored + 1,
        epochs_done=epochs,
    )


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ([lost(1, "worker died"), lost(2, "worker died: signal 9")], 2),
        ([lost(1, "worker died"), lost(2, "node lost"), lost(3, "preempted"), lost(4, "its driver died")], 1),
        ([lost(1, "worker died"), lost(2, "worker died", epochs=3, restored=2), lost(3, "worker died")], 2),
        ([lost(1, "worker died"), lost(2, "worker died", epochs=2, restored=2)], 2),
        ([lost(number, "worker died", epochs=2) for number in (1, 2, 3)], 3),
        ([lost(1, "worker died"), lost(2, "its driver died", epochs=3), lost(3, "node lost")], 0),
        ([lost(1, "worker died"), lost(2, "stopped after 1 of 3 epochs", outcome="STOPPED", epochs=1)], 0),
        ([lost(1, "worker died"), lost(2, "lost: 5 workers in a row died", outcome="FAIL"), lost(3, "node lost")], 0),
    ],
)
def test_workers_lost_in_a_row_are_counted_on_by_the_next_driver(
    tmp_path: Path, attempts: list[AttemptRow], expected: int
) -> None:
    sweep = open_store(str(tmp_path), create=True).sweep("small")
    write(sweep, list(attempts))
    assert read_history(sweep, small_plan()).records["one"].lost_in_a_row == expected
