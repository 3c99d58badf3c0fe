"""`bocb verify` beside a real sweep, and `--mend` with `resume` after real damage."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.schema import CurveRow, TrialRow
from tests.integration.commands import bocb, recorded, running, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SPEC = """
[sweep]
name = "checked"
[grid]
backbones = ["synthetic_a", "own_code:slow_a"]
optimizers = ["sgd"]
[data]
name = "synthetic"
[training]
epochs = 3
[protocol.default]
seeds = 1
[protocol.design]
points = 2
[protocol.tune]
trials = 1
[protocol.confirm]
top = 1
seeds = 1
[checkpoints]
interval_seconds = 0
"""
TRIALS = 10


def verify(store: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    answer: subprocess.CompletedProcess[str] = bocb(store, "verify", *arguments, "--json")
    assert answer.stdout, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def results(store: Path) -> dict[str, tuple[Any, ...]]:
    rows = recorded(store, "checked", TrialRow)
    return {row.trial_id: (row.state, row.score, row.history_sha256, row.hp, row.test_top1) for row in rows}


def curves(store: Path) -> dict[tuple[str, int], str]:
    rows = recorded(store, "checked", CurveRow)
    # As text, so that a NaN equals itself.
    return {(row.trial_id, row.epoch): repr((row.val_top1, row.train_loss, row.lr)) for row in rows}


def test_nothing_is_wrong_while_it_runs_and_what_breaks_is_restored(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (tmp_path / "checked.toml").write_text(SPEC)
    looks = 0
    with running(store, "run", "checked.toml") as process:
        wait_until(lambda: bool(recorded(store, "checked", CurveRow)), "the first epoch")
        while process.poll() is None:
            code, said = verify(store, "checked")
            assert (code, said["problems"]) == (0, []), said
            looks += 1
        assert process.returncode == 0, (tmp_path / "output.txt").read_text()
    assert looks >= 2
    before = (results(store), curves(store))
    assert len(before[0]) == TRIALS
    assert bocb(store, "compact").returncode == 0
    code, said = verify(store)
    assert (code, said["ok"], said["problems"], said["notes"]) == (0, True, [], [])

    curve_file = store / "checked" / "curves" / "compact-000001-000.parquet"
    data = curve_file.read_bytes()
    curve_file.write_bytes(data[:-200] + bytes([data[-200] ^ 1]) + data[-199:])
    (store / "checked" / "attempts" / "_manifest-000001.json").write_bytes(b"{")
    code, said = verify(store)
    assert (code, said["ok"]) == (5, False)
    first = next(problem for problem in said["problems"] if problem["file"].endswith("compact-000001-000.parquet"))
    assert f"{len(before[1])} epochs of trials" in first["lost"]
    assert first["mend"] == "bocb verify checked --mend, then bocb resume checked"

    code, said = verify(store, "checked", "--mend")
    assert (code, said["ok"]) == (0, True)
    assert len(list((store / "checked" / ".damaged").rglob("*.*"))) == 2
    answer = bocb(store, "resume", "checked")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert (results(store), curves(store)) == before
    code, said = verify(store)
    assert (code, said["problems"], said["notes"]) == (0, [], [])
