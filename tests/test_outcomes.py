"""The one place where what happened becomes a state."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from orchestrator.running.outcomes import (
    ERROR_ATTEMPTS,
    LOST_ATTEMPTS,
    Loss,
    State,
    TrialRecord,
    Verdict,
    judge,
    judge_loss,
)
from orchestrator.worker.messages import Ending, EndingKind, Report
from tests.planned_sweeps import history_of
from trainers.measurement import ScoreRule
from trainers.trainer import ParameterGroup, Resolved

RESOLVED = Resolved(
    input_size=8,
    classes=10,
    parameters=3,
    drop_path=0.0,
    initialisation="own",
    optimizer_class="torch.optim:SGD",
    hp={"lr": 0.1, "nesterov": False, "note": None},
    groups=(ParameterGroup(name="decayed", tensors=1, parameters=3, weight_decay=1e-4),),
    precision="float32",
    device="cpu",
    data_sha256="0",
    train_samples=100,
    validation_samples=100,
    test_samples=100,
)


def verdict(kind: EndingKind, accuracy: float = 0.5, record: TrialRecord | None = None) -> Verdict:
    return judge(
        Ending(kind=kind, exception="ValueError", message="oh"),
        history_of(accuracy, 3),
        RESOLVED,
        record or TrialRecord(),
        rule=ScoreRule.FINAL,
        scored_samples=100,
        batch_size=32,
    )


def until_it_ends(judged: Callable[[TrialRecord], Verdict]) -> list[Verdict]:
    """The verdicts on attempts that all end alike, up to the one that ends the trial."""
    record, found = TrialRecord(), list[Verdict]()
    while not found or found[-1].state is None:
        found.append(judged(record))
        record.note(found[-1].outcome, record.micro_batch, batch_size=32)
        assert len(found) < 100
    return found


def test_a_whole_budget_is_complete() -> None:
    assert verdict(EndingKind.FINISHED).state is State.COMPLETE
    assert verdict(EndingKind.FINISHED).score == 0.5


def test_a_loss_that_is_not_finite_is_a_result_at_chance() -> None:
    found = verdict(EndingKind.NOT_FINITE)
    assert (found.state, found.score, found.reason) == (State.DIVERGED, 0.1, "loss not finite in epoch 3")


@pytest.mark.parametrize(
    ("accuracy", "state"), [(0.16, State.DIVERGED), (0.161, State.COMPLETE), (0.0, State.DIVERGED)]
)
def test_stuck_at_chance_is_two_standard_deviations(accuracy: float, state: State) -> None:
    # Chance 0.1 on 100 images: standard deviation 0.03.
    assert verdict(EndingKind.FINISHED, accuracy).state is state


@pytest.mark.parametrize(
    ("kind", "reason"), [(EndingKind.RAISED, "error: ValueError: oh"), (EndingKind.BAD_DATA, "data: oh")]
)
def test_an_error_is_tried_again_and_then_fails(kind: EndingKind, reason: str) -> None:
    found = until_it_ends(lambda record: verdict(kind, record=record))
    assert [one.outcome for one in found] == [*["ERROR"] * (ERROR_ATTEMPTS - 1), "FAIL"]
    assert found[-1].reason == reason


def test_out_of_memory_halves_the_micro_batches_and_fails_in_the_end() -> None:
    found = until_it_ends(lambda record: verdict(EndingKind.OUT_OF_MEMORY, record=record))
    assert [one.reason for one in found[:-1]] == [
        f"out of memory with {size} images at a time" for size in (32, 16, 8, 4)
    ]
    assert found[-1].reason == "oom: out of memory with 2 images at a time: oh"
    assert {one.outcome for one in found[:-1]} == {"OOM"}


def test_a_trial_that_keeps_killing_its_workers_fails_in_the_end() -> None:
    def lost(record: TrialRecord) -> Verdict:
        record.lost_in_a_row += 1
        return judge_loss(Loss.WORKER, record)

    found = until_it_ends(lost)
    assert [one.outcome for one in found] == [*["LOST"] * (LOST_ATTEMPTS - 1), "FAIL"]
    assert found[-1].reason == f"lost: {LOST_ATTEMPTS} workers in a row died (worker died)"


def test_a_hang_is_tried_once_more() -> None:
    found = until_it_ends(lambda record: judge_loss(Loss.HANG, record, "silent"))
    assert [(one.outcome, one.reason) for one in found] == [
        ("HANG", "hang: silent"),
        ("FAIL", "hang: silent, in 2 attempts"),
    ]


@pytest.mark.parametrize("loss", [Loss.NODE, Loss.PREEMPTED])
def test_a_node_that_went_away_is_never_charged(loss: Loss) -> None:
    assert judge_loss(loss, TrialRecord(hangs=1, errors=1)).outcome == "LOST"


def test_a_retry_begins_with_a_clean_record() -> None:
    record = TrialRecord(errors=1, hangs=1, lost_in_a_row=4, micro_batch=4, attempts=7)
    record.note("FAIL", 4, batch_size=32)
    assert record == TrialRecord(attempts=7)


def test_reports_cross_as_json_with_every_bit() -> None:
    report = Report(
        trial_id="a",
        attempt=2,
        measurements=history_of(1 / 3, 2),
        node="host",
        node_id="n",
        pid=1,
        resolved=RESOLVED,
        ending=Ending(kind=EndingKind.FINISHED, test_top1=0.1 + 0.2),
    )
    assert Report.from_json(report.to_json()) == report
    lost = Report.from_json(
        Report(
            trial_id="a",
            attempt=1,
            measurements=history_of(math.nan, 1),
            node="h",
            node_id="n",
            pid=1,
            resolved=None,
            ending=None,
        ).to_json()
    )
    assert math.isnan(lost.measurements[0].val_top1)
