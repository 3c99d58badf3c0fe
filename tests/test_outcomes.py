"""The one place where what happened becomes a state."""

from __future__ import annotations

import math

import pytest

from orchestrator.messages import Ending, EndingKind, Report
from orchestrator.outcomes import ERROR_ATTEMPTS, LOST_ATTEMPTS, State, Verdict, judge, judge_loss
from tests.planned_sweeps import history_of
from trainers.measurement import ScoreRule
from trainers.trainer import ParameterGroup, Resolved

RESOLVED = Resolved(
    input_size=8,
    classes=10,
    parameters=3,
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


def verdict(kind: EndingKind, accuracy: float = 0.5, errors_before: int = 0) -> Verdict:
    ending = Ending(kind=kind, exception="ValueError", message="oh")
    return judge(
        ending,
        history_of(accuracy, 3),
        RESOLVED,
        rule=ScoreRule.FINAL,
        scored_samples=100,
        errors_before=errors_before,
    )


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


def test_an_error_is_tried_again_and_then_fails() -> None:
    assert [verdict(EndingKind.RAISED, errors_before=before).state for before in range(ERROR_ATTEMPTS)] == [
        *[None] * (ERROR_ATTEMPTS - 1),
        State.FAIL,
    ]
    assert verdict(EndingKind.RAISED, errors_before=ERROR_ATTEMPTS).reason == "error: ValueError: oh"


def test_a_trial_that_keeps_killing_its_workers_fails_in_the_end() -> None:
    assert [judge_loss("x", count).state for count in range(1, LOST_ATTEMPTS + 1)] == [
        *[None] * (LOST_ATTEMPTS - 1),
        State.FAIL,
    ]


def test_reports_cross_as_json_with_every_bit() -> None:
    report = Report(
        trial_id="a",
        attempt=2,
        measurements=history_of(1 / 3, 2),
        node="host",
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
            pid=1,
            resolved=None,
            ending=None,
        ).to_json()
    )
    assert math.isnan(lost.measurements[0].val_top1)
