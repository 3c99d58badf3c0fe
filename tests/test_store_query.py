import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestrator.errors import QueryError, StoreError
from orchestrator.store import compacted_files, query
from orchestrator.store.compaction import compact
from orchestrator.store.connection import open_duckdb
from orchestrator.store.drivers import now_with_zone
from orchestrator.store.lease import claim
from orchestrator.store.query import BATCH_ROWS, VIEWS, read, run_query
from orchestrator.store.schema import ROW_TYPES, WRITE_ORDER, AttemptRow, CurveRow, SweepRow, TrialRow, arrow_schema
from orchestrator.store.store import open_store
from orchestrator.terminal.query_formats import TABLE_ROWS, write_result
from tests.store_examples import NOON, damage_column, later, make_row, put_part


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return open_store(str(tmp_path / "st'o*r[e]=1"), create=True)


def ask(store, sql):
    with run_query(store, sql) as result:
        return result.table().to_pylist()


def everything_below(folder):
    return sorted(str(path) for path in Path(folder).rglob("*"))


def trial(**values):
    return make_row(TrialRow, backbone="b", recipe="r", optimizer="o", **{"state": "COMPLETE"} | values)


@pytest.mark.parametrize("name", VIEWS)
def test_an_empty_store_has_every_view_with_its_columns(store, name):
    with run_query(store, f"SELECT * FROM {name}") as result:
        assert result.rows == 0
        columns = {row_type.TABLE: arrow_schema(row_type).names for row_type in ROW_TYPES}
        assert result.schema.names == columns.get(name, result.schema.names)


def test_a_store_that_does_not_exist_is_empty_and_stays_away(tmp_path):
    store = open_store(str(tmp_path / "none"))
    assert ask(store, "SELECT count(*) AS n FROM trials") == [{"n": 0}]
    assert not (tmp_path / "none").exists()


def test_views_span_sweeps_compacted_or_not(store):
    for name in ("compacted", "both", "tail"):
        sweep = store.sweep(name)
        for epoch in (1, 2):
            put_part(sweep, [make_row(CurveRow, sweep=name, epoch=epoch, val_top1=0.25)])
        with claim(sweep) as lease:
            if name != "tail":
                compact(sweep, lease)
        if name != "compacted":
            put_part(sweep, [make_row(CurveRow, sweep=name, epoch=2, driver_epoch=2, val_top1=0.75)])
    assert ask(store, "SELECT sweep, count(*) AS n, sum(val_top1) AS s FROM curves GROUP BY ALL ORDER BY sweep") == [
        {"sweep": "both", "n": 2, "s": 1.0},
        {"sweep": "compacted", "n": 2, "s": 0.5},
        {"sweep": "tail", "n": 2, "s": 1.0},
    ]


def test_an_attempt_without_an_end_is_lost_unless_its_driver_lives(store):
    lost, running = store.sweep("lost"), store.sweep("running")
    with claim(lost):
        put_part(lost, [make_row(AttemptRow, sweep="lost", outcome="RUNNING")])
    claim(running, now=lambda: now_with_zone() - timedelta(hours=1))
    claim(running)
    for epoch in (1, 2):
        row = make_row(AttemptRow, sweep="running", attempt=epoch, driver_epoch=epoch, outcome="RUNNING")
        put_part(running, [row])
    put_part(running, [make_row(AttemptRow, sweep="running", attempt=1, trial_id="t", outcome="FAIL", ended_at=NOON)])
    rows = ask(store, "SELECT sweep, attempt, outcome FROM attempts ORDER BY sweep, attempt, trial_id")
    assert [tuple(row.values()) for row in rows] == [
        ("lost", 1, "LOST"),
        ("running", 1, "FAIL"),
        ("running", 1, "LOST"),
        ("running", 2, "RUNNING"),
    ]


def test_a_damaged_heartbeat_stands_in_no_query_s_way(store):
    torn, running = store.sweep("torn"), store.sweep("running")
    for sweep in (torn, running):
        with claim(sweep) as lease:
            lease.beat()
        claim(sweep).beat()
        put_part(sweep, [make_row(AttemptRow, sweep=sweep.name, driver_epoch=2, outcome="RUNNING")])
    torn.files.write(torn.paths.beat(2), torn.files.read(torn.paths.beat(2))[:-5])
    rows = ask(store, "SELECT sweep, outcome FROM attempts ORDER BY sweep")
    assert [tuple(row.values()) for row in rows] == [("running", "RUNNING"), ("torn", "LOST")]


def test_a_heartbeat_that_cannot_be_reached_is_an_error_and_no_lost_attempt(store, monkeypatch):
    sweep, read_file = store.sweep("s"), store.files.read
    claim(sweep).beat()

    def refuse(name):
        if name == sweep.paths.beat(1):
            raise TimeoutError("no answer")
        return read_file(name)

    monkeypatch.setattr(store.files, "read", refuse)
    with pytest.raises(StoreError, match="no answer"):
        ask(store, "SELECT * FROM attempts")


@pytest.fixture
def answers(store):
    """A cell with every state and role, and one where nothing was COMPLETE."""
    sweep = store.sweep("s")
    put_part(
        sweep,
        [
            trial(
                trial_id="default-0", role="default", score=0.5, epochs_done=5, train_seconds=2.0, wall_seconds=3.0
            ),
            trial(trial_id="default-1", role="default", score=0.25, state="DIVERGED", reason="loss not finite"),
            trial(trial_id="design-1", role="design", number=1, score=0.75, hp_lr=0.1, hp='{"lr": 0.1}'),
            trial(trial_id="design-0", role="design", number=0, score=0.75, hp_lr=0.2, hp='{"lr": 0.2}'),
            trial(trial_id="tune-0", role="tune", score=None, state="PRUNED"),
            trial(trial_id="tune-1", role="tune", score=None, state="FAIL", reason="out of memory"),
            trial(trial_id="confirm-0", role="confirm", score=0.5),
            trial(trial_id="confirm-1", role="confirm", score=0.75),
            trial(trial_id="confirm-2", role="confirm", score=0.25, state="DIVERGED", reason="stuck at chance"),
        ],
    )
    put_part(sweep, [make_row(TrialRow, backbone="c", recipe="r", optimizer="o", state="DIVERGED", score=0.1)])
    put_part(
        sweep,
        [
            make_row(AttemptRow, trial_id="tune-1", attempt=1, outcome="ERROR", exception="OutOfMemoryError"),
            make_row(AttemptRow, trial_id="tune-1", attempt=2, outcome="FAIL", exception="ValueError", ended_at=NOON),
            make_row(AttemptRow, trial_id="tune-1", attempt=3, outcome="LOST", ended_at=NOON),
        ],
    )
    return store


def test_best_is_the_highest_complete_score_ties_to_the_lower_number(answers):
    (row,) = ask(answers, "SELECT * FROM best")
    assert (row["backbone"], row["trial_id"], row["role"], row["score"]) == ("b", "design-0", "design", 0.75)
    assert json.loads(row["hp"]) == {"lr": 0.2}


def test_cells_count_states_and_average_confirm_and_default_scores(answers):
    first, second = ask(answers, "SELECT * FROM cells")
    counts = [first[name] for name in ("complete", "diverged", "pruned", "failed", "n_confirm")]
    assert counts == [5, 2, 1, 1, 3]
    assert (first["confirm_mean"], first["confirm_sd"]) == (0.5, 0.25)
    assert (first["best_score"], first["default_mean"]) == (0.75, 0.375)
    assert (second["diverged"], second["best_score"], second["confirm_mean"]) == (1, None, None)


def test_failures_name_the_last_exception(answers):
    rows = {row["trial_id"]: row for row in ask(answers, "SELECT * FROM failures WHERE backbone = 'b'")}
    assert sorted(rows) == ["confirm-2", "default-1", "tune-1"]
    failed = rows["tune-1"]
    assert (failed["reason"], failed["attempts"], failed["exception"]) == ("out of memory", 3, "ValueError")
    assert rows["default-1"]["exception"] is None


def test_cost_adds_up_each_cell(answers):
    first, _ = ask(answers, "SELECT * FROM cost")
    assert (first["trials"], first["epochs"], first["train_seconds"]) == (9, 13, 2.0)


def test_lr_response_lists_design_trials_only(answers):
    rows = ask(answers, "SELECT trial_id, hp_lr, score FROM lr_response")
    assert [tuple(row.values()) for row in rows] == [("design-1", 0.1, 0.75), ("design-0", 0.2, 0.75)]


REFUSED = {
    "COPY trials TO '{store}/out.csv'": "COPY is not accepted",
    "WITH x AS (COPY (SELECT 1) TO '{store}/out.csv') SELECT * FROM x": "COPY within a SELECT",
    "SELECT (WITH x AS (COPY (SELECT 1) TO '{store}/out.csv') SELECT 1)": "COPY within a SELECT",
    "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{store}/out.csv') FROM x)": "COPY within a SELECT",
    "SELECT 1 UNION ALL (WITH x AS (COPY (SELECT 1) TO '{store}/o') SELECT 1 FROM x)": "COPY within a SELECT",
    "SELECT * FROM query('WITH x AS (COPY (SELECT 1) TO ''{store}/o'') FROM x')": "function 'query' is not accepted",
    'SELECT * FROM "main"."query"(\'SELECT 1\')': "'query' is not accepted",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))": "'json_execute_serialized_sql'",
    "WITH x AS (INSERT INTO trials VALUES (1) RETURNING 1) SELECT * FROM x": "INSERT within a SELECT",
    "WITH x AS (DELETE FROM trials RETURNING 1) SELECT * FROM x": "DELETE within a SELECT",
    "WITH x AS (UPDATE trials SET seed = 1 RETURNING 1) SELECT * FROM x": "UPDATE within a SELECT",
    "SELECT * FROM read_duckdb('{store}/x.db')": "'read_duckdb' is not accepted",
    "SELECT * FROM force_checkpoint()": "'force_checkpoint' is not accepted",
    "SELECT * FROM enable_logging()": "'enable_logging' is not accepted",
    "SELECT * FROM python_map_function()": "'python_map_function' is not accepted",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{store}/out.csv'": "EXPLAIN is not accepted",
    "EXPLAIN SELECT 1": "EXPLAIN is not accepted",
    "ATTACH '{store}/out.db'": "ATTACH is not accepted",
    "DETACH memory": "DETACH is not accepted",
    "SET threads = 1": "SET is not accepted",
    "RESET threads": "SET is not accepted",
    "PRAGMA threads = 1": "SET is not accepted",
    "PRAGMA database_list": "PRAGMA is not accepted",
    "INSTALL httpfs": "LOAD is not accepted",
    "LOAD httpfs": "LOAD is not accepted",
    "CALL pragma_version()": "CALL is not accepted",
    "CHECKPOINT": "CALL is not accepted",
    "EXPORT DATABASE '{store}/out'": "EXPORT is not accepted",
    "IMPORT DATABASE '{store}/out'": "not accepted",
    "CREATE TABLE x (a INT)": "CREATE is not accepted",
    "CREATE TABLE x AS SELECT 1": "CREATE is not accepted",
    "INSERT INTO trials VALUES (1)": "INSERT is not accepted",
    "UPDATE trials SET seed = 1": "UPDATE is not accepted",
    "DELETE FROM trials": "DELETE is not accepted",
    "DROP VIEW trials": "DROP is not accepted",
    "ALTER VIEW trials RENAME TO x": "ALTER is not accepted",
    "VACUUM": "VACUUM is not accepted",
    "BEGIN": "TRANSACTION is not accepted",
    "COMMIT": "TRANSACTION is not accepted",
    "USE memory": "SET is not accepted",
    "PREPARE p AS SELECT 1": "PREPARE is not accepted",
    "EXECUTE p": "EXECUTE is not accepted",
    "PIVOT trials ON role USING count(*)": "MULTI is not accepted.*PIVOT",
    "SELECT 1; SELECT 2": "2 statements were given",
    "SELECT 1; DROP VIEW trials": "2 statements were given",
    "": "empty",
    " ; -- nothing": "empty",
    "SELEC 1": 'not valid: syntax error at or near "SELEC"',
    "SELECT 'open": "not valid: unterminated",
    "SELECT * FROM trails": "does not exist.*tables and views: sweeps, trials, curves, layers, corruptions, attempts",
    "SELECT colour FROM trials": "cannot be run: .*colour",
    "SELECT CAST('x' AS INT)": "cannot be run: Could not convert string",
    "SELECT * FROM read_text('/etc/passwd')": "cannot be run: Cannot access file",
    "SELECT * FROM read_csv('/etc/hostname')": "cannot be run: Cannot access file",
    "SELECT * FROM '/etc/hostname'": "does not exist",
    "SELECT * FROM '/etc/x.csv'": "cannot be run: Cannot access file",
    "SELECT * FROM read_parquet('{store}/../outside.parquet')": "cannot be run: Cannot access file",
    "SELECT * FROM read_parquet('{store}2/x.parquet')": "cannot be run: Cannot access file",
    "SELECT * FROM glob('/**')": "cannot be run: Cannot access file",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')": "cannot be run: Cannot access file",
    "SELECT " + "+".join(["1"] * 900): "nested too deeply",
    "SELECT * FROM store": "does not exist",
    "SELECT '\ud800'": "not valid text",
    "SELECT 1\0; DROP VIEW trials": "not valid text",
}


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: ascii(sql[:60]))
def test_all_but_reading_is_refused_in_one_sentence_and_writes_nothing(store, tmp_path, sql):
    put_part(store.sweep("s"), [trial()])
    (tmp_path / "outside.parquet").write_bytes(store.files.read("s/trials/part-000001-00000001.parquet"))
    before = everything_below(tmp_path)
    with pytest.raises(QueryError, match=f"(?s){REFUSED[sql]}") as error:
        run_query(store, sql.replace("{store}", store.uri.replace("'", "''")))
    assert "\n" not in str(error.value)
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT state FROM trials;", [{"state": "COMPLETE"}]),
        ("FROM trials SELECT state", [{"state": "COMPLETE"}]),
        ("WITH x AS (SELECT 1 AS a) SELECT a FROM x -- why not", [{"a": 1}]),
        (
            "WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 3) SELECT max(i) m FROM x",
            [{"m": 3}],
        ),
        ("SELECT 'a;b' AS a", [{"a": "a;b"}]),
        ("SELECT hp ->> 'lr' AS lr FROM trials", [{"lr": "0.1"}]),
        ("PIVOT trials ON role IN ('x', 'y') USING count(*) GROUP BY state", [{"state": "COMPLETE", "x": 1, "y": 0}]),
        ("VALUES (1)", [{"col0": 1}]),
        ("SELECT 1 AS a, 2 AS a, 3 AS a_1", [{"a": 1, "a_1": 2, "a_1_1": 3}]),
        ("SELECT name FROM (DESCRIBE sweeps) t(name, b, c, d, e, f) LIMIT 1", [{"name": "sweep"}]),
        ("SELECT count(*) AS n FROM range(5)", [{"n": 5}]),
    ],
)
def test_any_one_select_is_accepted(store, sql, rows):
    put_part(store.sweep("s"), [trial(hp='{"lr": 0.1}')])
    assert ask(store, sql) == rows


def test_files_of_the_store_may_be_read_by_name(store):
    name = put_part(store.sweep("s"), [trial(trial_id="t7")])
    path = store.files.location(name).replace("'", "''")
    assert ask(store, f"SELECT trial_id FROM read_parquet('{path}')") == [{"trial_id": "t7"}]


@pytest.mark.parametrize("sql", ["SELECT * FROM store", "SET threads = 1", "SELECT * FROM read_text('/etc/passwd')"])
def test_python_objects_and_the_configuration_are_out_of_reach_of_read_too(store, sql):
    with pytest.raises(StoreError):
        read(store, lambda connection: connection.execute(sql))


def test_large_results_and_spills_leave_nothing_behind(store, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(query, "MEMORY_BYTES", 1000)
    before = everything_below(tmp_path)
    with run_query(store, "SELECT range AS i FROM range(200_000)") as result:
        assert result.rows == 200_000
        assert sum(batch.num_rows for batch in result.batches()) == 200_000
        assert result.table()["i"][199_999].as_py() == 199_999
    assert everything_below(tmp_path) == before


def test_a_query_that_loses_its_files_to_a_compaction_lists_again(store):
    sweep, asked = store.sweep("s"), []
    for epoch in (1, 2):
        put_part(sweep, [make_row(CurveRow, epoch=epoch)])

    def compact_first(connection):
        asked.append(connection)
        if len(asked) == 1:
            with claim(sweep) as lease:
                compact(sweep, lease)
        return connection.execute("SELECT count(*) FROM curves").fetchone()

    assert read(store, compact_first) == (2,)
    assert len(asked) == 2


def test_what_a_row_rests_on_is_listed_after_it(store, monkeypatch):
    sweep, names, written = store.sweep("s"), store.files.names, []
    put_part(sweep, [make_row(SweepRow)])

    def write_a_trial_first(folder=""):
        """Before each listing a whole trial comes in, in the order in which a driver writes."""
        if len(written) < 100 and folder.startswith("s/"):
            row = {"trial_id": f"t{len(written)}", "attempt": 1}
            written.append(row)
            with monkeypatch.context() as undone:
                undone.setattr(store.files, "names", names)
                for row_type in WRITE_ORDER:
                    put_part(sweep, [make_row(row_type, **(row if row_type is not SweepRow else {}))])
        return names(folder)

    monkeypatch.setattr(store.files, "names", write_a_trial_first)
    sql = "SELECT DISTINCT trial_id FROM"
    found = read(store, lambda c: [set(c.execute(f"{sql} {t}").fetchall()) for t in ("trials", "attempts", "curves")])
    assert len(written) > 5
    assert found[0] < found[1] < found[2]


def test_a_torn_part_is_a_store_error_that_names_it(store):
    name = put_part(store.sweep("s"), [make_row(CurveRow)])
    store.files.write(name, store.files.read(name)[:-10])
    with pytest.raises(StoreError, match=r"part-000001-00000001\.parquet"):
        run_query(store, "SELECT * FROM curves")


def test_a_file_in_the_place_of_a_table_is_a_store_error(store):
    put_part(store.sweep("s"), [trial()])
    store.files.write("s/curves", b"")
    with pytest.raises(StoreError, match="s/curves is a file; it should be the folder of table curves"):
        run_query(store, "SELECT 1")


def test_a_damaged_page_is_a_store_error_that_says_how_to_find_it(store):
    name = put_part(store.sweep("s"), [make_row(CurveRow)])
    damage_column(store, name, "seconds")
    with pytest.raises(StoreError, match=r"cannot be read: .*bocb verify") as error:
        run_query(store, "SELECT * FROM curves")
    assert "\n" not in str(error.value)
    assert ask(store, "SELECT val_top1 FROM curves") == [{"val_top1": 0.25}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST('x' AS INT)",
        "SELECT CAST(trial_id AS INT) FROM curves",
        "SELECT epoch::TINYINT * 100::TINYINT FROM curves",
        "SELECT error('no') FROM curves",
        "SELECT (SELECT epoch FROM curves)",
    ],
)
@pytest.mark.parametrize("rows", [1, BATCH_ROWS], ids=["at once", "streamed"])
def test_a_mistake_in_sql_is_the_user_s_and_has_no_file_read(store, monkeypatch, sql, rows):
    sweep = store.sweep("s")
    put_part(sweep, [make_row(CurveRow, trial_id=str(epoch), epoch=1) for epoch in range(rows)])
    put_part(sweep, [make_row(CurveRow, trial_id="x", epoch=epoch) for epoch in (2, 3)])
    damage_column(store, put_part(sweep, [trial()]), "score")
    monkeypatch.setattr(store.files, "open", lambda name: pytest.fail(f"{name} is opened"))
    with pytest.raises(QueryError, match="the query cannot be run: "):
        run_query(store, sql)


def render(store, sql, form, **options):
    out = io.BytesIO()
    with run_query(store, sql) as result:
        write_result(result, form, out, **options)
    return out.getvalue()


VALUES = (
    "SELECT 'a[b]' AS text, 0.5::FLOAT AS f, 'nan'::DOUBLE AS n, 'inf'::FLOAT AS i, NULL AS nothing, true AS yes, "
    "sum(2::BIGINT) AS total, [1.5, 'nan'::DOUBLE] AS list, {'a': 1} AS struct, "
    "TIMESTAMP '2026-05-01 12:00:00.5' AS t, DATE '2026-05-01' AS d, 1.25 AS decimal, "
    "'\\xAA'::BLOB AS blob, INTERVAL 90 SECONDS AS wait"
)


def test_json_is_a_list_of_objects_without_nan(store):
    (row,) = json.loads(render(store, VALUES, "json"))
    assert row.pop("wait") is not None
    expected = {"text": "a[b]", "f": 0.5, "n": None, "i": None, "nothing": None, "yes": True, "total": 2}
    expected |= {"list": [1.5, None], "struct": {"a": 1}, "t": "2026-05-01T12:00:00.500000", "d": "2026-05-01"}
    assert row == expected | {"decimal": 1.25, "blob": "aa"}
    assert json.loads(render(store, "SELECT 1 AS a WHERE false", "json")) == []


def test_csv_has_a_header_and_quotes(store):
    text = render(store, "SELECT 'a,\"b\"' AS x, NULL AS y, 'nan'::FLOAT AS z, sum(3::INT) AS s", "csv").decode()
    assert text == 'x,y,z,s\n"a,""b""",,nan,3\n'


def test_parquet_reads_back(store, tmp_path):
    row = make_row(CurveRow, train_loss=math.nan)
    put_part(store.sweep("s"), [row])
    (tmp_path / "out.parquet").write_bytes(render(store, "SELECT * FROM curves", "parquet"))
    (found,) = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert math.isnan(found.pop("train_loss"))
    assert found["val_top1"] == row.val_top1
    assert pq.read_table(tmp_path / "out.parquet").schema.field("val_top1").type == "float"


def test_a_table_fits_or_becomes_one_block_per_row(store):
    wide = render(store, "SELECT 'x' AS a, '[red]' AS b, 0.123456789 AS c", "table").decode()
    assert [line.split() for line in wide.splitlines()][::2] == [["a", "b", "c"], ["x", "[red]", "0.123457"]]
    blocks = render(store, "SELECT repeat('x', 50) AS a, 'line\nline' AS bb", "table", width=40).decode()
    assert blocks.splitlines() == ["-- row 1 --", f"a   {'x' * 50}", "bb  line", "    line"]


def test_a_table_says_when_there_is_more_or_nothing(store):
    text = render(store, "SELECT range AS i FROM range(2000)", "table").decode()
    assert len(text.splitlines()) == TABLE_ROWS + 3
    assert text.endswith("the first 1000 of 2000 rows; --format csv, json and parquet write all\n")
    assert render(store, "SELECT 1 AS a WHERE false", "table").decode().endswith("no rows\n")


def test_an_answer_larger_than_memory_is_sorted_on_disk(store, monkeypatch):
    monkeypatch.setattr(query, "open_duckdb", lambda files: open_duckdb(files, memory_limit="60MB", threads=1))
    with run_query(store, "SELECT range AS i, hash(range) AS h FROM range(2000000) ORDER BY h") as result:
        assert result.rows == 2_000_000


def test_the_store_needs_no_heavy_library():
    heavy = ("ray", "torch", "pandas", "fastparquet", "scipy", "optuna")
    program = (
        "import sys, pkgutil, importlib, orchestrator.store as store\n"
        "for item in pkgutil.iter_modules(store.__path__): importlib.import_module(f'{store.__name__}.{item.name}')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "[]\n"


def test_a_later_attempt_row_of_the_same_moment_counts(store):
    sweep = store.sweep("s")
    put_part(sweep, [make_row(AttemptRow, outcome="ERROR", ended_at=later(1))])
    put_part(sweep, [make_row(AttemptRow, outcome="FAIL", ended_at=later(1))])
    assert ask(store, "SELECT outcome FROM attempts") == [{"outcome": "FAIL"}]


@pytest.mark.parametrize("tail", [False, True], ids=["compacted", "with a tail"])
@pytest.mark.parametrize(
    "condition", ["backbone = 'net3' AND optimizer = 'sgd'", "trial_id = 'net3.t'"], ids=["cell", "trial"]
)
def test_a_filter_on_a_cell_or_trial_reaches_the_files(store, monkeypatch, condition, tail):
    monkeypatch.setattr(compacted_files, "ROWS_PER_GROUP", 2048)
    sweep = store.sweep("s")

    def rows(epochs):
        return [
            make_row(CurveRow, trial_id=f"net{net}.t", backbone=f"net{net}", optimizer="sgd", epoch=epoch)
            for net in range(6)
            for epoch in epochs
        ]

    put_part(sweep, rows(range(1, 2049)))
    with claim(sweep) as lease:
        compact(sweep, lease)
    if tail:
        put_part(sweep, rows([2048, 2049]))
    sql = f"EXPLAIN ANALYZE SELECT * FROM curves WHERE {condition}"
    plan = read(store, lambda connection: connection.execute(sql).fetchall()[0][1])
    scanned = [int(groups) for groups in re.findall(r"Row Groups Scanned: (\d+) / 6", plan)]
    assert scanned, plan
    assert max(scanned) < 3, plan
    with run_query(store, f"SELECT count(*) AS n FROM curves WHERE {condition}") as result:
        assert result.table()["n"].to_pylist() == [2049 if tail else 2048]


def test_a_file_that_vanishes_while_the_answer_is_streamed_is_looked_for_again(store, monkeypatch):
    sweep, stream, done = store.sweep("s"), query.stream, []
    put_part(sweep, [make_row(CurveRow, trial_id="old", epoch=epoch) for epoch in range(10)])
    with claim(sweep) as lease:
        compact(sweep, lease)
    # DuckDB reads the tail first, and opens the compacted file when its turn comes.
    put_part(sweep, [make_row(CurveRow, trial_id="new", epoch=epoch) for epoch in range(1000)])

    def compact_meanwhile(*arguments):
        schema, batches = stream(*arguments)
        if not done:
            done.append(schema)
            with claim(sweep) as lease:
                compact(sweep, lease)
        return schema, batches

    monkeypatch.setattr(query, "stream", compact_meanwhile)
    assert len(ask(store, "SELECT * FROM curves")) == 1010
    assert done
