"""`bocb verify` finds whatever is damaged, says what is lost, and mends it so that a resume gives it all back."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import BusyError, StoreError
from orchestrator.planning.plan import Plan, default_trials, design_trials
from orchestrator.planning.planned_ids import PlannedIds
from orchestrator.running.history import read_history
from orchestrator.running.stop_request import request_stop
from orchestrator.store import schema
from orchestrator.store.compaction import fold, fold_table
from orchestrator.store.lease import Lease, claim
from orchestrator.store.live import Manifest, table_files
from orchestrator.store.local_files import LocalFiles
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, CurveRow, Row, SweepRow, TrialRow
from orchestrator.store.seal import sealed_writer
from orchestrator.store.store import SweepStore, open_store
from orchestrator.upkeep import verification
from orchestrator.upkeep.findings import Findings
from orchestrator.upkeep.mending import mend_sweep
from orchestrator.upkeep.verification import verify_sweep
from orchestrator.upkeep.verify_files import DamagedFileError, rows_of_file
from orchestrator.upkeep.whole_store import verify_sweeps
from orchestrator.worker.checkpoints import Checkpoint, save_checkpoint
from tests.planned_sweeps import history_of, small_plan
from tests.store_examples import make_row, put_part
from tests.sweeps_in_process import compact_here, run_here

FIXTURES = Path(__file__).parent / "fixtures"
TRIALS = 5


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan(
        grid={"backbones": ["synthetic_a"], "optimizers": ["sgd"]},
        protocol={
            "default": {"seeds": 1},
            "design": {"points": 2},
            "tune": {"trials": 1},
            "confirm": {"top": 1, "seeds": 1},
        },
        checkpoints={"interval_seconds": 0},
    )


@pytest.fixture(scope="module")
def stores(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sweep that was killed after 3 trials, and the same one after compaction, continued to its end."""
    folder = tmp_path_factory.mktemp("stores")
    sweep = run_here(plan, folder / "killed", trials=3)
    save_checkpoint(
        sweep, Checkpoint(trial_id="a.b.c.tune-000", config_sha256="c", history=history_of(0.5, 2), state=b"x" * 40),
        driver_epoch=1, attempt=1,
    )  # fmt: skip
    shutil.copytree(folder / "killed", folder / "complete")
    compact_here(open_store(str(folder / "complete")).sweep("small"))
    complete = run_here(plan, folder / "complete")
    request_stop(complete, 3, now=False)
    return {"killed": folder / "killed", "complete": folder / "complete"}


@pytest.fixture
def copy(stores: dict[str, Path], tmp_path: Path) -> Callable[[str], SweepStore]:
    def make(which: str) -> SweepStore:
        return open_store(str(shutil.copytree(stores[which], tmp_path / which))).sweep("small")

    return make


def results(sweep: SweepStore) -> dict[str, tuple[Any, ...]]:
    """What must not depend on what happened on the way."""
    rows = read_rows(sweep, TrialRow)
    return {
        row.trial_id: (row.state, row.score, row.history_sha256, row.hp, row.seed, row.test_top1, row.repeats)
        for row in rows
        if not row.superseded
    }


def curves(sweep: SweepStore) -> dict[tuple[str, int], str]:
    rows = read_rows(sweep, CurveRow)
    return {(row.trial_id, row.epoch): repr((row.val_top1, row.train_loss, row.val_loss, row.lr)) for row in rows}


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    match how:
        case "flip":
            path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 4]) + data[len(data) // 2 + 1 :])
        case "cut":
            path.write_bytes(data[: len(data) * 2 // 3])
        case "empty":
            path.write_bytes(b"")
        case "delete":
            path.unlink()


def files_with_problems(found: Findings) -> set[str]:
    return {problem.file for problem in found.problems}


def test_a_sound_store_has_no_problems_at_any_stage(plan: Plan, stores: dict[str, Path], tmp_path: Path) -> None:
    for which in ("killed", "complete"):
        found = verify_sweep(open_store(str(stores[which])).sweep("small"))
        assert found.problems == []
        assert found.rows > 15
    killed = verify_sweep(open_store(str(stores["killed"])).sweep("small"))
    assert any("1 attempts were cut off with their driver" in note for note in killed.notes)
    for trials in (0, 1, 2):
        assert verify_sweep(run_here(plan, tmp_path, trials=trials)).problems == []


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("store_v*")))
def test_stores_of_older_versions_are_sound(name: str) -> None:
    store = open_store(str(FIXTURES / name))
    for sweep in store.sweeps():
        found = verify_sweep(store.sweep(sweep))
        assert found.problems == []
        assert found.rows > 100


KINDS = ["sweeps/compact*", "trials/compact*", "curves/compact*", "attempts/compact*", "trials/part*", "curves/part*",
         "attempts/part*", "sweeps/_manifest*", "trials/_manifest*", "curves/_manifest*", "attempts/_manifest*",
         "drivers/000001.json", "drivers/000003.json", "drivers/000003.beat.json", "drivers/000003.stop.json",
         "checkpoints/*/*"]  # fmt: skip


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_to_every_kind_of_file_is_named(copy: Callable[[str], SweepStore], kind: str, how: str) -> None:
    sweep = copy("complete")
    folder = Path(sweep.files.location("small"))
    path = sorted(folder.glob(kind))[0]
    damage(path, how)
    problems = verify_sweep(sweep).problems
    (named,) = [problem.as_json() for problem in problems if problem.file == f"small/{path.relative_to(folder)}"]
    assert all(named[key] for key in ("file", "problem", "lost", "mend"))
    others = [problem for problem in problems if problem.as_json() != named]
    if path.suffix == ".parquet":  # what it has cost is told of trials, and of the spec
        assert all(problem.trial_id or problem.file == "small/sweeps" for problem in others), others
    else:
        assert others == []


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        ("curves/compact*", "9 epochs of trials"),
        ("curves/part-*-00000001.parquet", "epochs of trial"),
        ("trials/compact*", "the results of trials"),
        ("attempts/compact*", "how the last attempts of trials"),
        ("sweeps/compact*", "the spec"),
        ("drivers/000001.json", "which process"),
    ],
)
def test_a_missing_file_is_named_with_what_it_cost(
    copy: Callable[[str], SweepStore], pattern: str, lost: str
) -> None:
    sweep = copy("complete")
    folder = Path(sweep.files.location("small"))
    path = sorted(folder.glob(pattern))[0]
    path.unlink()
    (problem,) = [p for p in verify_sweep(sweep).problems if p.file == f"small/{path.relative_to(folder)}"]
    assert "missing" in problem.problem
    assert lost in problem.lost


def test_the_last_part_of_a_driver_is_missed_by_what_other_tables_say(copy: Callable[[str], SweepStore]) -> None:
    for table, sentence in (("curves", "its curve lacks epochs"), ("attempts", "the end of its last attempt")):
        sweep = copy("complete")
        folder = Path(sweep.files.location("small"))
        sorted((folder / table).glob("part*"))[-1].unlink()
        assert any(sentence in problem.problem for problem in verify_sweep(sweep).problems), table
        shutil.rmtree(folder.parent)


MENDED = {
    "a part of each table": [("curves/part*", "flip"), ("trials/part*", "cut"), ("attempts/part*", "empty")],
    "parts that are gone": [("curves/part*", "delete"), ("trials/part*", "delete"), ("attempts/part*", "delete")],
    "curves and trials": [("curves/compact*", "flip"), ("trials/part*", "flip")],
    "trials and attempts": [("trials/compact*", "delete"), ("attempts/compact*", "flip")],
    "lists of files": [("curves/_manifest*", "flip"), ("trials/_manifest*", "delete"), ("sweeps/_manifest*", "cut")],
    "a list and a file in it": [("curves/_manifest*", "cut"), ("curves/compact*", "flip")],
    "drivers and a checkpoint": [
        ("drivers/000003.json", "flip"), ("drivers/000003.beat.json", "cut"), ("drivers/000001.json", "delete"),
        ("checkpoints/*/*", "flip"), ("drivers/000003.stop.json", "cut"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", MENDED)
def test_what_was_mended_is_restored_bit_for_bit_by_the_next_run(
    plan: Plan, copy: Callable[[str], SweepStore], case: str
) -> None:
    sweep = copy("complete")
    folder = Path(sweep.files.location("small"))
    before = (results(sweep), curves(sweep))
    damaged = []
    for pattern, how in MENDED[case]:
        path = sorted(folder.glob(pattern))[0]
        damage(path, how)
        damaged += [path.read_bytes()] if path.exists() else []
    assert mend_sweep(sweep, patience=0)
    kept = [path.read_bytes() for path in (folder / ".damaged").rglob("*") if path.is_file()]
    assert sorted(damaged) == sorted(data for data in kept if data in damaged), "something damaged was not kept"
    assert verify_sweep(sweep).problems == []
    run_here(plan, folder.parent)
    assert (results(sweep), curves(sweep)) == before
    assert len(results(sweep)) == TRIALS
    compact_here(sweep)
    assert (results(sweep), curves(sweep)) == before
    assert verify_sweep(sweep).problems == []


def test_only_what_was_lost_runs_again(plan: Plan, copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    damage(sorted(Path(sweep.files.location("small/curves")).glob("part*"))[-1], "flip")
    before = {row.trial_id: row.attempt for row in read_rows(sweep, TrialRow)}
    lost = {p.trial_id for p in verify_sweep(sweep).problems if p.trial_id}
    assert 0 < len(lost) < TRIALS / 2
    mend_sweep(sweep, patience=0)
    assert {row.trial_id for row in read_history(sweep, plan).ended} == before.keys() - lost
    run_here(plan, Path(sweep.files.location()))
    after = {row.trial_id: row.attempt for row in read_rows(sweep, TrialRow)}
    assert {trial for trial, attempt in after.items() if attempt != before[trial]} == lost


def fold_while_it_runs(sweep: SweepStore, row_type: type[Row], *, replaced_stay: bool) -> None:
    """Folds all parts of the table but the last three, as a fold beside a driver does, which writes those later."""
    folder = Path(sweep.files.location(sweep.paths.table(row_type)))
    later_parts = {path: path.read_bytes() for path in sorted(folder.glob("part*"))[-3:]}
    for path in later_parts:
        path.unlink()
    with claim(sweep) as lease:
        fold_table(sweep, row_type, lease)
        if not replaced_stay:
            fold(sweep, lease)
    for path, data in later_parts.items():
        path.write_bytes(data)
    files = table_files(sweep, row_type)
    assert len(files.tail) == 3
    assert (len(list(folder.glob("part*"))) > 3) == replaced_stay


@pytest.mark.parametrize("how", ["delete", "flip"])
@pytest.mark.parametrize("replaced_stay", [True, False])
@pytest.mark.parametrize("row_type", [CurveRow, AttemptRow])
def test_a_list_that_is_gone_costs_nothing_though_its_driver_went_on(
    copy: Callable[[str], SweepStore], row_type: type[Any], replaced_stay: bool, how: str
) -> None:
    sweep = copy("killed")
    before = read_rows(sweep, row_type)
    fold_while_it_runs(sweep, row_type, replaced_stay=replaced_stay)
    assert verify_sweep(sweep).problems == []
    damage(Path(sweep.files.location(sweep.paths.manifest(row_type, 1))), how)
    problems = verify_sweep(sweep).problems
    if how == "delete" and replaced_stay:
        assert problems == [], "the files that the fold replaced are all there and count again"
    else:
        (problem,) = problems
        assert ("list of" in problem.problem, problem.lost.startswith("nothing")) == (True, True)
    mend_sweep(sweep, patience=0)
    assert read_rows(sweep, row_type) == before
    assert verify_sweep(sweep).problems == []
    compact_here(sweep)
    assert read_rows(sweep, row_type) == before


def test_rows_are_taken_from_what_a_fold_replaced_as_long_as_it_is_there(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("killed")
    before = read_rows(sweep, CurveRow)
    fold_while_it_runs(sweep, CurveRow, replaced_stay=True)
    folder = Path(sweep.files.location("small/curves"))
    damage(folder / "compact-000001-000.parquet", "flip")
    problems = verify_sweep(sweep).problems
    assert "small/curves/compact-000001-000.parquet" in {problem.file for problem in problems}
    assert all(problem.trial_id is None for problem in problems), "no trial has lost anything"
    mend_sweep(sweep, patience=0)
    assert read_rows(sweep, CurveRow) == before
    compact_here(sweep)
    assert read_rows(sweep, CurveRow) == before
    assert verify_sweep(sweep).problems == []


def test_a_damaged_leftover_is_no_obstacle(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("killed")
    before = read_rows(sweep, CurveRow)
    fold_while_it_runs(sweep, CurveRow, replaced_stay=True)
    folder = Path(sweep.files.location("small/curves"))
    leftover = folder / "part-000001-00000001.parquet"
    damage(leftover, "flip")
    found = verify_sweep(sweep)
    assert found.problems == []
    assert any(leftover.name in note and "damaged" in note for note in found.notes)
    damage(folder / "_manifest-000001.json", "cut")
    mend_sweep(sweep, patience=0)
    assert not leftover.exists()
    assert list((folder.parent / ".damaged").rglob(leftover.name))
    assert read_rows(sweep, CurveRow) == before
    assert verify_sweep(sweep).problems == []


def test_of_equally_new_rows_the_one_that_counted_still_counts(store_uri: str) -> None:
    sweep = open_store(store_uri, create=True).sweep("s")
    for lr in (0.5, 0.25):  # the same epoch of the same attempt: the one written last counts
        second = put_part(sweep, [make_row(CurveRow, lr=lr)])
    with claim(sweep) as lease:
        fold_table(sweep, CurveRow, lease)
    sweep.files.delete(second)  # as if deleting what was replaced had been cut off
    last = put_part(sweep, [make_row(CurveRow, epoch=2)])
    sweep.files.write(last, sweep.files.read(last)[:-1])
    assert f"{last}: moved to .damaged" in mend_sweep(sweep, patience=0).done
    assert [row.lr for row in read_rows(sweep, CurveRow)] == [0.25]
    assert not sweep.files.exists(last)


def test_a_lost_spec_is_recorded_again_by_run(plan: Plan, copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    before = results(sweep)
    damage(sorted(Path(sweep.files.location("small/sweeps")).glob("compact*"))[0], "flip")
    mend_sweep(sweep, patience=0)
    (problem,) = verify_sweep(sweep).problems
    assert "bocb run with the spec" in problem.mend
    run_here(plan, Path(sweep.files.location()))
    assert verify_sweep(sweep).problems == []
    assert results(sweep) == before


def test_a_running_sweep_is_verified_and_not_mended(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    path = Path(sweep.files.location("small/drivers/000004.json"))
    with claim(sweep) as lease:
        lease.beat()
        damage(sorted(Path(sweep.files.location("small/curves")).glob("part*"))[0], "flip")
        assert verify_sweep(sweep).problems
        with pytest.raises(BusyError):
            mend_sweep(sweep, patience=0)
        damage(path, "flip")
        lease.start_heartbeat(0.05)
        with pytest.raises(BusyError, match="heartbeat has just been written"):
            mend_sweep(sweep, patience=20)


def changed(row: Any, **values: Any) -> Any:
    return replace(row, driver_epoch=3, **values)


CONTRADICTIONS: dict[str, tuple[type[Any], dict[str, Any], str]] = {
    "score": (TrialRow, {"val_top1_final": 0.123}, "its final accuracy is not that of its curve"),
    "best": (TrialRow, {"val_top1_best": 0.999}, "its best or median accuracy"),
    "epochs": (TrialRow, {"epochs_done": 2, "epochs_planned": 5}, "it is COMPLETE with 2 epochs done, 5 planned"),
    "more epochs": (TrialRow, {"epochs_done": 9}, "its curve lacks epochs 4, 5, 6, 7, 8, ..."),
    "attempt": (TrialRow, {"attempt": 7}, "the end of its last attempt is not recorded"),
    "outcome": (AttemptRow, {"outcome": "FAIL"}, "attempt 1 is recorded as FAIL, its trial as COMPLETE"),
    "running": (AttemptRow, {"outcome": "RUNNING"}, "the end of its last attempt is not recorded"),
    "later attempt": (AttemptRow, {"attempt": 2}, "its row is of an earlier attempt than its last"),
    "plan": (TrialRow, {"trial_id": "synthetic_a.digits.sgd.default-s9"}, "is not of the plan"),
    "cell": (TrialRow, {"optimizer": "lion"}, "is not of the plan"),
    "spec": (SweepRow, {"spec_sha256": "0"}, "the recorded spec does not match its SHA-256"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_rows_that_contradict_each_other_are_named(copy: Callable[[str], SweepStore], case: str) -> None:
    row_type, values, sentence = CONTRADICTIONS[case]
    sweep = copy("complete")
    row = read_rows(sweep, row_type)[0]
    put_part(sweep, [changed(row, **values)])
    problems = [problem.problem for problem in verify_sweep(sweep).problems]
    assert any(sentence in problem for problem in problems), problems


def test_files_in_the_wrong_place_are_named(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    folder = Path(sweep.files.location("small"))
    part = sorted((folder / "curves").glob("part*"))[0]
    other = put_part(
        open_store(str(folder.parent / "x"), create=True).sweep("other"), [make_row(CurveRow, sweep="other")]
    )
    wrong = {
        part.with_name("part-000004-00000001.parquet"): (
            part.read_bytes(), "its name says driver 4, its rows driver [3]",
        ),
        part.with_name("part-000005-00000001.parquet"): (
            (folder.parent / "x" / other).read_bytes(), "of sweep 'other'",
        ),
        part.with_name("part-000006-00000001.parquet"): (
            sorted((folder / "trials").glob("part*"))[0].read_bytes(), "it says that it is of table 'trials'",
        ),
    }  # fmt: skip
    for path, (data, _) in wrong.items():
        path.write_bytes(data)
    problems = {problem.file: problem.problem for problem in verify_sweep(sweep).problems}
    for path, (_, sentence) in wrong.items():
        assert sentence in problems[f"small/curves/{path.name}"]


def test_a_key_that_is_in_compacted_files_twice_is_named_and_mended(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    folder = Path(sweep.files.location("small/curves"))
    before = curves(sweep)
    manifest = Manifest.from_json(1, (folder / "_manifest-000001.json").read_bytes())
    shutil.copy(folder / manifest.files[0], folder / "compact-000001-001.parquet")
    twice = Manifest(generation=1, files=(*manifest.files, "compact-000001-001.parquet"), folded=manifest.folded)
    (folder / "_manifest-000001.json").write_bytes(twice.to_json())
    assert any("more than once" in problem.problem for problem in verify_sweep(sweep).problems)
    mend_sweep(sweep, patience=0)
    assert verify_sweep(sweep).problems == []
    assert curves(sweep) == before


def test_columns_that_are_not_the_schemas_are_named(tmp_path: Path) -> None:
    sweep = open_store(str(tmp_path), create=True).sweep("s")
    name = put_part(sweep, [make_row(CurveRow)])
    whole = pq.read_table(tmp_path / name)
    wrong = {
        "missing ['lr']": whole.drop_columns("lr"),
        "unknown ['more']": whole.append_column("more", pa.array([1])),
        "column lr is double": whole.set_column(
            whole.schema.get_field_index("lr"), pa.field("lr", pa.float64(), nullable=False), pa.array([0.5])
        ),
        "another order": whole.select([*whole.column_names[1:], whole.column_names[0]]),
    }
    for sentence, table in wrong.items():
        with (tmp_path / name).open("wb") as file, sealed_writer(file, table.schema) as writer:
            writer.write_table(table)
        with pytest.raises(DamagedFileError) as error:
            list(rows_of_file(sweep, CurveRow, name.rpartition("/")[2]))
        assert sentence in str(error.value)


def test_nan_null_infinity_and_times_are_the_same_for_both_readers(tmp_path: Path) -> None:
    sweep = open_store(str(tmp_path), create=True).sweep("s")
    values = [math.nan, None, math.inf, -math.inf, -0.0, 1e-45]
    put_part(sweep, [make_row(CurveRow, trial_id=f"t{i}", train_loss=v) for i, v in enumerate(values)])
    put_part(
        sweep, [make_row(AttemptRow, trial_id=f"t{i}", ended_at=None, pid=v) for i, v in enumerate([None, 2**62])]
    )
    for row_type, count in ((CurveRow, 6), (AttemptRow, 2)):
        groups = rows_of_file(sweep, row_type, "part-000001-00000001.parquet")
        assert sum(rows.num_rows for rows in groups) == count


def test_planned_ids_are_those_of_the_plan(plan: Plan, stores: dict[str, Path]) -> None:
    (version,) = read_rows(open_store(str(stores["complete"])).sweep("small"), SweepRow)
    ids = PlannedIds.of(version)
    for cell in plan.cells:
        names = (cell.backbone.name, cell.recipe.name, cell.optimizer.name)
        for trial in default_trials(plan, cell) + design_trials(plan, cell):
            assert ids.has(trial.trial_id, *names)
            assert not ids.has(trial.trial_id + "0", *names) or trial.trial_id.endswith("-s0")
        for role in ("default-s1", "design-002-s0", "tune-001", "confirm-tune-000-s1", "confirm-default-s0", "x", ""):
            assert not ids.has(f"{cell.key}.{role}", *names)
    assert not ids.has("synthetic_b.digits.sgd.default-s0", "synthetic_b", "digits", "sgd")


def test_what_is_said_as_json_can_be_written(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    damage(sorted(Path(sweep.files.location("small/curves")).glob("compact*"))[0], "flip")
    health = verify_sweeps(open_store(sweep.files.root), None, mend=False)
    said = json.loads(json.dumps(health.as_json()))
    assert (said["ok"], said["refused"], said["mended"]) == (False, {}, {"small": []})
    assert {problem["sweep"] for problem in said["problems"]} == {"small"}
    assert said["rows"] > 15


def test_a_sweep_that_runs_keeps_no_other_from_being_mended(copy: Callable[[str], SweepStore]) -> None:
    sweep = copy("complete")
    store = open_store(sweep.files.root)
    put_part(store.sweep("a"), [make_row(CurveRow, sweep="a", trial_id="t")])
    put_part(store.sweep("a"), [make_row(CurveRow, sweep="a", trial_id="u")])
    for damaged in (sweep, store.sweep("a")):
        damage(sorted(Path(damaged.files.location(damaged.paths.table(CurveRow))).glob("*-0*1*.parquet"))[0], "flip")
    with claim(store.sweep("a")) as lease:
        lease.beat()
        health = verify_sweeps(store, None, mend=True)
    assert list(health.refused) == ["a"]
    assert health.as_json()["mended"]["small"] == health.sweeps["small"].done != []
    assert health.sweeps["small"].found.problems == []
    assert not health.ok
    with pytest.raises(BusyError, match="sweep 'a' is being run"):
        health.raise_refusals()


def test_a_table_with_files_of_a_newer_version_is_left_as_it_is(
    copy: Callable[[str], SweepStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = copy("complete")
    folder = Path(sweep.files.location("small"))
    with monkeypatch.context() as newer:
        newer.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)
        put_part(sweep, [changed(read_rows(sweep, CurveRow)[0])])
    damage(sorted((folder / "trials").glob("part*"))[0], "flip")
    found = verify_sweep(sweep)
    assert any("newer bocb" in problem.problem for problem in found.problems)
    assert not any(problem.trial_id for problem in found.problems), "its rows are there, only not for us"
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    with pytest.raises(StoreError, match="files of a newer bocb"):
        mend_sweep(sweep, patience=0)
    assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before


def test_a_database_without_room_is_an_error_of_ours(
    copy: Callable[[str], SweepStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = copy("complete")
    monkeypatch.setattr(verification, "MEMORY_LIMIT", "10KB")
    for look in (verify_sweep, mend_sweep):
        with pytest.raises(StoreError, match=r"cannot (verify|mend) sweep 'small': .*memory"):
            look(sweep)


class FoldingFiles(LocalFiles):
    """A store in which a driver writes a part and folds the table whenever a file of it is read."""

    def __init__(self, root: str, lease: Lease) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()
        self._lease = lease

    def read(self, name: str) -> bytes:
        if "/curves/" in name and name.endswith(".parquet"):
            self.reads[name] += 1
            if len(self.reads) <= 40:
                sweep = open_store(self.root).sweep("s")
                epoch = table_files(sweep, CurveRow).last_sequence(self._lease.driver_epoch) + 1
                put_part(sweep, [make_row(CurveRow, epoch=epoch)])
                fold_table(sweep, CurveRow, self._lease)
        return super().read(name)


def test_files_that_are_folded_all_the_time_are_each_read_once(tmp_path: Path) -> None:
    sweep = open_store(str(tmp_path), create=True).sweep("s")
    for epoch in range(101, 104):
        put_part(sweep, [make_row(CurveRow, epoch=epoch)])
    with claim(sweep) as lease:
        files = FoldingFiles(str(tmp_path), lease)
        found = verify_sweep(SweepStore(paths=sweep.paths, files=files))
    assert found.problems == []
    assert len(files.reads) > 10
    assert set(files.reads.values()) == {1}


def test_long_texts_are_checked_and_not_kept(tmp_path: Path) -> None:
    sweep = open_store(str(tmp_path), create=True).sweep("s")
    put_part(sweep, [make_row(AttemptRow, log="x" * 10**6, traceback="y")])
    with verification.rows_database(sweep, "cannot look") as connection:
        verification.Verification(sweep, connection).check()
        columns = connection.execute("SELECT column_name FROM (DESCRIBE all_attempts)").fetchall()
    assert ("outcome",) in columns
    assert not {("log",), ("traceback",)} & set(columns)
