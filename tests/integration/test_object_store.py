"""A sweep in an object store that fails now and then, killed and continued, has the numbers of a quiet one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.store.query import run_query
from orchestrator.store.schema import AttemptRow
from orchestrator.store.store import open_store
from tests.integration.commands import bocb, recorded, running, wait_until
from tests.integration.test_resume import SPEC, curves, results
from tests.object_store import FaultyStore

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

TRIALS = 10


def test_faults_and_a_kill_change_no_number(tmp_path: Path, object_store: FaultyStore) -> None:
    spec, here, uri = tmp_path / "killed.toml", tmp_path / "local", object_store.new_uri()
    spec.write_text(SPEC.replace("trials = 2", "trials = 1"))
    sweep, before = open_store(uri).sweep("killed"), object_store.injected.total()
    with object_store.faults(object_store.seeded(7, 0.05)):
        with running(here, "run", str(spec)) as quiet:
            with running(here, "run", str(spec), BOCB_STORE=uri) as process:
                wait_until(lambda: len(sweep.files.names(sweep.paths.all_checkpoints)) >= 3, "three checkpoints")
                assert process.poll() is None, (tmp_path / "output.txt").read_text()
                process.kill()
            assert quiet.wait(timeout=120) == 0, (tmp_path / "output.txt").read_text()
        answer = bocb(here, "run", str(spec), BOCB_STORE=uri)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    assert object_store.injected.total() > before + 5
    assert len(results(uri)) == TRIALS
    assert results(uri) == results(here)
    assert curves(uri) == curves(here)
    went_on = [row for row in recorded(uri, "killed", AttemptRow) if (row.first_epoch or 1) > 1]
    assert went_on, "no trial went on from a checkpoint"
    assert sweep.files.names(sweep.paths.all_checkpoints) == [], "a checkpoint outlived its trial"

    assert bocb(here, "compact", BOCB_STORE=uri).returncode == 0
    assert [name.split("-")[0] for name in sweep.files.names("killed/trials")] == ["_manifest", "compact"]
    assert results(uri) == results(here)
    status = bocb(here, "status", "killed", "--json", BOCB_STORE=uri)
    assert json.loads(status.stdout)["planned"] == sum(json.loads(status.stdout)["states"].values()) == TRIALS
    with run_query(open_store(uri), "SELECT count(*) AS n FROM trials") as counted:
        assert counted.table().to_pylist() == [{"n": TRIALS}]
    page = tmp_path / "page.html"
    assert bocb(here, "report", "killed", "-o", str(page), BOCB_STORE=uri).returncode == 0
    assert page.stat().st_size > 10_000
