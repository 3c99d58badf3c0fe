"""Results from elsewhere: what a file may look like, every reason to refuse one, and the sweep that it becomes."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import StoreError, UsageError
from orchestrator.importing.imported_sweep import import_sweep
from orchestrator.importing.results import ImportedResults, ImportOptions, parse_results
from orchestrator.store.lease import claim
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import ROW_TYPES, Row, SweepRow, TrialRow
from orchestrator.store.store import Store, open_store
from orchestrator.store.writer import TableWriter
from orchestrator.upkeep.verification import verify_sweep
from search_spaces.optimizers import OPTIMIZER_LISTS
from search_spaces.paper_names import PAPER20
from tests.command_line import Call
from tests.planned_sweeps import spec_tables

PAPER = Path(__file__).parent / "fixtures" / "paper" / "table1_cifar100_top1.csv"
SMALL = "backbone,optimizer,top1\nR-50,SGD-M,0.5\nR-50,AdamW,0.25\n"


def parse(text: str | bytes, **options: Any) -> ImportedResults:
    data = text if isinstance(text, bytes) else text.encode()
    return parse_results(data, "results.csv", ImportOptions(**options))


def scores(results: ImportedResults) -> list[float | None]:
    return [result.score for result in results.results]


def test_the_papers_table_gets_the_catalogues_names() -> None:
    results = parse(PAPER.read_bytes(), percent=True)
    assert (len(results.results), len(results.cells)) == (400, 400)
    assert tuple(dict.fromkeys(cell[0] for cell in results.cells)) == PAPER20
    assert tuple(dict.fromkeys(cell[2] for cell in results.cells)) == OPTIMIZER_LISTS["paper20"]
    with PAPER.open(newline="") as file:
        printed = [row["top1"] for row in csv.DictReader(file)]
    # To the last digit: a percentage is divided as a decimal number.
    assert scores(results) == [float(f"{text.replace('.', ''):0>4}") / 10**4 for text in printed]
    assert results.remarks == ("not used in results.csv: optimizer_category, highlight",)


@pytest.mark.parametrize(
    "text",
    [
        SMALL.encode("utf-8-sig"),
        SMALL.encode("utf-16"),
        SMALL.replace("\n", "\r\n").encode(),
        SMALL.replace("\n", "\r").encode(),
        SMALL.replace("\n", "\n\n , ,\n").encode(),
        SMALL.replace(",", ";").replace(".", ",").encode(),
        SMALL.replace(",", "\t").encode(),
        SMALL.replace(",", " , ").replace("top1", " Top1 ").encode(),
        b'"backbone","optimizer","top1"\n"R-50", "SGD-M","0.5"\n"R-50","AdamW",0.25,,\n',
        b"top1,note,optimizer,backbone\n.5,x,sgd,RESNET50\n2.5e-1,,AdamW,resnet50",
    ],
    ids=["bom", "utf-16", "crlf", "cr", "empty lines", "semicolons", "tabs", "spaces", "quotes", "order"],
)
def test_a_table_says_the_same_however_it_is_written(text: bytes) -> None:
    assert parse(text).digest() == parse(SMALL).digest()
    assert [result.optimizer for result in parse(text).results] == ["sgd", "adamw"]


def test_unknown_names_stay_as_they_are_and_are_told() -> None:
    results = parse("backbone,optimizer,top1\nMein Netz é,SGD w/ momentum,0.5\nr-50,lion,0.5\n")
    assert results.cells == (("Mein Netz é", "unknown", "SGD w/ momentum"), ("resnet50", "unknown", "lion"))
    assert any("SGD w/ momentum" in remark for remark in results.remarks)
    assert any("Mein Netz é" in remark for remark in results.remarks)


def test_percent_is_doubted_where_every_accuracy_would_be_tiny_and_not_where_there_is_none() -> None:
    fractions = parse("backbone,optimizer,top1\na,x,0.71\na,y,0.7\n", percent=True)
    assert any("leave --percent out" in remark for remark in fractions.remarks)
    diverged = parse("backbone,optimizer,top1,state\na,x,,DIVERGED\n", percent=True, classes=100)
    assert not any("percent" in remark for remark in diverged.remarks)


def test_results_without_seeds_are_replicates_in_order_and_with_seeds_by_seed() -> None:
    plain = parse("backbone,optimizer,top1\na,x,0.1\nb,x,0.2\na,x,0.3\n")
    assert [(r.replicate, r.seed) for r in plain.results] == [(0, None), (0, None), (1, None)]
    # A replicate is the same seed in every cell, also where a cell lacks one.
    seeded = parse("backbone,optimizer,top1,seed\na,x,0.1,7\nb,x,0.2,-3\na,x,0.3,-3\nb,x,0.3,11\n")
    assert [(r.replicate, r.seed) for r in seeded.results] == [(1, 7), (0, -3), (0, -3), (2, 11)]


@pytest.mark.parametrize("value", ["", "nan", "NaN", "inf", "-Infinity", "n/a", "-"])
def test_a_missing_value_is_a_failed_result(value: str) -> None:
    missing = parse(f"backbone,optimizer,top1\na,x,{value}\na,y,0.5\n").results[0]
    assert (missing.state, missing.score, missing.reason) == ("FAIL", None, "no value in results.csv line 2")


def test_states() -> None:
    text = "backbone,optimizer,top1,state\na,x,,diverged\na,y,0.9,DIVERGED\na,z,,FAIL\na,w,0.5,\n"
    results = parse(text, classes=4).results
    assert [(r.state, r.score) for r in results] == [
        ("DIVERGED", 0.25),
        ("DIVERGED", 0.25),
        ("FAIL", None),
        ("COMPLETE", 0.5),
    ]
    assert results[0].reason == "diverged, says results.csv line 2"


HEAD = "backbone,optimizer,top1\n"
REFUSALS: list[tuple[str | bytes, dict[str, Any], str]] = [
    (b"", {}, "is empty"),
    (" \n,,\n", {}, "is empty"),
    (HEAD, {}, "has no results"),
    ("backbone,optimiser,accuracy\na,x,0.5\n", {}, "has no column optimizer and no column top1; its first line must"),
    ("backbone,optimizer,top1,Top1\na,x,0.5,0.5\n", {}, "has the column 'top1' twice"),
    (HEAD + "a,x\n", {}, "line 2 has 2 fields and the first line 3 columns"),
    (HEAD + "a,x,0.5,0.6\n", {}, "line 2 has 4 fields"),
    (HEAD + 'a,"x,0.5\n', {}, "is not CSV"),
    (HEAD.encode() + b"a\xe9,x,0.5\n", {}, "is not UTF-8 text (line 2)"),
    (HEAD + "a\0,x,0.5\n", {}, "is not a CSV file"),
    (HEAD + ",x,0.5\n", {}, "line 2: backbone is empty"),
    (HEAD + "a,,0.5\n", {}, "line 2: optimizer is empty"),
    (HEAD + f"{'a' * 101},x,0.5\n", {}, "at most 100 printable characters"),
    (HEAD + "a,x\u200b\u202e,0.5\n", {}, "at most 100 printable characters"),
    (HEAD + '"a\nb",x,0.5\n', {}, "line 3: backbone 'a\\nb' is not accepted"),
    (HEAD + "../a,x,0.5\n", {}, "looks like a path"),
    (HEAD + "a,/etc/passwd,0.5\n", {}, "looks like a path"),
    (HEAD + "a,b/../c,0.5\n", {}, "looks like a path"),
    (HEAD + "a,x,0.5\na,y,66.76\n", {}, "line 3: top1 66.76 is above 1; give --percent"),
    (HEAD + "a,x,100.5\n", {"percent": True}, "line 2: top1 100.5 is not an accuracy; 0 to 100 is accepted"),
    (HEAD + "a,x,101\n", {}, "is not an accuracy; 0 to 1, or with --percent 0 to 100"),
    (HEAD + "a,x,-0.1\n", {}, "top1 -0.1 is not an accuracy"),
    (HEAD + "a,x,1e999999999999999999999\n", {}, "is not a number"),
    (HEAD + "a,x,1_0\n", {"percent": True}, "is not a number"),
    (HEAD + "a,x,\u0661\n", {}, "is not a number"),
    (HEAD + "a,x,66.7%\n", {}, "has a percent sign; write the number alone and give --percent"),
    (HEAD + "a,x,66.7 ± 0.3\n", {}, "is not a number"),
    ("backbone,optimizer,top1,seed\na,x,0.5,1\nb,x,0.5,1\na,x,0.6,1\n", {}, "seed 1 in line 2 and again in line 4"),
    (
        "backbone,optimizer,top1,seed\nR-50,x,0.5,1\nresnet50,x,0.6,01\n",
        {},
        "resnet50 with x and seed 1 in line 2 and again in line 3",
    ),
    ("backbone,optimizer,top1,seed\na,x,0.5,\n", {}, "line 2: seed '' is not accepted"),
    ("backbone,optimizer,top1,seed\na,x,0.5,1.5\n", {}, "seed '1.5' is not accepted"),
    (f"backbone,optimizer,top1,seed\na,x,0.5,{2**63}\n", {}, "give an integer below 2**63"),
    ("backbone,optimizer,top1,state\na,x,0.5,RUNNING\n", {}, "state 'RUNNING' is not accepted"),
    ("backbone,optimizer,top1,state\na,x,,DIVERGED\n", {}, "give --classes N"),
    ("backbone,optimizer,top1,state\na,x,0.5,FAIL\n", {}, "state FAIL means that there is no result"),
    (
        "backbone,optimizer,top1,dataset\na,x,0.5,cifar100\na,y,0.5,digits\n",
        {},
        "results on cifar100 (line 2) and on digits (line 3)",
    ),
    (HEAD + "a,x,0.5\n", {"recipe": "~/recipe"}, "--recipe '~/recipe' looks like a path"),
]


@pytest.mark.parametrize(("text", "options", "sentence"), REFUSALS, ids=[case[2][:45] for case in REFUSALS])
def test_a_wrong_file_gets_one_sentence(text: str | bytes, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, **options)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def parsed_or_refused(data: bytes, **options: Any) -> ImportedResults | None:
    """The results, or None where they are refused in one sentence."""
    sentence = ""
    try:
        return parse(data, **options)
    except UsageError as error:
        sentence = str(error)
    assert sentence
    assert "\n" not in sentence
    return None


NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.one_of(st.floats(-0.5, 1.5).map(repr), st.floats().map(str), st.text(max_size=8))
ROWS = st.lists(st.tuples(NAMES, NAMES, VALUES, st.sampled_from(["", "1", "2", "x"])), max_size=6)


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, delimiter=st.sampled_from(",;\t"), columns=st.sampled_from([3, 4]), percent=st.booleans())
def test_any_table_is_refused_in_one_sentence_or_read_whole(
    rows: list[tuple[str, ...]], delimiter: str, columns: int, percent: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([("backbone", "optimizer", "top1", "seed")[:columns], *(row[:columns] for row in rows)])
    results = parsed_or_refused(text.getvalue().encode(), percent=percent)
    if results is None:
        return
    wanted = [row for row in rows if any(field.strip() for field in row[:columns])]
    assert len(results.results) == len(wanted)
    assert len({(r.backbone, r.optimizer, r.replicate) for r in results.results}) == len(wanted)
    for result, row in zip(results.results, wanted, strict=True):
        if result.state == "COMPLETE":
            assert result.score is not None
            assert 0 <= result.score <= 1
            given_value = float(row[2].replace(",", "."))
            assert math.isclose(result.score, given_value / (100 if percent else 1), rel_tol=1e-15)
        else:
            assert (result.state, result.score) == ("FAIL", None)


@settings(max_examples=80, deadline=None)
@given(data=st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda tail: HEAD.encode() + tail)))
def test_any_bytes_are_refused_in_one_sentence_or_read(data: bytes) -> None:
    results = parsed_or_refused(data)
    assert results is None or results.results


def test_a_round_trip_through_the_store(store_uri: str) -> None:
    text = "backbone,optimizer,top1,seed,state\nR-50,SGD-M,0.5,3,\nR-50,AdamW,,3,\nR-50,LION,,4,DIVERGED\n"
    store, results = Store(store_uri), parse(text, classes=10, dataset="cifar10", recipe="paper")
    assert import_sweep(store, "mine", results).is_new
    sweep = store.sweep("mine")
    rows = {row.optimizer: row for row in read_rows(sweep, TrialRow)}
    assert {name: (row.state, row.score, row.seed, row.replicate) for name, row in rows.items()} == {
        "sgd": ("COMPLETE", 0.5, 3, 0),
        "adamw": ("FAIL", None, 3, 0),
        "lion": ("DIVERGED", 0.1, 4, 1),
    }
    row = rows["sgd"]
    assert (row.role, row.hp_source, row.hp, row.epochs_done, row.attempt) == ("imported", "imported", "{}", 0, 0)
    assert (row.backbone, row.recipe, row.dataset, row.classes) == ("resnet50", "paper", "cifar10", 10)
    assert row.val_top1_final is row.test_top1 is row.hp_lr is row.device is row.train_seconds is None
    (version,) = read_rows(sweep, SweepRow)
    assert (version.trials_planned, len(json.loads(version.cells))) == (3, 3)
    assert verify_sweep(sweep).problems == []
    assert not import_sweep(store, "mine", results).is_new
    assert len(read_rows(sweep, TrialRow)) == 3


def test_an_import_that_is_cut_off_leaves_nothing_and_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, results = Store(str(tmp_path / "store")), parse(SMALL)
    sweep = store.sweep("mine")
    written = sweep.files.create

    def create(name: str, data: bytes) -> None:
        if "/trials/" in name:
            raise StoreError("the process is gone")
        written(name, data)

    with monkeypatch.context() as patched:
        patched.setattr(store.files, "create", create)
        with pytest.raises(StoreError, match="the process is gone"):
            import_sweep(store, "mine", results)
    assert read_rows(sweep, TrialRow) == []
    with pytest.raises(UsageError, match="with other results"):
        import_sweep(store, "mine", parse(SMALL.replace("0.25", "0.3")))
    assert import_sweep(store, "mine", results).is_new
    assert len(read_rows(sweep, TrialRow)) == 2


def test_all_trials_are_one_file_however_slowly_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = TableWriter.add

    def slow(writer: TableWriter, row: Row) -> int:
        time.sleep(0.02)
        return add(writer, row)

    monkeypatch.setattr(TableWriter, "add", slow)
    monkeypatch.setattr("orchestrator.store.local_files.LocalFiles.flush_seconds", 0.02)
    table = "".join(f"a,{number},0.5\n" for number in range(20))
    import_sweep(Store(str(tmp_path)), "mine", parse(HEAD + table))
    assert [pq.read_metadata(path).num_rows for path in tmp_path.glob("mine/trials/*.parquet")] == [20]


def test_an_import_waits_for_nobody(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    with claim(store.sweep("mine")) as lease, TableWriter(store.sweep("mine"), lease):
        lease.beat()
        with pytest.raises(Exception, match="is being run by process"):
            import_sweep(store, "mine", parse(SMALL))


@pytest.fixture
def imported(call: Call, tmp_path: Path) -> Path:
    """A folder with the paper's table as the sweep `paper`."""
    (tmp_path / "table1_cifar100_top1.csv").write_bytes(PAPER.read_bytes())
    answer = call("import", "table1_cifar100_top1.csv", "--sweep", "paper", "--percent", "--json")
    assert answer.code == 0
    said = json.loads(answer.out)
    assert (said["trials"], said["cells"], said["states"], said["is_new"]) == (400, 400, {"COMPLETE": 400}, True)
    assert answer.err == "bocb: not used in table1_cifar100_top1.csv: optimizer_category, highlight\n"
    return tmp_path


def test_an_imported_sweep_is_read_like_any_other(call: Call, imported: Path) -> None:
    status = json.loads(call("status", "paper", "--json").out)
    assert (status["planned"], status["states"], status["running"]) == (400, {"COMPLETE": 400}, 0)
    assert status["imported_from"] == "table1_cifar100_top1.csv"
    assert call("status", "paper").out.splitlines()[-1] == (
        "paper: 400 of 400 results (400 COMPLETE), from table1_cifar100_top1.csv"
    )
    assert json.loads(call("verify", "paper", "--json").out)["ok"]
    sql = "SELECT imported_mean, n_imported FROM cells WHERE backbone = 'resnet50' AND optimizer = 'sgd'"
    assert json.loads(call("query", sql, "--json").out) == [{"imported_mean": 0.7876, "n_imported": 1}]
    counts = [
        json.loads(call("query", f"SELECT count(*) AS n FROM {row_type.TABLE}", "--json").out)[0]["n"]
        for row_type in ROW_TYPES
    ]
    found = dict(zip([row_type.TABLE for row_type in ROW_TYPES], counts, strict=True))
    assert {table: count for table, count in found.items() if count} == {"sweeps": 1, "trials": 400}
    assert call("compact").code == 0


def test_the_page_of_an_imported_sweep(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(SMALL + "<b>x</b>,AdamW,0.3\n<b>x</b>,LION,\n")
    assert call("import", "mine.csv", "--sweep", "mine").code == 0
    assert call("report", "mine", "-o", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "imported from mine.csv" in page
    assert "<b>x</b>" not in page
    assert "Results were imported with:" in page
    assert "1 trial failed and gave no result: they are missing in what was imported" in page
    assert "how they were tuned, trained and scored is not recorded" in page
    assert "not confirmed with fresh seeds yet" not in page
    assert "bocb resume" not in page, "nothing of it can be run again"


def test_nothing_of_an_imported_sweep_runs(call: Call, imported: Path) -> None:
    before = set(imported.rglob("*"))
    trial = "resnet50.unknown.sgd.imported-s0"
    (imported / "spec.json").write_text(json.dumps(spec_tables(sweep={"name": "paper"})))
    sentence = "sweep paper was imported from table1_cifar100_top1.csv, so there is no spec"
    for command in (
        ["resume", "paper"],
        ["resume", "paper", "--dry-run", "--retry", "all"],
        ["run", "spec.json"],
        ["reproduce", trial],
    ):
        answer = call(*command)
        assert (answer.code, answer.err.count("\n")) == (2, 1), command
        assert sentence in answer.err, command
    answer = call("logs", trial)
    assert (answer.code, "it was imported" in answer.err) == (2, True)
    assert "is not running" in call("stop", "paper").err
    assert set(imported.rglob("*")) - before == {imported / "spec.json"}


def test_a_second_import_changes_nothing_and_another_file_is_refused(call: Call, imported: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in imported.rglob("*")}
    again = call("import", "table1_cifar100_top1.csv", "--sweep", "paper", "--percent")
    assert (again.code, "all there already; nothing to do" in again.out) == (0, True)
    (imported / "other.csv").write_text(SMALL)
    other = call("import", "other.csv", "--sweep", "paper")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "choose another name with --sweep" in other.err
    assert {path: path.stat().st_mtime_ns for path in before} | before == before


def test_lost_rows_come_back_from_the_file(call: Call, imported: Path) -> None:
    (part,) = (imported / "bocb-store" / "paper" / "trials").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-100])
    assert call("verify", "paper").code == 5
    call("verify", "paper", "--mend")
    assert call("import", "table1_cifar100_top1.csv", "--sweep", "paper", "--percent").code == 0
    assert json.loads(call("status", "paper", "--json").out)["states"] == {"COMPLETE": 400}
    assert call("verify", "paper").code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.csv", "--sweep", "s"], "there is no file none.csv"),
        ([".", "--sweep", "s"], "cannot be read: Is a directory"),
        (["wrong.csv", "--sweep", "s"], "wrong.csv line 3: top1 2 is above 1; give --percent"),
        (["wrong.csv", "--sweep", "../s"], "cannot name a sweep"),
        (["wrong.csv"], "Missing option '--sweep'"),
        (["/dev/zero", "--sweep", "s"], "/dev/zero is larger than 64 MiB"),
        (["wrong.csv", "--sweep", "s", "--classes", "1"], "--classes"),
    ],
    ids=" ".join,
)
def test_a_refused_import_leaves_no_store(call: Call, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "wrong.csv").write_text(HEAD + "a,x,0.5\na,y,2\n")
    answer = call("import", *arguments)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert sentence in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.csv"]
