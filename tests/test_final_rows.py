"""Tables `layers` and `corruptions`: who has rows, each exactly once whatever is killed; what lost rows cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.planning.grid import make_plan
from orchestrator.planning.plan import Plan
from orchestrator.planning.spec import parse_spec
from orchestrator.store.query import read
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import CorruptionRow, LayerRow, TrialRow
from orchestrator.store.store import SweepStore, open_store
from orchestrator.upkeep.mending import mend_sweep
from orchestrator.upkeep.verification import verify_sweep
from tests.store_examples import put_part
from tests.sweeps_in_process import compact_here, run_here
from trainers import vision
from trainers.corruptions.catalogue import CORRUPTIONS

WEIGHTS = ("0.weight", "5.weight")


PROTOCOL = {"default": {"seeds": 2}, "design": {"points": 2}, "confirm": {"top": 1, "seeds": 2}}
COLOUR = {"backbone": "tests.test_corruptions:stripes_network", "data": "tests.test_corruptions:stripes"}


def plan(
    *,
    backbone: str = "tests.trial_examples:tiny_network",
    data: str = "digits",
    protocol: dict[str, Any] = PROTOCOL,
    **evaluation: Any,
) -> Plan:
    """Two trials of each role on very few images."""
    tables = {
        "sweep": {"name": "s"},
        "grid": {"backbones": [backbone], "optimizers": ["adamw"]},
        "data": {"name": data, "validation_fraction": 0.95 if data == "digits" else 0.5},
        "training": {"epochs": 2, "batch_size": 16},
        "protocol": protocol,
        "evaluation": evaluation,
    }
    return make_plan(parse_spec(tables))


def layers(sweep: SweepStore) -> list[LayerRow]:
    """The rows without what tells by whom they were written."""
    return [replace(row, attempt=0, driver_epoch=0) for row in read_rows(sweep, LayerRow)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SweepStore:
    return run_here(plan(), tmp_path_factory.mktemp("store"))


def test_trials_of_the_usual_roles_have_one_row_for_each_weight(whole: SweepStore) -> None:
    rows, trials = read_rows(whole, LayerRow), {row.trial_id: row for row in read_rows(whole, TrialRow)}
    assert {trial.role: trial.layers for trial in trials.values()} == {"default": 2, "confirm": 2, "design": None}
    of_roles = sorted(trial.trial_id for trial in trials.values() if trial.role != "design")
    assert [(row.trial_id, row.layer) for row in rows] == [(trial, name) for trial in of_roles for name in WEIGHTS]
    for row in rows:
        trial = trials[row.trial_id]
        assert (row.backbone, row.recipe, row.optimizer) == (trial.backbone, trial.recipe, trial.optimizer)
        assert (row.role, row.attempt) == (trial.role, trial.attempt)
    assert [(row.position, row.kind, row.rows, row.columns) for row in rows[:2]] == [
        (0, "Conv2d", 8, 9),
        (1, "Linear", 10, 72),
    ]
    assert len({row.l2_norm for row in rows}) == len(rows)


def test_query_shows_them(whole: SweepStore) -> None:
    sql = "SELECT role, count(*), count(entropy), min(rows), max(columns) FROM layers GROUP BY role ORDER BY role"
    found = read(open_store(whole.files.root), lambda connection: connection.execute(sql).fetchall())
    assert found == [("confirm", 4, 4, 8, 72), ("default", 4, 4, 8, 72)]


def test_statistics_change_no_training_number(whole: SweepStore, tmp_path: Path) -> None:
    without = run_here(plan(layers=[]), tmp_path)
    assert layers(without) == []
    assert {row.trial_id: row.history_sha256 for row in read_rows(without, TrialRow)} == {
        row.trial_id: row.history_sha256 for row in read_rows(whole, TrialRow)
    }
    assert {row.layers for row in read_rows(without, TrialRow)} == {None}


def test_killed_and_continued_it_is_the_same_table(whole: SweepStore, tmp_path: Path) -> None:
    """The third driver also finds rows of a trial whose own row did not get to the store, from another attempt."""
    for trials in (1, 4):
        sweep = run_here(plan(), tmp_path, trials=trials)
    missing = {row.trial_id for row in layers(whole)} - {row.trial_id for row in layers(sweep)}
    assert missing
    early = [
        replace(row, trial_id=min(missing), driver_epoch=2, attempt=9, l2_norm=-1.0)
        for row in read_rows(whole, LayerRow)[:2]
    ]
    put_part(sweep, early)
    assert "1 trials have rows of layers and no result" in " ".join(verify_sweep(sweep).notes)
    run_here(plan(), tmp_path)
    assert layers(sweep) == layers(whole)
    compact_here(sweep)
    assert layers(sweep) == layers(whole)
    found = verify_sweep(sweep)
    assert (found.problems, found.notes) == ([], [])


def test_rows_that_are_lost_are_noticed_and_come_back(whole: SweepStore, tmp_path: Path) -> None:
    sweep = run_here(plan(), tmp_path)
    folder = Path(sweep.files.location(sweep.paths.table(LayerRow)))
    first, *others = sorted(folder.glob("part-*.parquet"))
    assert others
    first.unlink()
    problems = verify_sweep(sweep).problems
    trial = next(row.trial_id for row in layers(whole) if row.role == "default")
    assert f"trial {trial}: it lacks 2 rows of layers" in [problem.problem for problem in problems]
    assert [p.lost for p in problems if p.file.endswith(first.name)] == [f"2 rows of trial {trial}"]
    assert mend_sweep(sweep).found.problems == []
    marked = {row.trial_id: row.layers for row in read_rows(sweep, TrialRow)}
    assert marked[trial] is None
    run_here(plan(), tmp_path)
    assert layers(sweep) == layers(whole)
    assert verify_sweep(sweep).problems == []


def test_confirm_trials_are_tested_on_corrupted_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "CORRUPTIONS", CORRUPTIONS[10:12])  # all of them take seconds
    tested, plain = plan(**COLOUR, corruptions=True), plan(**COLOUR)
    sweep = run_here(tested, tmp_path / "tested", trials=5)
    sweep = run_here(tested, tmp_path / "tested")
    trials = {row.trial_id: row for row in read_rows(sweep, TrialRow)}
    assert {trial.role: trial.corruptions for trial in trials.values()} == {
        "default": None,
        "design": None,
        "confirm": 10,
    }
    rows = read_rows(sweep, CorruptionRow)
    assert len({(row.trial_id, row.corruption, row.severity) for row in rows}) == len(rows) == 2 * 10
    assert {(row.role, row.attempt == trials[row.trial_id].attempt) for row in rows} == {("confirm", True)}
    assert all(0 <= row.top1 <= 1 for row in rows)
    other = run_here(plain, tmp_path / "plain")
    assert [row.history_sha256 for row in read_rows(other, TrialRow)] == [
        row.history_sha256 for row in trials.values()
    ]
    assert verify_sweep(sweep).problems == []
    for part in Path(sweep.files.location(sweep.paths.table(CorruptionRow))).glob("part-*.parquet"):
        part.unlink()
    told = {problem.problem for problem in verify_sweep(sweep).problems}
    assert {f"trial {row.trial_id}: it lacks 10 rows of corruptions" for row in rows} <= told
    assert mend_sweep(sweep).found.problems == []
    run_here(tested, tmp_path / "tested")
    again = read_rows(sweep, CorruptionRow)
    assert [(row.trial_id, row.corruption, row.severity, row.top1, row.loss) for row in again] == [
        (row.trial_id, row.corruption, row.severity, row.top1, row.loss) for row in rows
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"data": "digits"}, "colour images of at most 64 px .* digits has 1 channel at 8 px; leave it out"),
        ({**COLOUR, "protocol": {"default": {"seeds": 1}}}, "tests confirm trials, and the spec has none"),
    ],
)
def test_corruptions_of_what_they_are_not_made_for_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=f"evaluation.corruptions = true .*{sentence}"):
        plan(**given, corruptions=True)
    plan(**given, corruptions=False)


def test_corruptions_of_images_that_are_decoded_on_the_way_are_refused(tmp_path: Path) -> None:
    tables = {
        "sweep": {"name": "s"},
        "grid": {"backbones": ["resnet18"], "optimizers": ["adamw"]},
        "data": {"name": "imagefolder", "path": str(tmp_path)},
        "training": {"epochs": 2},
        "evaluation": {"corruptions": True},
    }
    with pytest.raises(SpecError, match="imagefolder has 3 channels at 224 px"):
        make_plan(parse_spec(tables))


@pytest.mark.parametrize(
    ("evaluation", "sentence"),
    [
        ({"layers": ["confirmed"]}, "evaluation.layers.0 = 'confirmed' is not accepted: input should be 'default',"),
        ({"layers": ["confirm", "confirm"]}, "evaluation.layers: a role is there twice"),
        ({"layer": []}, "unknown key 'layer' in \\[evaluation\\]; did you mean layers"),
    ],
)
def test_a_wrong_table_is_refused(evaluation: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        plan(**evaluation)
