"""What a study suggests follows from the trials that ended, in whatever order they did."""

from __future__ import annotations

import random

import pytest

from orchestrator.planning.plan import design_trials
from orchestrator.running.outcomes import State
from orchestrator.running.studies import Pruning, ask_generation
from tests.planned_sweeps import ended, small_plan


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_the_order_of_the_history_does_not_matter(sampler: str) -> None:
    plan = small_plan(protocol={"design": {"points": 64}, "tune": {"trials": 2, "sampler": sampler}})
    cell = plan.cells[0]
    rows = [
        ended(plan, trial, state=State.DIVERGED if number % 9 == 0 else State.COMPLETE)
        for number, trial in enumerate(design_trials(plan, cell))
    ]
    asked = ask_generation(plan, cell, 0, rows)
    random.Random(1).shuffle(rows)
    assert ask_generation(plan, cell, 0, rows) == asked
    assert all(0 <= value <= 1 for point in asked for value in point.values())


def test_other_cells_and_generations_ask_otherwise() -> None:
    plan = small_plan(protocol={"design": {"points": 4}, "tune": {"trials": 2}})
    rows = [ended(plan, trial) for trial in design_trials(plan, plan.cells[0])]
    points = [ask_generation(plan, plan.cells[cell], generation, rows) for cell in (0, 1) for generation in (0, 1)]
    assert len({str(point) for point in points}) == 4


def test_failed_trials_are_told_and_not_modelled() -> None:
    plan = small_plan(protocol={"design": {"points": 8}, "tune": {"trials": 1}})
    rows = [ended(plan, trial, state=State.FAIL) for trial in design_trials(plan, plan.cells[0])]
    assert len(ask_generation(plan, plan.cells[0], 0, rows)) == 1


def test_the_median_pruner_gives_up_what_is_below_the_median_after_its_grace() -> None:
    plan = small_plan(protocol={"tune": {"trials": 5, "pruner": "median"}}, training={"epochs": 8})
    good = [[0.1 * epoch for epoch in range(1, 9)] for _ in range(4)]
    hopeless, promising = Pruning(plan, good), Pruning(plan, good)
    assert [hopeless.is_hopeless([0.01] * epochs) for epochs in (1, 2, 3)] == [False, True, True]
    assert not any(promising.is_hopeless([0.11 * epoch for epoch in range(1, n + 1)]) for n in range(1, 9))


def test_pruning_decides_alike_whether_epochs_come_one_by_one_or_after_a_restore() -> None:
    plan = small_plan(protocol={"tune": {"trials": 5, "pruner": "median"}}, training={"epochs": 8})
    earlier = [[0.1 * epoch + shift for epoch in range(1, 9)] for shift in (0.0, 0.01, 0.02, 0.03)]
    curve = [0.3, 0.2, 0.25, 0.2]
    one_by_one, at_once = Pruning(plan, earlier), Pruning(plan, earlier)
    said = [one_by_one.is_hopeless(curve[:epochs]) for epochs in range(1, 5)]
    assert at_once.is_hopeless(curve) == said[-1]


def test_with_no_earlier_trial_nothing_is_pruned() -> None:
    plan = small_plan(protocol={"tune": {"trials": 5, "pruner": "median"}})
    assert not Pruning(plan, []).is_hopeless([0.0, 0.0, 0.0])
