import math
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta

import duckdb
import fastparquet
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import StoreError, SupersededError
from orchestrator.store import compacted_files, compaction
from orchestrator.store.compaction import compact, compact_table, fold, fold_table
from orchestrator.store.drivers import now_with_zone
from orchestrator.store.lease import claim
from orchestrator.store.live import Manifest, read_live, table_files
from orchestrator.store.local_files import LocalFiles
from orchestrator.store.query import run_query
from orchestrator.store.reader import read_rows, read_table
from orchestrator.store.schema import NEWEST_FIRST, ROW_TYPES, AttemptRow, CurveRow, TrialRow, arrow_schema
from orchestrator.store.store import open_store
from tests.store_examples import NOON, later, make_row, put_part

COMPACT_FOR_EVER = """
import sys
from tests.store_examples import make_row, put_part
from orchestrator.store.compaction import fold_table
from orchestrator.store.lease import claim
from orchestrator.store.schema import CurveRow
from orchestrator.store.store import open_store
sweep = open_store(sys.argv[1]).sweep("s")
lease = claim(sweep)
for number in range(10**6):
    for trial in ("a", "b"):
        put_part(sweep, [make_row(CurveRow, driver_epoch=lease.driver_epoch, trial_id=trial, epoch=number % 50)])
    print(f"{lease.driver_epoch} {number % 50}", flush=True)
    fold_table(sweep, CurveRow, lease)
"""


@pytest.fixture
def store(store_uri):
    return open_store(store_uri, create=True)


@pytest.fixture
def sweep(store):
    return store.sweep("s")


@pytest.fixture
def local_sweep(tmp_path):
    """For tests that change files behind the store's back."""
    return open_store(str(tmp_path / "store"), create=True).sweep("s")


def names(sweep, row_type=CurveRow):
    return sweep.files.names(sweep.paths.table(row_type))


def newest(rows):
    """The model: the newest row of each key; of equals, the one written last."""

    def rank(row):
        decisive = [getattr(row, name) for name in NEWEST_FIRST[row.TABLE]]
        return tuple((value is not None, value if value is not None else 0) for value in decisive)

    found = {}
    for row in rows:
        key = tuple(getattr(row, name) for name in row.KEY)
        if key not in found or rank(row) >= rank(found[key]):
            found[key] = row
    return [found[key] for key in sorted(found)]


def test_compaction_leaves_one_sorted_file_and_one_manifest(sweep):
    for epoch in (3, 1, 2):
        put_part(sweep, [make_row(CurveRow, trial_id=trial, epoch=epoch) for trial in "ba"])
    put_part(sweep, [make_row(CurveRow, trial_id="a", epoch=1, attempt=2, val_top1=0.75)])
    with claim(sweep) as lease:
        summary = {item.table: item for item in compact(sweep, lease)}["curves"]
    assert names(sweep) == ["_manifest-000001.json", "compact-000001-000.parquet"]
    with sweep.files.open("s/curves/compact-000001-000.parquet") as file:
        table = pq.read_table(file)
    assert table.schema.equals(arrow_schema(CurveRow), check_metadata=True)
    assert list(zip(*(table[name].to_pylist() for name in ("trial_id", "epoch", "attempt")), strict=True)) == [
        *[("a", 1, 2), ("a", 2, 1), ("a", 3, 1)],
        *[("b", 1, 1), ("b", 2, 1), ("b", 3, 1)],
    ]
    assert (summary.files_before, summary.files_after) == (4, 1)
    assert (summary.rows_before, summary.rows_after) == (7, 6)
    assert 0 < summary.bytes_after < summary.bytes_before


def test_compacting_again_changes_nothing(sweep):
    put_part(sweep, [make_row(CurveRow)])
    with claim(sweep) as lease:
        compact(sweep, lease)
        before = names(sweep)
        again = compact(sweep, lease)
    assert names(sweep) == before
    rows = {item.table: (item.rows_before, item.rows_after) for item in again}
    assert rows.pop("curves") == (1, 1)
    assert set(rows.values()) == {(0, 0)}


def test_large_tables_are_cut_into_files_of_bounded_length(sweep, monkeypatch):
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 5000)
    monkeypatch.setattr(compacted_files, "ROWS_PER_FILE", 5000)
    monkeypatch.setattr(compacted_files, "ROWS_PER_GROUP", 2048)
    put_part(sweep, [make_row(CurveRow, trial_id=f"t{n % 10}", epoch=n // 10) for n in range(12_000)])
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    files = []
    for name in names(sweep)[1:]:
        with sweep.files.open(f"s/curves/{name}") as file:
            files.append(pq.read_metadata(file))
    assert len(files) == 3
    assert all(file.num_rows <= 5000 for file in files)
    assert sum(file.num_rows for file in files) == 12_000
    assert len(read_rows(sweep, CurveRow)) == 12_000
    before = names(sweep)
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    assert names(sweep) == before


def metrics():
    return st.one_of(st.none(), st.floats(width=32), st.just(math.nan))


@settings(max_examples=10, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(1, 2), metrics(), metrics()),
        min_size=1,
        max_size=12,
    )
)
def test_four_readers_agree_on_a_compacted_folder(tmp_path_factory, rows):
    sweep = open_store(str(tmp_path_factory.mktemp("store"))).sweep("s")
    curves, attempts = [], []
    for trial, epoch, attempt, loss, norm in rows:
        moment = NOON + timedelta(microseconds=epoch)
        values = {"trial_id": trial, "epoch": epoch, "attempt": attempt, "train_loss": loss, "grad_norm": norm}
        curves.append(make_row(CurveRow, **values))
        values = {"trial_id": trial, "attempt": epoch, "started_at": moment, "reason": None if loss is None else "r"}
        attempts.append(make_row(AttemptRow, **values, ended_at=moment if norm is not None else None))
    for part in (curves[::2], curves[1::2], attempts[::2], attempts[1::2]):
        if part:
            put_part(sweep, part)
    with claim(sweep) as lease:
        compact(sweep, lease)
    for row_type in (CurveRow, AttemptRow):
        ours = as_text(read_table(sweep, row_type).to_pandas())
        folder = sweep.files.location(sweep.paths.table(row_type))
        (path,) = [f"{folder}/{name}" for name in names(sweep, row_type) if name.endswith(".parquet")]
        assert as_text(pd.read_parquet(folder)) == ours
        assert as_text(ds.dataset(folder).to_table().to_pandas()) == ours
        with open(path, "rb") as file:  # given a path, fastparquet leaves it open
            assert as_text(fastparquet.ParquetFile(file).to_pandas()) == ours
        assert as_text(duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet')").to_df()) == ours
        # NaN and null look alike in a data frame; these two readers tell them apart.
        for name in ("train_loss", "grad_norm") if row_type is CurveRow else ():
            sql = f"SELECT count(*) FILTER (isnan({name})), count({name}) FROM '{path}'"
            column = pq.read_table(path)[name]
            nans = pc.sum(pc.is_nan(column)).as_py() or 0
            assert duckdb.sql(sql).fetchall() == [(nans, len(column) - column.null_count)]


def as_text(frame):
    """A data frame as text cells: pandas has several kinds of missing values and of strings, all meant alike here."""
    return [["" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False)]


class Killed(BaseException):
    """Stands for SIGKILL: no `except` of the code under test may catch it."""


def kill_at(monkeypatch, step, *, before):
    """Ends the program at the `step`-th change of the file system, before or after it happens."""
    count = 0

    def dying(original):
        def method(*arguments, **keywords):
            nonlocal count
            count += 1
            if count == step and before:
                raise Killed
            result = original(*arguments, **keywords)
            if count == step:
                raise Killed
            return result

        return method

    for place, name in ((os, "link"), (os, "fsync"), (LocalFiles, "delete")):
        monkeypatch.setattr(place, name, dying(getattr(place, name)))
    return lambda: count


def write_part(sweep, driver_epoch, epochs):
    """A part with a row for each epoch; returns the rows."""
    rows = [
        make_row(CurveRow, driver_epoch=driver_epoch, epoch=epoch, val_top1=driver_epoch / 4 + epoch / 512)
        for epoch in epochs
    ]
    put_part(sweep, rows)
    return rows


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("compact_one", [compact_table, fold_table])
def test_killed_at_any_step_a_reader_sees_every_key_once(tmp_path, compact_one, before):
    """The fold that is killed writes a run, writes one file again without a row and leaves one as it is."""
    prepared, rows = open_store(str(tmp_path / "0")).sweep("s"), []
    for epochs in (range(1, 7), range(11, 13)):
        rows += write_part(prepared, 1, epochs)
        with claim(prepared) as lease:
            fold_table(prepared, CurveRow, lease)
    rows += write_part(prepared, 2, (2, 21))
    step, finished = 0, False
    while not finished:
        step += 1
        shutil.copytree(tmp_path / "0", tmp_path / str(step))
        store = open_store(str(tmp_path / str(step)))
        sweep = store.sweep("s")
        with claim(sweep) as lease, pytest.MonkeyPatch.context() as patch:
            steps = kill_at(patch, step, before=before)
            try:
                compact_one(sweep, CurveRow, lease)
            except Killed:
                pass
            else:
                finished = steps() < step
        with run_query(store, "SELECT epoch, val_top1 FROM curves ORDER BY epoch") as result:
            assert result.table().to_pylist() == [
                {"epoch": row.epoch, "val_top1": row.val_top1} for row in newest(rows)
            ]
        later = write_part(sweep, 3, (3, 4))  # the next driver
        with claim(sweep) as lease:
            compact_table(sweep, CurveRow, lease)
        assert [name.split("-")[0] for name in names(sweep)] == ["_manifest", "compact"]
        assert read_rows(sweep, CurveRow) == newest(rows + later)
    assert step > 10


def test_killed_by_a_signal_at_random_moments_a_reader_sees_every_key_once(local_sweep):
    sweep = local_sweep
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    latest = {}
    for round_ in range(3):
        command = [sys.executable, "-c", COMPACT_FOR_EVER, sweep.files.root]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        lines = [process.stdout.readline() for _ in range(4)]
        time.sleep(0.013 * round_)
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].splitlines()
        for line in lines:
            driver, epoch = map(int, line.split())
            latest[epoch] = driver
        rows = read_rows(sweep, CurveRow)
        assert len(rows) == len({(row.trial_id, row.epoch) for row in rows})
        seen = {(row.trial_id, row.epoch): row.driver_epoch for row in rows}
        assert all(seen[trial, epoch] == driver for epoch, driver in latest.items() for trial in "ab")
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    assert [name.split("-")[0] for name in names(sweep)] == ["_manifest", "compact"]


def test_stale_temporaries_of_dead_drivers_are_removed(local_sweep):
    sweep = local_sweep
    put_part(sweep, [make_row(CurveRow)])
    left = sweep.files.location("s/.tmp/left.tmp")
    with open(left, "wb"):
        os.utime(left, (1, 1))
    with claim(sweep) as lease:
        compact(sweep, lease)
    assert sweep.files.names("s/.tmp") == []


def test_a_superseded_driver_compacts_nothing(sweep):
    put_part(sweep, [make_row(CurveRow)])
    old = claim(sweep, now=lambda: now_with_zone() - timedelta(hours=1))
    claim(sweep)
    with pytest.raises(SupersededError):
        compact(sweep, old)
    assert names(sweep) == ["part-000001-00000001.parquet"]


def interrupted_by(monkeypatch, kind, point, other):
    """Runs `other` once, just before a file is created whose name contains `point`."""
    done = []

    def interrupting(original):
        def method(self, name, *content):
            if point in name and not done:
                done.append(name)
                other()
            return original(self, name, *content)

        return method

    for method in ("new_file", "create"):
        monkeypatch.setattr(kind, method, interrupting(getattr(kind, method)))


def test_a_driver_that_was_taken_over_deletes_no_file_that_a_newer_one_is_about_to_list(sweep, monkeypatch):
    """The older one is held up after its last look at the claims, and the newer one before its manifest."""
    old = claim(sweep, now=lambda: now_with_zone() - timedelta(hours=1))
    rows = write_part(sweep, 1, (1, 2))
    fold_table(sweep, CurveRow, old)
    rows += write_part(sweep, 1, (3,))
    new = claim(sweep)
    monkeypatch.setattr(old, "check", lambda: None)
    interrupted_by(monkeypatch, type(sweep.files), "_manifest-", lambda: fold(sweep, old))
    compact_table(sweep, CurveRow, new)
    assert read_rows(sweep, CurveRow) == rows


@pytest.mark.parametrize("point", ["compact-", "_manifest-"])
def test_two_compactions_at_once_lose_nothing(sweep, monkeypatch, point):
    rows = [make_row(CurveRow, epoch=epoch) for epoch in range(1, 6)]
    for row in rows[:4]:
        put_part(sweep, [row])
    lease = claim(sweep)

    def other():
        put_part(sweep, [rows[4]])
        compact_table(sweep, CurveRow, lease)

    interrupted_by(monkeypatch, type(sweep.files), point, other)
    compact_table(sweep, CurveRow, lease)
    assert read_rows(sweep, CurveRow) == rows
    compact_table(sweep, CurveRow, lease)
    assert [name.split("-")[0] for name in names(sweep)] == ["_manifest", "compact"]
    assert read_rows(sweep, CurveRow) == rows


def test_a_driver_that_wakes_up_while_deleting_removes_nothing_that_counts(sweep, monkeypatch):
    """It sleeps after its manifest; others compact, write and compact meanwhile."""
    rows = [make_row(CurveRow, epoch=epoch) for epoch in (1, 2)]
    lease = claim(sweep)
    put_part(sweep, [rows[0]])
    compact_table(sweep, CurveRow, lease)
    sweep.files.write("s/curves/compact-000002-000.parquet", b"left by a killed compaction")
    kind = type(sweep.files)
    delete, done = kind.delete, []

    def delete_late(self, name):
        if not done:
            done.append(name)
            compact_table(sweep, CurveRow, lease)
            put_part(sweep, [rows[1]])
            compact_table(sweep, CurveRow, lease)
        delete(self, name)

    monkeypatch.setattr(kind, "delete", delete_late)
    compact_table(sweep, CurveRow, lease)
    assert done
    assert read_rows(sweep, CurveRow) == rows


def test_a_part_that_a_superseded_driver_writes_late_counts(sweep):
    rows = [
        make_row(CurveRow, epoch=1, driver_epoch=1),
        make_row(CurveRow, epoch=1, driver_epoch=2, val_top1=0.75),
    ]
    for row in rows:
        put_part(sweep, [row])
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    late = [make_row(CurveRow, epoch=1, driver_epoch=1, val_top1=0.125), make_row(CurveRow, epoch=2)]
    put_part(sweep, late)
    assert read_rows(sweep, CurveRow) == [rows[1], late[1]]
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    assert read_rows(sweep, CurveRow) == [rows[1], late[1]]


def test_a_part_the_listing_missed_is_not_folded(sweep):
    rows = [make_row(CurveRow, epoch=epoch) for epoch in (1, 2, 3)]
    parts = [put_part(sweep, [row]) for row in rows]
    second = sweep.files.read(parts[1])
    sweep.files.delete(parts[1])  # not listed yet, while the third is
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    assert names(sweep)[1:] == ["compact-000001-000.parquet", "part-000001-00000003.parquet"]
    sweep.files.create(parts[1], second)
    assert read_rows(sweep, CurveRow) == rows


def test_a_reader_lists_again_when_a_file_has_vanished(sweep):
    for epoch in (1, 2):
        put_part(sweep, [make_row(CurveRow, epoch=epoch)])
    calls = []

    def read(files):
        calls.append(files.live)
        if len(calls) == 1:
            with claim(sweep) as lease:
                compact_table(sweep, CurveRow, lease)
        return [sweep.files.read(sweep.paths.in_table(CurveRow, name)) for name in files.live]

    assert len(read_live(sweep, CurveRow, read)) == 1
    assert [len(live) for live in calls] == [2, 1]


def test_a_listing_that_a_compaction_cut_short_is_taken_again(sweep, monkeypatch):
    rows = [make_row(CurveRow, epoch=epoch) for epoch in (1, 2)]
    for row in rows:
        put_part(sweep, [row])
    kind = type(sweep.files)
    listing, done = kind.names, []

    def cut_short(self, folder=""):
        found = listing(self, folder)
        if folder == "s/curves" and not done:
            done.append(folder)
            with claim(sweep) as lease:
                compact_table(sweep, CurveRow, lease)
            return []  # all parts were deleted before the listing came to them
        return found

    monkeypatch.setattr(kind, "names", cut_short)
    assert read_rows(sweep, CurveRow) == rows
    assert done


def test_a_missing_compacted_file_is_an_error_and_not_fewer_rows(sweep):
    put_part(sweep, [make_row(CurveRow)])
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
    sweep.files.delete("s/curves/compact-000001-000.parquet")
    with pytest.raises(StoreError, match=r"lacks a file that its manifest lists: .*compact-000001-000\.parquet"):
        read_rows(sweep, CurveRow)


def test_a_damaged_manifest_is_a_store_error(sweep):
    sweep.files.write("s/curves/_manifest-000001.json", b"{}")
    with pytest.raises(StoreError, match=r"manifest .* is damaged"):
        table_files(sweep, CurveRow)


def test_a_manifest_that_is_gone_is_a_store_error_and_nothing_is_folded_without_it(sweep):
    rows = write_part(sweep, 1, (1, 2))
    with claim(sweep) as lease:
        compact_table(sweep, CurveRow, lease)
        for later_part in (None, (3,)):
            rows += write_part(sweep, 1, later_part) if later_part else []
            manifest = sweep.paths.manifest(CurveRow, table_files(sweep, CurveRow).manifest.generation)
            content = sweep.files.read(manifest)
            sweep.files.delete(manifest)
            for act in (lambda: read_rows(sweep, CurveRow), lambda: fold_table(sweep, CurveRow, lease)):
                with pytest.raises(StoreError, match="is gone; bocb verify s --mend"):
                    act()
            sweep.files.write(manifest, content)
    assert read_rows(sweep, CurveRow) == rows


def test_a_torn_part_is_a_store_error_that_names_it(sweep):
    name = put_part(sweep, [make_row(CurveRow)])
    sweep.files.write(name, sweep.files.read(name)[:-10])
    with claim(sweep) as lease, pytest.raises(StoreError, match=r"part-000001-00000001\.parquet"):
        compact(sweep, lease)
    with pytest.raises(StoreError, match=r"part-000001-00000001\.parquet"):
        read_rows(sweep, CurveRow)
    sweep.files.write(name, b"PAR1" + bytes(100) + (50).to_bytes(4, "little") + b"PAR1")  # ends well, means nothing
    with claim(sweep) as lease, pytest.raises(StoreError, match=r"part-000001-00000001\.parquet"):
        compact(sweep, lease)


def test_manifests_read_back():
    manifest = Manifest(generation=3, files=("a", "b"), folded={2: 7, 1: 5}, last_compaction=9)
    assert Manifest.from_json(3, manifest.to_json()) == manifest


def test_files_of_other_schema_versions_are_read(local_sweep):
    sweep = local_sweep
    row = make_row(TrialRow, trial_id="new", hp_lr=0.5)
    table = pq.read_table(sweep.files.location(put_part(sweep, [row])))
    older = table.drop_columns(["hp_lr", "groups", "repeats"]).set_column(1, "trial_id", pa.array(["old"]))
    newer = table.append_column("added_later", pa.array([1])).set_column(1, "trial_id", pa.array(["newer"]))
    for sequence, other in enumerate((older, newer), start=2):
        pq.write_table(other, sweep.files.location(sweep.paths.part(TrialRow, 1, sequence)))
    rows = {row.trial_id: row for row in read_rows(sweep, TrialRow)}
    assert rows["new"] == row
    assert (rows["old"].hp_lr, rows["old"].groups) == (None, None)
    assert rows["newer"].hp_lr == 0.5
    assert read_table(sweep, TrialRow).schema.names == arrow_schema(TrialRow).names


def test_a_newer_schema_is_never_compacted_by_an_older_program(local_sweep):
    sweep = local_sweep
    name = put_part(sweep, [make_row(CurveRow)])
    path = sweep.files.location(name)
    table = pq.read_table(path).append_column("added_later", pa.array([1]))
    pq.write_table(table.replace_schema_metadata({"bocb.schema_version": "1000"}), path)
    with claim(sweep) as lease, pytest.raises(StoreError, match="newer bocb"):
        compact(sweep, lease)
    assert len(read_rows(sweep, CurveRow)) == 1


def assert_each_key_once(sweep, row_type):
    """What every other Parquet reader relies on, also before anything is merged: no key is in two compacted files."""
    keys = [key for name in table_files(sweep, row_type).compacted for key in keys_of(sweep, row_type, name)]
    assert len(set(keys)) == len(keys)


def keys_of(sweep, row_type, name):
    """The keys in a file, which have to be in order."""
    table = pq.read_table(sweep.files.location(sweep.paths.in_table(row_type, name)), columns=list(row_type.KEY))
    keys = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert keys == sorted(keys)
    return keys


@st.composite
def histories(draw):
    """Parts of several drivers in any order, each followed by a compaction of either kind or by none."""
    trial = st.sampled_from(["a", "b", "c"])
    step = st.tuples(
        st.integers(1, 3),
        st.lists(st.tuples(trial, st.integers(1, 2), st.one_of(st.none(), st.integers(0, 2))), min_size=1),
        st.sampled_from([fold_table, fold_table, compact_table, None]),
    )
    return draw(st.lists(step, min_size=1, max_size=8))


@settings(max_examples=12, deadline=None)
@given(history=histories())
def test_whatever_happened_there_is_one_row_per_key_and_the_newest(tmp_path_factory, history):
    store = open_store(str(tmp_path_factory.mktemp("store")))
    sweep = store.sweep("s")
    written = {AttemptRow: [], CurveRow: []}
    for number, (driver, keys, compact_one) in enumerate(history):
        attempts = [
            make_row(
                AttemptRow,
                driver_epoch=driver,
                trial_id=trial,
                attempt=attempt,
                pid=number,
                outcome="FAIL",
                ended_at=None if moment is None else later(moment),
            )
            for trial, attempt, moment in keys
        ]
        curves = [
            make_row(CurveRow, driver_epoch=driver, trial_id=trial, attempt=moment or 0, epoch=epoch, lr=number)
            for trial, epoch, moment in keys
        ]
        for rows in (attempts, curves):
            put_part(sweep, rows)
            written[type(rows[0])] += rows
        if compact_one is not None:
            with claim(sweep) as lease:
                for row_type in written:
                    compact_one(sweep, row_type, lease)
                    assert_each_key_once(sweep, row_type)
    for row_type, rows in written.items():
        assert read_rows(sweep, row_type) == newest(rows)
        with run_query(store, f"SELECT * FROM {row_type.TABLE} ORDER BY {', '.join(row_type.KEY)}") as result:
            assert [row_type(**row) for row in result.table().to_pylist()] == newest(rows)


def test_a_fold_writes_again_only_the_files_that_hold_the_same_keys(sweep):
    first = write_part(sweep, 1, range(1, 7))
    with claim(sweep) as lease:
        fold_table(sweep, CurveRow, lease)
        second = write_part(sweep, 1, range(11, 13))
        fold_table(sweep, CurveRow, lease)
        assert [len(keys_of(sweep, CurveRow, name)) for name in table_files(sweep, CurveRow).compacted] == [6, 2]
        newer = write_part(sweep, 2, (2,))
        fold_table(sweep, CurveRow, lease)
    assert table_files(sweep, CurveRow).live == (
        "compact-000002-000.parquet",  # untouched
        "compact-000003-000.parquet",  # the tail
        "compact-000003-001.parquet",  # the first without the second epoch
    )
    assert [key[2] for key in keys_of(sweep, CurveRow, "compact-000003-001.parquet")] == [1, 3, 4, 5, 6]
    assert read_rows(sweep, CurveRow) == newest([*first, *second, *newer])


def test_a_file_whose_keys_are_all_replaced_is_not_kept(sweep):
    write_part(sweep, 1, (1, 2))
    with claim(sweep) as lease:
        fold_table(sweep, CurveRow, lease)
        newer = write_part(sweep, 2, (1, 2))
        fold_table(sweep, CurveRow, lease)
    assert table_files(sweep, CurveRow).live == ("compact-000002-000.parquet",)
    assert read_rows(sweep, CurveRow) == newer


def test_a_sweep_at_rest_has_one_row_per_key_for_every_reader(sweep):
    rows = []
    with claim(sweep) as lease:
        for epochs in ((1, 2), (2, 3), (3, 4)):
            rows += write_part(sweep, 1, epochs)
            fold_table(sweep, CurveRow, lease)
        rows += write_part(sweep, 2, (1, 5))
        fold(sweep, lease)
    found = [key[2] for name in names(sweep) if name.endswith(".parquet") for key in keys_of(sweep, CurveRow, name)]
    assert sorted(found) == [1, 2, 3, 4, 5]
    assert read_rows(sweep, CurveRow) == newest(rows)


def test_what_a_fold_replaces_stays_until_the_next_one_for_readers_that_are_at_it(sweep):
    listed = []
    with claim(sweep) as lease:
        for epoch in range(1, 9):
            write_part(sweep, 1, (epoch,))
            before = table_files(sweep, CurveRow).live
            fold_table(sweep, CurveRow, lease)
            assert set(before) <= set(names(sweep))
            assert not (set(listed) - {*before, *table_files(sweep, CurveRow).live}) & set(names(sweep))
            listed = before
        compact_table(sweep, CurveRow, lease)
    assert len(names(sweep)) == 2


def test_files_stay_few_and_a_row_is_rewritten_few_times(sweep):
    """Twenty folds of equal size: a tier never holds four files, and a row is written once per tier."""
    counts, rows_written, write_batch = [], [], pq.ParquetWriter.write_batch
    with claim(sweep) as lease, pytest.MonkeyPatch.context() as patch:

        def counting(self, batch, *arguments):
            rows_written.append(batch.num_rows)
            write_batch(self, batch, *arguments)

        patch.setattr(pq.ParquetWriter, "write_batch", counting)
        for fold in range(20):
            put_part(sweep, [make_row(CurveRow, trial_id=f"t{fold:02d}", epoch=epoch) for epoch in range(1, 5)])
            fold_table(sweep, CurveRow, lease)
            counts.append(len(table_files(sweep, CurveRow).compacted))
    assert max(counts) <= 6  # three in each of two tiers
    assert sum(rows_written) <= 80 * 3
    assert len(read_rows(sweep, CurveRow)) == 80


def test_every_table_can_be_compacted(sweep):
    for row_type in ROW_TYPES:
        put_part(sweep, [make_row(row_type)])
        put_part(sweep, [make_row(row_type)])
    with claim(sweep) as lease:
        assert [item.rows_after for item in compact(sweep, lease)] == [1] * len(ROW_TYPES)
