"""A sweep whose spec is edited runs what is new, keeps what it has, and counts what the spec asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.planning.plan import Plan
from orchestrator.status import sweep_status
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, TrialRow
from orchestrator.store.store import open_store
from tests.planned_sweeps import small_plan
from tests.sweeps_in_process import run_here

GROWN = {
    "grid": {"optimizers": ["sgd", "adamw", "lion"]},
    "protocol": {
        "default": {"seeds": 2},
        "design": {"points": 8},
        "tune": {"trials": 5},
        "confirm": {"top": 1, "seeds": 3},
    },
}


def trials(folder: Path) -> dict[str, TrialRow]:
    return {row.trial_id: row for row in read_rows(open_store(str(folder)).sweep("small"), TrialRow)}


def counted(folder: Path) -> int:
    return sum(not row.superseded for row in trials(folder).values())


def check_counts(folder: Path, plan: Plan) -> None:
    found = sweep_status(open_store(str(folder)), "small")
    assert found.done == found.planned == counted(folder) == plan.trials


def test_only_what_is_new_runs_and_everything_counts(tmp_path: Path) -> None:
    small, grown = small_plan(), small_plan(**GROWN)
    run_here(small, tmp_path)
    before = trials(tmp_path)
    check_counts(tmp_path, small)
    run_here(grown, tmp_path)
    after = trials(tmp_path)
    check_counts(tmp_path, grown)
    assert before.keys() <= after.keys()
    for trial_id, row in before.items():
        assert after[trial_id].history_sha256 == row.history_sha256
        assert after[trial_id].ended_at == row.ended_at
    attempts = read_rows(open_store(str(tmp_path)).sweep("small"), AttemptRow)
    assert {row.attempt for row in attempts} == {1}
    assert len(attempts) == len(after)


def test_what_the_spec_drops_counts_nowhere_until_it_comes_back(tmp_path: Path) -> None:
    small, grown = small_plan(), small_plan(**GROWN)
    run_here(grown, tmp_path)
    everything = trials(tmp_path)
    run_here(small, tmp_path)
    check_counts(tmp_path, small)
    assert trials(tmp_path).keys() >= everything.keys()
    run_here(grown, tmp_path)
    check_counts(tmp_path, grown)
    scores = {trial_id: row.score for trial_id, row in everything.items()}
    assert {trial_id: row.score for trial_id, row in trials(tmp_path).items() if trial_id in scores} == scores


def test_what_was_dropped_comes_back_only_as_it_was(tmp_path: Path) -> None:
    """Its old trials would count again, beside new ones from other ranges."""
    both = small_plan(protocol={"default": {"seeds": 1}})
    one = small_plan(protocol={"default": {"seeds": 1}}, grid={"optimizers": ["adamw"]})
    changed = small_plan(protocol={"default": {"seeds": 1}}, search_spaces={"sgd": {"lr": [0.1, 1.0]}})
    run_here(both, tmp_path)
    run_here(one, tmp_path)
    with pytest.raises(SpecError, match=r"search_spaces\.sgd\.lr was None .* is now \[0\.1, 1\.0\]"):
        run_here(changed, tmp_path)
    check_counts(tmp_path, one)
    run_here(both, tmp_path)
    check_counts(tmp_path, both)


def test_ranges_of_what_comes_new_stay_as_they_were_first_run(tmp_path: Path) -> None:
    def with_lion(**sections: dict[str, object]) -> Plan:
        names = {"optimizers": ["sgd", "adamw", "lion"]}
        return small_plan(protocol={"default": {"seeds": 1}}, grid=names, **sections)

    ranges = {"lion": {"lr": [1e-5, 1e-2]}}
    run_here(small_plan(protocol={"default": {"seeds": 1}}), tmp_path)
    run_here(with_lion(search_spaces=ranges), tmp_path)
    run_here(with_lion(search_spaces=ranges, resources={"max_concurrent": 3}), tmp_path)
    with pytest.raises(SpecError, match=r"search_spaces\.lion\.lr was \[1e-05, 0\.01\] .* is now None"):
        run_here(with_lion(), tmp_path)
