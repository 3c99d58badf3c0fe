"""What only an object store does: it loses answers, is busy, refuses, and knows no folders."""

import os
import random
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.errors import StoreError
from orchestrator.store import object_files, object_requests
from orchestrator.store.lease import claim
from orchestrator.store.object_files import object_root
from orchestrator.store.schema import AttemptRow, CurveRow, SweepRow, TrialRow
from orchestrator.store.store import Store, open_store
from orchestrator.store.writer import TableWriter
from tests.object_store import FAULTS, PAGE
from tests.store_examples import make_row

CLAIM_WHEN_TOLD = """
import sys
from orchestrator.errors import BusyError
from orchestrator.store.lease import claim
from orchestrator.store.store import Store
store = Store(sys.argv[1])
store.files.names()  # connected before the race begins
print("ready", flush=True)
for line in sys.stdin:
    try:
        print(claim(store.sweep(line.strip())).driver_epoch, flush=True)
    except BusyError:
        print("busy", flush=True)
"""


@pytest.fixture
def files(object_store, monkeypatch):
    """A place in the object store whose user is impatient."""
    monkeypatch.setattr(object_files, "ANSWER_SECONDS", 0.15)
    monkeypatch.setattr(object_requests, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(object_requests, "LAST_PAUSE_SECONDS", 0.05)
    return Store(object_store.new_uri()).files


def once(fault):
    """A choice that gives the next request a fault, and all others none."""
    waiting = [fault]
    return lambda method, path: waiting.pop() if waiting else None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_passes_is_never_seen(files, object_store, fault):
    files.write("s/b", b"old" * 1000)
    steps = {
        "create": lambda: files.create("s/a", b"mine" * 1000),
        "read": lambda: files.read("s/a") == b"mine" * 1000,
        "write": lambda: files.write("s/b", b"new"),
        "names": lambda: files.names("s") == ["a", "b"],
        "exists": lambda: files.exists("s/b") and not files.exists("s/c"),
        "size": lambda: files.size("s/b") == 3,
        "delete": lambda: files.delete("s/b"),
    }
    for name, step in steps.items():
        before = object_store.injected[fault]
        with object_store.faults(once(fault)):
            assert step() in (None, True), name
        assert object_store.injected[fault] == before + 1
    assert (files.names("s"), files.read("s/a")) == (["a"], b"mine" * 1000)
    with pytest.raises(FileExistsError):
        files.create("s/a", b"mine" * 1000)  # the same content, and yet another writer's


@pytest.mark.parametrize("seed", [1])
def test_whatever_is_lost_on_the_way_the_store_holds_what_was_said(files, object_store, seed):
    numbers, model, before = random.Random(seed), {}, object_store.injected.total()
    with object_store.faults(object_store.seeded(seed, 0.3)):
        for step in range(40):
            name, data = f"s/{numbers.randrange(8)}", bytes([step]) * numbers.randrange(5000)
            match numbers.choice(["create", "create", "write", "read", "delete", "names"]):
                case "create" if name in model:
                    with pytest.raises(FileExistsError):
                        files.create(name, data)
                case "create" | "write" as method:
                    getattr(files, method)(name, data)
                    model[name] = data
                case "read" if name in model:
                    assert files.read(name) == model[name]
                case "delete":
                    files.delete(name)
                    model.pop(name, None)
                case _:
                    assert [f"s/{found}" for found in files.names("s")] == sorted(model)
    assert {name: files.read(f"s/{name}") for name in files.names("s")} == {
        name.removeprefix("s/"): data for name, data in model.items()
    }
    assert object_store.injected.total() > before + 5


def test_a_store_that_stays_away_is_an_error_after_a_bounded_time(files, object_store, monkeypatch):
    monkeypatch.setattr(object_requests, "RETRY_SECONDS", 0.3)
    started = time.monotonic()
    with object_store.faults(lambda method, path: "503 before"):
        for attempt in (lambda: files.exists("s/a"), lambda: files.names("s"), lambda: files.create("s/a", b"")):
            with pytest.raises(OSError, match=r"the object store says .*s3://"):
                attempt()
    assert 0.6 < time.monotonic() - started < 5
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"cannot be read: the object store does not answer \(.*127\.0\.0\.1:1"):
        open_store(files.root)


def test_a_refusal_is_not_tried_again_and_says_so(files, object_store):
    before = object_store.requests.total()
    with object_store.faults(lambda method, path: "403 before"):
        with pytest.raises(PermissionError, match="refuses these credentials"):
            files.read("s/a")
        assert object_store.requests.total() == before + 1
        with pytest.raises(StoreError, match=r"the store .* cannot be written: .* refuses these credentials") as e:
            open_store(files.root, create=True)
        assert "\n" not in str(e.value)


def test_a_missing_bucket_is_not_an_empty_store(object_store):
    with pytest.raises(StoreError, match=r"'s3://no-such-bucket/x' cannot be read: there is no such bucket"):
        open_store("s3://no-such-bucket/x")
    with pytest.raises(OSError, match="no such bucket"):
        Store("s3://no-such-bucket/x").files.create("s/a", b"")


def test_missing_credentials_are_named(object_store, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(object_files, "CONNECT_SECONDS", 4.5)  # another connection than that of other tests
    with pytest.raises(StoreError, match="cannot be read: no credentials: set AWS_ACCESS_KEY_ID"):
        open_store(object_store.new_uri())


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "orchestrator.store.object_files")
    with pytest.raises(StoreError, match=r"needs s3fs, which is not installed: pip install 'bocb\[s3\]'"):
        open_store("s3://bucket/prefix")


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(object_store, monkeypatch):
    uri = object_store.new_uri()
    monkeypatch.setattr(object_store, "ignores_conditions", True)
    with pytest.raises(StoreError, match="ignores If-None-Match"):
        open_store(uri, create=True)
    assert Store(uri).files.names() == []


@pytest.mark.parametrize("name", ["a/../b", "../a", "/a", "a//b", "a/", ".", "a\\b", "a\nb"])
def test_names_that_could_be_something_else_never_leave(files, name):
    for ask in (files.read, files.exists, files.delete, files.names, lambda name: files.create(name, b"")):
        with pytest.raises(OSError, match="not a name of an object in the store"):
            ask(name)


@pytest.mark.parametrize(
    "uri", ["s3://", "s3://b", "s3://Bucket", "s3://k:s@bucket", "s3://bucket/a//b", "s3://bucket/*"]
)
def test_roots_that_could_be_something_else_are_refused(uri):
    with pytest.raises(StoreError, match="is not s3://bucket/prefix"):
        object_root(uri)


def test_a_store_may_be_a_whole_bucket_and_a_slash_at_its_end_says_nothing(object_store):
    bucket = object_store.new_uri().rpartition("/")[0]
    store = open_store(bucket + "/", create=True)
    assert store.uri == store.files.location() == bucket
    store.files.write("whole/a", b"1")
    assert "whole" in store.files.names()
    assert Store(f"{bucket}/whole").files.names() == ["a"]
    store.files.delete("whole/a")


def test_long_listings_come_whole(files):
    expected = sorted(f"{number}" for number in range(2 * PAGE + 5))
    for name in expected:
        files.write(f"s/{name}", b"")
        if int(name) % 40 == 0:
            files.write(f"s/folder-{name}/x", b"")
    assert files.names("s") == [*expected, "folder-0", "folder-40", "folder-80"]


def test_of_a_large_object_only_what_is_read_is_fetched(files, object_store, monkeypatch):
    monkeypatch.setattr(object_files, "TAIL_BYTES", 2000)
    monkeypatch.setattr(object_files, "BLOCK_BYTES", 1000)
    table = pa.table({"wide": [random.Random(0).randbytes(50) for _ in range(5000)], "narrow": range(5000)})
    with files.new_file("s/a") as file:
        pq.write_table(table, file, compression="none", use_dictionary=False)
    content = files.read("s/a")
    with files.open("s/a") as file:
        assert pq.read_table(file).equals(table)
        for place in (0, 5, 100_000, len(content) - 2500, len(content) - 1):
            file.seek(place)
            assert file.read(777) == content[place : place + 777]
        assert (file.read(), file.seek(10**9), file.read()) == (b"", 10**9, b"")
    before = object_store.requests.total()
    with files.open("s/a") as file:
        pq.read_metadata(file)
    assert object_store.requests.total() <= before + 3


def test_large_files_go_up_in_chunks_and_still_exclusively(files, object_store, monkeypatch):
    monkeypatch.setattr(object_files, "CHUNK_BYTES", 5 * 2**20)
    monkeypatch.setattr(object_files, "ANSWER_SECONDS", 20)
    content = os.urandom(11 * 2**20)
    lost = []

    def lose_the_completion(method, path):
        if method == "POST" and "uploadId" in path and not lost:
            lost.append(path)
            return "reset after"
        return None

    with object_store.faults(lose_the_completion), files.new_file("s/a") as file:
        file.write(content)
    assert lost
    assert files.read("s/a") == content
    with pytest.raises(FileExistsError):
        files.create("s/a", content)
    assert files.names("s") == ["a"]


def test_of_two_processes_that_claim_at_once_one_wins(object_store):
    uri = object_store.new_uri()
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
    command = [sys.executable, "-c", CLAIM_WHEN_TOLD, uri]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    racers = [subprocess.Popen(command, **pipes) for _ in range(2)]
    try:
        assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 2
        # Half of the answers to a create are lost, so that each racer meets claims of its own and of the other.
        choice = random.Random(0)
        before = object_store.injected["reset after"]
        lose = lambda method, path: "reset after" if method == "PUT" and choice.random() < 0.5 else None  # noqa: E731
        with object_store.faults(lose):
            for number in range(10):
                for racer in racers:
                    racer.stdin.write(f"sweep-{number}\n")
                    racer.stdin.flush()
                assert sorted(racer.stdout.readline() for racer in racers) == ["1\n", "busy\n"]
        assert object_store.injected["reset after"] > before
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


def test_a_flush_asks_little_of_the_store(object_store):
    sweep = open_store(object_store.new_uri(), create=True).sweep("s")
    with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=60) as writer:

        def flush(row_types):
            before = object_store.requests.copy()
            for row_type in row_types:
                for _ in range(50):
                    writer.add(make_row(row_type))
            writer.flush()
            return object_store.requests - before

        every = (SweepRow, CurveRow, AttemptRow, TrialRow)
        flush(every)  # each table learns once what is there
        # Per table one look at the claims, and one part.
        assert flush(every) == {"GET": 4, "PUT": 4}
        assert flush([CurveRow]) == {"GET": 1, "PUT": 1}
    assert TableWriter.__init__.__kwdefaults__["flush_seconds"] is None
    assert (sweep.files.flush_seconds, open_store("here").files.flush_seconds) == (60, 1)
