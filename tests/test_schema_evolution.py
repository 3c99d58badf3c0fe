"""A store written by an older version is read, queried, verified and continued."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.running.resume import recorded_plan
from orchestrator.status import sweep_status
from orchestrator.store.query import read
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import TrialRow
from orchestrator.store.store import Store, open_store
from orchestrator.upkeep.verification import verify_sweep
from tests.sweeps_in_process import compact_here, run_here

FIXTURES = Path(__file__).parent / "fixtures"
ENDED, PLANNED, EPOCHS = 23, 48, 3


@pytest.fixture(params=sorted(path.name for path in FIXTURES.glob("store_v*")))
def old_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(shutil.copytree(FIXTURES / request.param, tmp_path / "store")))


def rows(store: Store) -> dict[str, TrialRow]:
    return {row.trial_id: row for row in read_rows(store.sweep("old"), TrialRow)}


def test_it_is_read_queried_and_verified(old_store: Store) -> None:
    sql = "SELECT count(*), count(DISTINCT trial_id) FROM trials"
    assert read(old_store, lambda connection: connection.execute(sql).fetchone()) == (ENDED, ENDED)
    sql = "SELECT count(*) FROM curves SEMI JOIN trials USING (sweep, trial_id)"
    assert read(old_store, lambda connection: connection.execute(sql).fetchone()) == (ENDED * EPOCHS,)
    sql = "SELECT count(*), count(alpha) FROM layers"
    assert read(old_store, lambda connection: connection.execute(sql).fetchone()) == (0, 0)
    status = sweep_status(old_store, "old")
    assert (status.planned, status.states) == (PLANNED, {"COMPLETE": ENDED})
    assert verify_sweep(old_store.sweep("old")).problems == []


def test_it_is_continued_without_a_trial_running_again(old_store: Store) -> None:
    before = rows(old_store)
    run_here(recorded_plan(old_store, "old"), Path(old_store.uri))
    after = rows(old_store)
    assert len(after) == PLANNED
    assert before.items() <= after.items()
    compact_here(old_store.sweep("old"))
    assert rows(old_store) == after
    assert verify_sweep(old_store.sweep("old")).problems == []
