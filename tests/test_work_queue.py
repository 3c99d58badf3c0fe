"""The order of work: breadth first, and the same trials whatever the timing."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.planning.plan import Plan, PlannedTrial, Role
from orchestrator.running.cell_work import CellWork
from orchestrator.running.outcomes import State
from orchestrator.running.work_queue import WorkQueue
from tests.planned_sweeps import ended, small_plan


def run_all(plan: Plan, *, slots: int, seed: int, kill_after: set[int]) -> dict[str, PlannedTrial]:
    """Runs a plan with trials that end in random order; at some counts the queue is rebuilt from what ended."""
    order = random.Random(seed)
    rows, done = [], {}
    queue, running = WorkQueue(plan), []
    while not queue.is_finished:
        while len(running) < slots and (trial := queue.take()) is not None:
            running.append(trial)
        assert running, "nothing runs and nothing can start"
        trial = running.pop(order.randrange(len(running)))
        row = ended(plan, trial)
        rows.append(row)
        assert trial.trial_id not in done, "a trial ran twice"
        done[trial.trial_id] = trial
        queue.close(row)
        if len(rows) in kill_after:
            order.shuffle(rows)
            queue, running = WorkQueue(plan, rows), []
    return done


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, PlannedTrial]:
    return run_all(small_plan(), slots=1, seed=0, kill_after=set())


def test_runs_every_planned_trial_once(undisturbed: dict[str, PlannedTrial]) -> None:
    plan = small_plan()
    by_role = Counter(trial.role for trial in undisturbed.values())
    assert by_role == {Role.DEFAULT: 4, Role.DESIGN: 16, Role.TUNE: 12, Role.CONFIRM: 8}
    assert {str(role): count for role, count in by_role.items()} == plan.trials_by_role()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(slots=st.integers(1, 6), seed=st.integers(0, 1000), kill_after=st.sets(st.integers(1, 39), max_size=5))
def test_same_trials_whatever_the_timing(
    undisturbed: dict[str, PlannedTrial], slots: int, seed: int, kill_after: set[int]
) -> None:
    disturbed = run_all(small_plan(), slots=slots, seed=seed, kill_after=kill_after)
    assert {key: (trial.hp, trial.seed) for key, trial in disturbed.items()} == {
        key: (trial.hp, trial.seed) for key, trial in undisturbed.items()
    }


def test_batches_of_tune_trials_are_the_same_after_a_rebuild_within_a_batch() -> None:
    plan = small_plan(protocol={"design": {"points": 4}, "tune": {"trials": 5, "batch": 2}})
    expected = run_all(plan, slots=1, seed=0, kill_after=set())
    for count in range(17, 36):
        got = run_all(plan, slots=3, seed=count, kill_after={count})
        assert {key: trial.hp for key, trial in got.items()} == {key: trial.hp for key, trial in expected.items()}


@pytest.mark.parametrize("seed", range(3))
def test_counts_and_total_follow_every_step(seed: int) -> None:
    protocol = {"default": {"seeds": 1}, "design": {"points": 4}, "confirm": {"top": 2, "seeds": 2}}
    plan, order = small_plan(protocol=protocol), random.Random(seed)
    queue, running, rows = WorkQueue(plan), [], []
    while not queue.is_finished:
        while (trial := queue.take()) is not None:
            running.append(trial)
        trial = running.pop(order.randrange(len(running)))
        if order.random() < 0.2:
            queue.put_back(trial)
            continue
        rows.append(ended(plan, trial, state=order.choice([State.COMPLETE, State.FAIL, State.FAIL])))
        queue.close(rows[-1])
        rebuilt = WorkQueue(plan, rows)
        assert queue.counts == Counter(row.state for row in rows) == rebuilt.counts
        assert (queue.total, queue.is_finished) == (rebuilt.total, rebuilt.is_finished)
    assert queue.total < plan.trials, "some cell had too few results to confirm two settings"


def test_a_step_looks_at_its_own_cell_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a driver of a large sweep has no time left for its workers."""
    looked, state = [], CellWork.state
    monkeypatch.setattr(CellWork, "state", lambda self: looked.append(self.cell.key) or state(self))
    plan = small_plan()
    queue = WorkQueue(plan)
    trial = queue.take()
    assert trial is not None
    assert len(looked) == len(plan.cells)
    looked.clear()
    queue.close(ended(plan, trial))
    for _ in range(3):
        assert not queue.is_finished
        assert (queue.counts.total(), queue.total) == (1, plan.trials)
    assert looked == [trial.cell.key]


def test_cells_advance_together() -> None:
    plan = small_plan()
    queue, taken = WorkQueue(plan), Counter()
    for _ in range(20):
        trial = queue.take()
        assert trial is not None
        taken[trial.cell.key] += 1
        assert max(taken.values()) - min(taken[cell.key] for cell in plan.cells) <= 1


def test_within_the_front_the_warm_backbone_goes_first() -> None:
    queue = WorkQueue(small_plan())
    first = queue.take(prefer="synthetic_b")
    second = queue.take(prefer="synthetic_b")
    third = queue.take(prefer="synthetic_b")
    assert [trial.cell.backbone.name for trial in (first, second, third) if trial] == [
        "synthetic_b",
        "synthetic_b",
        "synthetic_a",
    ]


def test_other_cells_fill_the_slots_while_a_generation_waits() -> None:
    plan = small_plan(protocol={"design": {"points": 1}, "tune": {"trials": 2}})
    queue = WorkQueue(plan)
    design = [queue.take() for _ in plan.cells]
    assert queue.take() is None
    queue.close(ended(plan, design[2]))
    tune = queue.take()
    assert tune is not None
    assert (tune.role, tune.cell.key) == (Role.TUNE, design[2].cell.key)
    assert queue.take() is None, "the second tune trial waits for the first"


def test_a_trial_that_is_put_back_runs_again_before_later_ones() -> None:
    queue = WorkQueue(small_plan())
    first = queue.take()
    queue.take()
    queue.put_back(first)
    assert queue.take() == first


def test_design_has_the_same_points_and_seeds_in_every_cell() -> None:
    plan = small_plan()
    queue = WorkQueue(plan)
    design = [trial for _ in range(20) if (trial := queue.take()) and trial.role is Role.DESIGN]
    for number in range(4):
        assert len({(tuple(t.point.values()), t.seed) for t in design if t.number == number}) == 1
    assert len({tuple(t.point.values()) for t in design}) == 4


def test_seeds_of_other_roles_differ_between_cells(undisturbed: dict[str, PlannedTrial]) -> None:
    seeds = [trial.seed for trial in undisturbed.values() if trial.role is not Role.DESIGN]
    assert len(set(seeds)) == len(seeds)


def test_confirm_repeats_the_best_complete_setting() -> None:
    plan = small_plan(grid={"backbones": ["synthetic_a"], "optimizers": ["sgd"]})
    queue, scores = WorkQueue(plan), {"design-001": 0.8, "design-003": 0.8, "tune-000": 0.95}
    confirmed = []
    while (trial := queue.take()) is not None:
        key = trial.trial_id.removeprefix("synthetic_a.digits.sgd.").removesuffix("-s0")
        state = State.DIVERGED if key == "tune-000" else State.COMPLETE
        queue.close(ended(plan, trial, score=scores.get(key, 0.5), state=state))
        confirmed += [trial] if trial.role is Role.CONFIRM else []
    # The diverged one is passed over, and of two equal ones the lower number wins.
    assert [trial.trial_id for trial in confirmed] == [
        "synthetic_a.digits.sgd.confirm-design-001-s0",
        "synthetic_a.digits.sgd.confirm-design-001-s1",
    ]
    assert confirmed[0].repeats == "synthetic_a.digits.sgd.design-001-s0"
    assert confirmed[0].seed != confirmed[1].seed


def test_a_cell_without_a_result_confirms_nothing_and_ends() -> None:
    plan = small_plan(grid={"backbones": ["synthetic_a"], "optimizers": ["sgd"]})
    queue, taken = WorkQueue(plan), 0
    while (trial := queue.take()) is not None:
        queue.close(ended(plan, trial, state=State.FAIL))
        taken += 1
    assert queue.is_finished
    assert (taken, queue.total, plan.trials) == (8, 8, 10)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("design", {"points": 8}),
        ("tune", {"trials": 6}),
        ("confirm", {"top": 1, "seeds": 4}),
        ("default", {"seeds": 2}),
    ],
)
def test_a_larger_protocol_keeps_the_trials_of_the_smaller_one(field: str, value: dict[str, int]) -> None:
    small = {
        "default": {"seeds": 1},
        "design": {"points": 4},
        "tune": {"trials": 3},
        "confirm": {"top": 1, "seeds": 2},
    }
    before, after = small_plan(protocol=small), small_plan(protocol={**small, field: value})
    ended_before = [ended(before, trial) for trial in run_all(before, slots=2, seed=1, kill_after=set()).values()]
    queue, added = WorkQueue(after, ended_before), []
    while (trial := queue.take()) is not None:
        added.append(trial.trial_id)
        queue.close(ended(after, trial))
    assert queue.is_finished
    assert not {row.trial_id for row in ended_before} & set(added)
    assert added


def test_the_numbers_of_a_cell_are_in_order(undisturbed: dict[str, PlannedTrial]) -> None:
    key = "synthetic_a.digits.sgd"
    cell = [trial for trial in undisturbed.values() if (trial.cell.key, trial.role) == (key, Role.TUNE)]
    assert all(after.number == before.number + 1 for before, after in pairwise(cell))


def test_an_edit_within_a_batch_changes_no_setting_that_ran() -> None:
    """The sampler would answer otherwise after the edit; what is confirmed must still be what ran."""
    protocol = {"design": {"points": 2}, "tune": {"trials": 4, "batch": 2}, "confirm": {"top": 2, "seeds": 1}}
    cell = {"grid": {"backbones": ["synthetic_a"], "optimizers": ["sgd"]}}
    before = small_plan(protocol=protocol, **cell)
    queue, rows = WorkQueue(before), []
    for _ in range(3):  # two design points and the first of the two tune trials
        trial = queue.take()
        assert trial is not None
        rows.append(ended(before, trial, score=0.99 if trial.role is Role.TUNE else 0.5))
        queue.close(rows[-1])
    after = small_plan(protocol={**protocol, "design": {"points": 8}}, **cell)
    queue = WorkQueue(after, rows)
    while (trial := queue.take()) is not None:
        if trial.repeats == rows[-1].trial_id:
            assert json.loads(rows[-1].hp)["lr"] == trial.hp["lr"]
            return
        queue.close(ended(after, trial, score=0.5))
    pytest.fail("the winner was not confirmed")


def test_a_setting_that_mostly_diverges_is_not_the_winner_by_its_lucky_seed() -> None:
    plan = small_plan(
        protocol={"design": {"points": 2, "seeds": 3}, "confirm": {"top": 1, "seeds": 1}},
        grid={"backbones": ["synthetic_a"], "optimizers": ["sgd"]},
    )
    queue = WorkQueue(plan)
    while (trial := queue.take()) is not None:
        if trial.role is Role.CONFIRM:
            assert trial.repeats is not None
            assert "design-001" in trial.repeats
            return
        lucky = (trial.number, trial.replicate) == (0, 0)
        state = State.COMPLETE if lucky or trial.number == 1 else State.DIVERGED
        queue.close(ended(plan, trial, score=0.9 if lucky else 0.6 if trial.number == 1 else 0.1, state=state))
    pytest.fail("nothing was confirmed")


def test_a_setting_that_is_no_longer_the_best_is_marked_and_unmarked() -> None:
    protocol = {"design": {"points": 2}, "confirm": {"top": 1, "seeds": 1}}
    cell = {"grid": {"backbones": ["synthetic_a"], "optimizers": ["sgd"]}}
    small, large = (
        small_plan(protocol=protocol, **cell),
        small_plan(protocol={**protocol, "design": {"points": 4}}, **cell),
    )
    queue, rows = WorkQueue(small), []
    while (trial := queue.take()) is not None:
        rows.append(ended(small, trial, score=0.5 + 0.1 * trial.number))
        queue.close(rows[-1])
    assert queue.misplaced == ()
    old_winner = rows[-1]
    queue = WorkQueue(large, rows)
    while (trial := queue.take()) is not None:
        queue.close(ended(large, trial, score=0.5 + 0.1 * trial.number))
    assert queue.misplaced == (old_winner,)
    marked = replace(old_winner, superseded=True)
    queue.close(marked)
    assert queue.misplaced == ()
    assert WorkQueue(small, [*rows, marked]).misplaced == (marked,), "the smaller plan wants it again"


def test_a_second_recipe_adds_cells_and_renames_none() -> None:
    one = {trial.trial_id for trial in run_all(small_plan(), slots=1, seed=0, kill_after=set()).values()}
    two = small_plan(grid={"recipes": ["digits", "pytorch"]})
    assert one < {trial.trial_id for trial in run_all(two, slots=1, seed=0, kill_after=set()).values()}
