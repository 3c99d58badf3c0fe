import math
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from orchestrator.errors import StoreError, SupersededError
from orchestrator.store import writer as writer_module
from orchestrator.store.compaction import compact_table
from orchestrator.store.drivers import now_with_zone
from orchestrator.store.lease import claim
from orchestrator.store.query import run_query
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import SCHEMA_VERSION, AttemptRow, CurveRow, SweepRow, TrialRow
from orchestrator.store.store import open_store
from orchestrator.store.writer import TableWriter
from tests.store_examples import NOON, make_row

WRITE_FOR_EVER = """
import sys
from tests.store_examples import make_row
from orchestrator.store.lease import claim
from orchestrator.store.schema import AttemptRow, CurveRow
from orchestrator.store.store import open_store
from orchestrator.store.writer import TableWriter
sweep = open_store(sys.argv[1]).sweep("s")
lease = claim(sweep)
writer = TableWriter(sweep, lease, flush_seconds=0.005, compact_after=20)
first = len(sweep.files.names(sweep.paths.drivers)) * 1_000_000
for number in range(first, first + 1_000_000):
    writer.add(make_row(CurveRow, driver_epoch=lease.driver_epoch, trial_id=f"t{number}", epoch=1))
    writer.add(make_row(AttemptRow, driver_epoch=lease.driver_epoch, trial_id=f"t{number % 7}", attempt=1))
    writer.flush()
    print(number, flush=True)
"""


@pytest.fixture
def sweep(store_uri):
    return open_store(store_uri, create=True).sweep("s")


def parts(sweep, row_type):
    return [name for name in sweep.files.names(sweep.paths.table(row_type)) if name.startswith("part-")]


def test_rows_of_every_table_come_back_as_they_were(sweep):
    rows = [
        make_row(SweepRow, version=2, spec='{"a": "\u00e4"}'),
        make_row(TrialRow, trial_id="t", score=0.1, hp_lr=1e-300, peak_memory=2**60, reason=None),
        make_row(CurveRow, trial_id="t", epoch=1, train_loss=math.inf, val_top1=0.5),
        make_row(AttemptRow, trial_id="t", ended_at=None, traceback="line\nline", pid=4_000_000_000),
    ]
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        for row in rows:
            writer.add(row)
        writer.flush()
        assert [read_rows(sweep, type(row)) for row in rows] == [[row] for row in rows]


def test_a_nan_stays_a_nan_and_null_a_null(sweep):
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        writer.add(make_row(CurveRow, train_loss=math.nan, val_loss=None))
    (row,) = read_rows(sweep, CurveRow)
    assert math.isnan(row.train_loss)
    assert row.val_loss is None


def test_times_with_a_zone_become_utc_and_bytes_of_no_encoding_survive(sweep):
    zone = NOON.replace(tzinfo=UTC).astimezone(datetime.now().astimezone().tzinfo)
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        writer.add(make_row(AttemptRow, started_at=zone, traceback="file \udcff"))
    (row,) = read_rows(sweep, AttemptRow)
    assert row.started_at == NOON
    assert row.traceback == r"file \udcff"


def test_rows_become_durable_without_being_asked_and_in_one_part_per_flush(sweep):
    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.2) as writer:
        for epoch in range(1, 11):
            writer.add(make_row(CurveRow, epoch=epoch))
        deadline = time.monotonic() + 5
        while not parts(sweep, CurveRow):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [row.epoch for row in read_rows(sweep, CurveRow)] == list(range(1, 11))
    assert parts(sweep, CurveRow) == ["part-000001-00000001.parquet"]
    with sweep.files.open(sweep.paths.part(CurveRow, 1, 1)) as file:
        metadata = pq.read_metadata(file)
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    assert metadata.metadata[b"bocb.schema_version"] == str(SCHEMA_VERSION).encode()


def test_flush_returns_when_earlier_rows_of_all_threads_are_durable(sweep):
    def add_many(first):
        for number in range(first, first + 200):
            writer.add(make_row(CurveRow, epoch=number))

    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.001) as writer:
        threads = [threading.Thread(target=add_many, args=(first,)) for first in range(0, 1000, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.flush()
        assert len(read_rows(sweep, CurveRow)) == 1000


def test_the_next_driver_counts_its_own_parts_from_one(sweep):
    for epoch in (1, 2):
        with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
            for _ in range(2):
                writer.add(make_row(CurveRow, driver_epoch=epoch))
                writer.flush()
    assert parts(sweep, CurveRow) == [f"part-00000{e}-0000000{s}.parquet" for e in (1, 2) for s in (1, 2)]
    assert [row.driver_epoch for row in read_rows(sweep, CurveRow)] == [2]


@pytest.mark.parametrize(
    "values",
    [
        {"epoch": None},
        {"epoch": 1.5},
        {"epoch": 2**31},
        {"epoch": True},
        {"val_top1": "0.5"},
        {"val_top1": 1e39},
        {"val_top1": 3.4028235677973366e38},
        {"val_top1": 10**400},
        {"trial_id": 7},
        {"sweep": "other"},
        {"driver_epoch": 9},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_stored_is_refused_at_once_and_alone(tmp_path, values):
    sweep = open_store(str(tmp_path / "store"), create=True).sweep("s")
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        with pytest.raises(StoreError):
            writer.add(make_row(CurveRow, **values))
        writer.add(make_row(CurveRow))
        writer.flush()
    assert len(read_rows(sweep, CurveRow)) == 1


def test_the_largest_numbers_that_fit_are_stored(sweep):
    largest = {"val_top1": 3.4028235677973362e38, "lr": -math.inf, "epoch": 2**31 - 1}
    with claim(sweep) as lease, TableWriter(sweep, lease) as writer:
        writer.add(make_row(CurveRow, **largest))
        writer.add(make_row(TrialRow, score=1.7976931348623157e308, seed=-(2**63)))
    (row,) = read_rows(sweep, CurveRow)
    assert (row.val_top1, row.lr, row.epoch) == (3.4028234663852886e38, -math.inf, 2**31 - 1)
    (trial,) = read_rows(sweep, TrialRow)
    assert (trial.score, trial.seed) == (1.7976931348623157e308, -(2**63))


def test_a_superseded_driver_stops_for_ever_and_writes_nothing_more(sweep):
    lease = claim(sweep, now=lambda: now_with_zone() - timedelta(hours=1))
    writer = TableWriter(sweep, lease, flush_seconds=0.01)
    writer.add(make_row(CurveRow, epoch=1))
    writer.flush()
    claim(sweep)
    writer.add(make_row(CurveRow, epoch=2))
    with pytest.raises(SupersededError, match="taken over"):
        writer.flush()
    with pytest.raises(SupersededError):
        writer.add(make_row(CurveRow, epoch=3))
    with pytest.raises(SupersededError):
        writer.close()
    assert len(parts(sweep, CurveRow)) == 1


@pytest.fixture
def full_disk(request, store_uri, monkeypatch):
    """Makes the place refuse to store anything while the event is set."""
    full = threading.Event()
    fsync = os.fsync

    def refuse(descriptor):
        if full.is_set():
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    if not store_uri.startswith("s3:"):
        monkeypatch.setattr(os, "fsync", refuse)
        yield full
        return
    from orchestrator.store import object_requests  # not before the object store is wanted

    monkeypatch.setattr(object_requests, "RETRY_SECONDS", 0.1)
    refused = "507 before"
    choose = lambda method, path: refused if full.is_set() and method == "PUT" else None  # noqa: E731
    with request.getfixturevalue("object_store").faults(choose):
        yield full


def test_rows_wait_while_the_disk_is_full_and_trouble_says_so(sweep, full_disk):
    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.01) as writer:
        assert writer.trouble is None
        full_disk.set()
        for epoch in range(1, 4):
            writer.add(make_row(CurveRow, epoch=epoch))
        with pytest.raises(StoreError, match=r"3 rows of sweep 's' are not written: .*([Nn]o space left)"):
            writer.flush(timeout=0.7)
        assert "3 rows wait in memory" in writer.trouble
        full_disk.clear()
        writer.flush(timeout=10)
        assert writer.trouble is None
    assert [row.epoch for row in read_rows(sweep, CurveRow)] == [1, 2, 3]


def test_close_says_how_many_rows_could_not_be_written(sweep, full_disk):
    writer = TableWriter(sweep, claim(sweep), flush_seconds=0.01)
    full_disk.set()
    writer.add(make_row(CurveRow))
    with pytest.raises(StoreError, match="1 rows"):
        writer.close(timeout=0.3)
    with pytest.raises(StoreError, match="closed"):
        writer.add(make_row(CurveRow))
    for again in (writer.flush, writer.close):
        with pytest.raises(StoreError, match="1 rows"):
            again()


def test_a_table_that_cannot_be_read_ends_the_writer_with_the_reason(sweep):
    sweep.files.write(sweep.paths.manifest(CurveRow, 1), b"{}")
    writer = TableWriter(sweep, claim(sweep), flush_seconds=0.01)
    writer.add(make_row(CurveRow))
    for act in (writer.flush, writer.check, lambda: writer.add(make_row(CurveRow, epoch=2)), writer.close):
        with pytest.raises(StoreError, match=r"_manifest-000001\.json is damaged.*bocb verify s --mend"):
            act()


def test_a_writer_that_fails_for_a_reason_nobody_thought_of_says_which(sweep, monkeypatch):
    monkeypatch.setattr(writer_module, "encode_part", lambda rows: 1 / 0)
    writer = TableWriter(sweep, claim(sweep), flush_seconds=0.01)
    writer.add(make_row(CurveRow))
    with pytest.raises(StoreError, match="ZeroDivisionError: division by zero") as caught:
        writer.flush()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(StoreError, match="division by zero"):
        writer.close()


def test_a_part_that_appeared_although_writing_it_failed_is_not_written_over(sweep, monkeypatch):
    create, failures = type(sweep.files).create, []

    def land_fold_and_fail(self, name, data):
        create(self, name, data)
        if not failures and "/curves/part" in name:
            failures.append(name)
            compact_table(sweep, CurveRow, lease)  # as the other thread might, at the worst moment
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(sweep.files), "create", land_fold_and_fail)
    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.01) as writer:
        writer.add(make_row(CurveRow, epoch=1))
        deadline = time.monotonic() + 10
        while writer.trouble is None:
            assert time.monotonic() < deadline
        writer.add(make_row(CurveRow, epoch=2))  # goes into the same part as the row that is tried again
        writer.flush(timeout=10)
    assert failures
    assert [row.epoch for row in read_rows(sweep, CurveRow)] == [1, 2]


def test_long_tails_are_compacted_while_rows_keep_coming(sweep):
    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.01, compact_after=5) as writer:
        for epoch in range(1, 41):
            writer.add(make_row(CurveRow, epoch=epoch))
            writer.add(make_row(AttemptRow, attempt=epoch % 3 + 1, ended_at=NOON + timedelta(seconds=epoch)))
            writer.flush()
    for row_type in (CurveRow, AttemptRow):
        names = sweep.files.names(sweep.paths.table(row_type))
        assert any(name.startswith("compact-") for name in names)
        assert len(names) < 40
    assert [row.epoch for row in read_rows(sweep, CurveRow)] == list(range(1, 41))
    assert len(read_rows(sweep, AttemptRow)) == 3


def test_a_writer_killed_at_any_moment_loses_no_durable_row(store_uri):
    store = open_store(store_uri, create=True)
    sweep = store.sweep("s")
    durable, environment = [], os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    for round_ in range(1 if store_uri.startswith("s3:") else 3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, sweep.files.root],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        durable += [int(process.stdout.readline()) for _ in range(8)]
        with run_query(store, "SELECT count(*) AS n, count(DISTINCT trial_id) AS m FROM curves") as result:
            (counts,) = result.table().to_pylist()  # while it writes and compacts
        assert counts["m"] == counts["n"] >= len(durable)
        time.sleep(0.037 * round_)
        process.send_signal(signal.SIGKILL)
        durable += [int(line) for line in process.communicate()[0].splitlines()]
        rows = read_rows(sweep, CurveRow)
        assert {int(row.trial_id[1:]) for row in rows} >= set(durable)
        assert len({row.trial_id for row in rows}) == len(rows)
        assert sorted(row.trial_id for row in read_rows(sweep, AttemptRow)) == [f"t{n}" for n in range(7)]
    if round_ > 0:  # one short life may end before its first compaction
        assert any(name.startswith("compact-") for name in sweep.files.names(sweep.paths.table(CurveRow)))


def test_a_trial_is_never_durable_before_its_curve(sweep, monkeypatch):
    created, create = [], sweep.files.create

    def refuse_curves(name, data):
        if "/curves/" in name:
            raise OSError(28, "No space left on device")
        created.append(name)
        create(name, data)

    monkeypatch.setattr(sweep.files, "create", refuse_curves)
    with claim(sweep) as lease:
        created.clear()
        writer = TableWriter(sweep, lease, flush_seconds=0.01)
        writer.add(make_row(CurveRow))
        ticket = writer.add(make_row(TrialRow))
        time.sleep(0.5)
        assert not [name for name in created if "/trials/" in name]
        assert not writer.is_durable(ticket)
        assert "No space left" in writer.trouble
        monkeypatch.setattr(sweep.files, "create", create)
        writer.close()
        assert writer.is_durable(ticket)
    assert len(read_rows(sweep, CurveRow)) == len(read_rows(sweep, TrialRow)) == 1
