"""A recorded trial runs again to the same numbers, and what its attempts printed can be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.planning.plan import default_trials
from orchestrator.reproduction import config_of_row, reproduce
from orchestrator.store.lease import claim
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, TrialRow
from orchestrator.store.store import Store, open_store
from orchestrator.store.writer import TableWriter
from orchestrator.trial_log import as_text, attempts_of, sweep_of_trial
from tests.planned_sweeps import ended, small_plan
from tests.sweeps_in_process import run_here


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("reproduced")
    run_here(small_plan(), folder)
    return open_store(str(folder))


def rows(store: Store) -> dict[str, TrialRow]:
    return {row.trial_id: row for row in read_rows(store.sweep("small"), TrialRow)}


def test_every_trial_of_every_role_is_reproduced_bit_for_bit(store: Store) -> None:
    found = [reproduce(store, "small", trial_id) for trial_id in rows(store)]
    assert all(one.is_bitwise and one.is_match and not one.code_differs for one in found)
    assert len({row.role for row in rows(store).values()}) == 4


def record(store: Store, row: TrialRow) -> None:
    """Puts another row in a trial's place, as a newer driver."""
    with claim(store.sweep("small")) as lease, TableWriter(store.sweep("small"), lease) as writer:
        writer.add(replace(row, driver_epoch=lease.driver_epoch))


def test_another_seed_or_setting_is_told_from_what_was_recorded(store: Store) -> None:
    trial_id, row = next(iter(rows(store).items()))
    try:
        record(store, replace(row, seed=row.seed + 1))
        close = reproduce(store, "small", trial_id)
        assert (close.is_bitwise, close.largest_difference > 0) == (False, True)
        assert "not bit for bit" in close.sentence()
        record(store, replace(row, hp=json.dumps({**json.loads(row.hp), "lr": 1e-6})))
        far = reproduce(store, "small", trial_id)
        assert not far.is_match
        assert "beyond the tolerance of 0.01" in far.sentence()
    finally:
        record(store, row)


def test_what_has_no_result_cannot_be_reproduced(store: Store) -> None:
    trial_id, row = next(iter(rows(store).items()))
    try:
        record(store, replace(row, state="FAIL", reason="error: oh", score=None))
        with pytest.raises(UsageError, match=r"failed \(error: oh\); `bocb resume small --retry all`"):
            reproduce(store, "small", trial_id)
    finally:
        record(store, row)
    with pytest.raises(UsageError, match="has not ended"):
        reproduce(store, "small", "nothing")


def test_a_trial_is_found_in_its_sweep_and_its_attempts_are_told_in_order(store: Store) -> None:
    trial_id = next(iter(rows(store)))
    sweep = sweep_of_trial(store, trial_id, None)
    assert sweep.name == "small"
    with pytest.raises(UsageError, match="did you mean"):
        sweep_of_trial(store, trial_id[:-1] + "7", None)
    (attempt,) = attempts_of(sweep, trial_id)
    later = replace(attempt, attempt=2, outcome="ERROR", reason="ValueError: oh", log="said", traceback="Traceback\n")
    text = "".join(as_text([attempt, later]))
    assert text.startswith("== attempt 1 (driver 1 on ")
    assert text.endswith("ERROR: ValueError: oh\nsaid\nTraceback\n")


def test_a_trial_id_of_two_sweeps_needs_the_sweep(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), create=True)
    plan = small_plan(protocol={"default": {"seeds": 1}})
    for name in ("small", "other"):
        run_here(
            replace(
                plan, spec=plan.spec.model_copy(update={"sweep": plan.spec.sweep.model_copy(update={"name": name})})
            ),
            tmp_path,
        )
    trial_id = read_rows(store.sweep("other"), AttemptRow)[0].trial_id
    with pytest.raises(UsageError, match="is in the sweeps other, small; choose one with --sweep"):
        sweep_of_trial(store, trial_id, None)
    assert sweep_of_trial(store, trial_id, "other").name == "other"


def test_a_trial_is_reproduced_at_the_size_that_its_network_sees() -> None:
    """Where the spec names none, a backbone of the paper sees CIFAR-100 at a size of its own."""
    data = {"name": "cifar100", "path": "/data", "validation": "test"}
    plan = small_plan(grid={"backbones": ["deit_small"], "optimizers": ["sgd"]}, data=data)
    (trial,) = default_trials(plan, plan.cells[0])
    assert config_of_row(plan, ended(plan, trial)) == plan.config_of(trial)
    assert plan.config_of(trial).data.image_size == 224
