"""SQL on an object store: the same answers as on a folder, and nothing else within reach."""

import os
import subprocess
import sys

import duckdb
import pytest

from orchestrator.errors import QueryError, StoreError
from orchestrator.store import object_files, object_requests
from orchestrator.store.compaction import compact
from orchestrator.store.lease import claim
from orchestrator.store.query import VIEWS, read, run_query
from orchestrator.store.schema import CurveRow, TrialRow
from orchestrator.store.store import open_store
from tests.store_examples import make_row, put_part


def ask(store, sql):
    with run_query(store, sql) as result:
        return result.table().to_pylist()


@pytest.fixture(scope="module")
def store(object_store):
    """Two sweeps: one compacted, one with a tail that supersedes a row."""
    store = open_store(object_store.new_uri(), create=True)
    for name in ("compacted", "tail"):
        sweep = store.sweep(name)
        for epoch in (1, 2):
            put_part(sweep, [make_row(CurveRow, sweep=name, epoch=epoch, val_top1=0.25)])
        put_part(sweep, [make_row(TrialRow, sweep=name, trial_id=f"trial-{name}")])
        with claim(sweep) as lease:
            compact(sweep, lease)
    put_part(store.sweep("tail"), [make_row(CurveRow, sweep="tail", epoch=2, driver_epoch=2, val_top1=0.75)])
    return store


def test_every_view_is_there(store):
    for name in VIEWS:
        assert ask(store, f"SELECT count(*) >= 0 AS there FROM {name}") == [{"there": True}]


def test_views_span_sweeps_and_show_the_newest_row_of_each_key(store):
    sql = "SELECT sweep, count(*) AS n, sum(val_top1) AS s FROM curves GROUP BY ALL ORDER BY sweep"
    assert ask(store, sql) == [{"sweep": "compacted", "n": 2, "s": 0.5}, {"sweep": "tail", "n": 2, "s": 1.0}]


def test_files_of_the_store_may_be_read_by_name_and_by_pattern(store):
    for name in ("tail/trials/compact-000001-000.parquet", "tail/trials/*.parquet", "tail/trials/compact-0?00*"):
        assert ask(store, f"SELECT trial_id FROM read_parquet('{store.uri}/{name}')") == [{"trial_id": "trial-tail"}]
    assert ask(store, f"SELECT count(*) AS n FROM glob('{store.uri}/tail/curves/*.parquet')") == [{"n": 2}]


REFUSED = {
    "SELECT * FROM read_parquet('{bucket}/other/trials/compact-000001-000.parquet')": "Cannot access file",
    "SELECT * FROM read_parquet('{store}2/x.parquet')": "Cannot access file",
    "SELECT * FROM read_parquet('{store}/../other/trials/compact-000001-000.parquet')": "not a name of an object",
    "SELECT * FROM read_parquet('{store}/tail/../../other/trials/compact-000001-000.parquet')": "not a name",
    "SELECT * FROM read_parquet('{store}/tail/./trials/compact-000001-000.parquet')": "not a name",
    "SELECT * FROM read_parquet('s3://another/x.parquet')": "Cannot access file",
    "SELECT * FROM read_parquet('s3a://another/x.parquet')": "Cannot access file",
    "SELECT * FROM read_parquet('https://example.org/x.parquet')": "Cannot access file",
    "SELECT * FROM read_text('{endpoint}/')": "Cannot access file",
    "SELECT * FROM read_text('/etc/passwd')": "Cannot access file",
    "SELECT * FROM read_text('file:///etc/passwd')": "Cannot access file",
    "SELECT * FROM glob('/**')": "Cannot access file",
    "SELECT * FROM glob('s3://**')": "Cannot access file",
    "SELECT * FROM glob('{bucket}/*')": "Cannot access file",
    "COPY trials TO '{store}/out.csv'": "COPY is not accepted",
    "LOAD httpfs": "LOAD is not accepted",
}


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: ascii(sql[:60]))
def test_nothing_else_can_be_reached_and_no_request_for_it_is_made(store, object_store, sql):
    bucket = store.uri.rpartition("/")[0]
    other = open_store(f"{bucket}/other").sweep("s")
    if not other.exists():
        other.files.write(
            "trials/compact-000001-000.parquet", store.files.read("tail/trials/compact-000001-000.parquet")
        )
    seen = []
    filled = sql.format(store=store.uri, bucket=bucket, endpoint=object_store.endpoint)
    with (
        object_store.faults(lambda method, path: seen.append(path)),
        pytest.raises((QueryError, StoreError), match=REFUSED[sql]) as error,
    ):
        run_query(store, filled)
    assert "\n" not in str(error.value)
    prefix = store.uri.rpartition("/")[2]
    assert [path for path in seen if prefix not in path] == []


def test_the_connection_itself_cannot_write_or_fetch_a_client_of_its_own(store):
    before = store.files.names("tail/trials")

    def attack(connection):
        loaded = "SELECT count(*) FROM duckdb_settings() WHERE name LIKE 's3_%'"  # httpfs brings these
        assert connection.execute(loaded).fetchone() == (0,)
        for sql in (
            f"COPY (SELECT 1) TO '{store.uri}/tail/trials/out.csv'",
            "COPY (SELECT 1) TO 's3://another/out.csv'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)

    read(store, attack)
    assert store.files.names("tail/trials") == before


def test_a_query_rides_out_faults(store, object_store, monkeypatch):
    monkeypatch.setattr(object_requests, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(object_files, "ANSWER_SECONDS", 0.15)
    patient = open_store(store.uri)
    with object_store.faults(object_store.seeded(3, 0.25)):
        assert ask(patient, "SELECT count(*) AS n FROM curves") == [{"n": 4}]


def test_a_query_that_cannot_be_read_says_which_file(store, object_store, monkeypatch):
    monkeypatch.setattr(object_requests, "RETRY_SECONDS", 0.1)
    choose = lambda method, path: "500 before" if "part-" in path else None  # noqa: E731
    with object_store.faults(choose), pytest.raises(StoreError, match=r"part-\d.*|says InternalError") as error:
        ask(store, "SELECT * FROM curves")
    assert "\n" not in str(error.value)


def test_small_files_are_fetched_once_for_a_query(store, object_store):
    seen = []
    with object_store.faults(lambda method, path: seen.append(f"{method} {path}")):
        ask(store, "SELECT count(*), max(val_top1) FROM curves JOIN trials USING (sweep)")
    files = [request for request in seen if request.endswith(".parquet")]
    assert len(files) == len(set(files)) == 5  # 3 of curves, 2 of trials, although DuckDB opens each twice
    assert len(seen) < 60  # the rest is per sweep and table


def test_a_command_says_nothing_but_its_answer(store):
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__)), "BOCB_STORE": store.uri}
    for sql, code, out in (
        ("SELECT count(*) AS n FROM curves", 0, "n\n4\n"),
        (f"SELECT * FROM read_parquet('{store.uri}/x/../y.parquet')", 2, ""),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator.cli", "query", sql, "--format", "csv"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.returncode) == (out, code), done.stderr
        assert len(done.stderr.splitlines()) == (code != 0), done.stderr
