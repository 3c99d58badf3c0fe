"""A store written by an older version is read, queried and continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.store.schema import TrialRow
from tests.integration.commands import ROOT, bocb, recorded, rows

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200)]

ENDED, PLANNED, EPOCHS = 23, 48, 3


@pytest.fixture(params=sorted(path.name for path in (ROOT / "tests" / "fixtures").glob("store_v*")))
def old_store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "tests" / "fixtures" / request.param, tmp_path / "store"))


def test_it_is_read_and_continued_without_a_trial_running_again(old_store: Path) -> None:
    (counted,) = rows(old_store, "SELECT count(*) AS trials, count(DISTINCT trial_id) AS ids FROM trials")
    assert counted == {"trials": ENDED, "ids": ENDED}
    (epochs,) = rows(old_store, "SELECT count(*) AS n FROM curves SEMI JOIN trials USING (sweep, trial_id)")
    assert epochs["n"] == ENDED * EPOCHS
    status = json.loads(bocb(old_store, "status", "old", "--json").stdout)
    assert (status["planned"], status["states"]) == (PLANNED, {"COMPLETE": ENDED})
    before = {row.trial_id: row for row in recorded(old_store, "old", TrialRow)}

    answer = bocb(old_store, "resume", "old")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    after = {row.trial_id: row for row in recorded(old_store, "old", TrialRow)}
    assert len(after) == PLANNED
    assert before.items() <= after.items()
    assert bocb(old_store, "compact").returncode == 0
    assert {row.trial_id: row for row in recorded(old_store, "old", TrialRow)} == after
