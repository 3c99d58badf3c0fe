import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import StoreError, UsageError
from orchestrator.store.local_files import LocalFiles
from orchestrator.store.paths import (
    PartName,
    SweepPaths,
    check_sweep_name,
    check_trial_id,
    compacted_name,
    parse_compacted,
    parse_driver,
    parse_manifest,
    parse_part,
)
from orchestrator.store.schema import CurveRow, SweepRow
from orchestrator.store.store import open_store

NOT_NAMES = ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".hidden", "-x", "a b", "ä", "a\n", "a\0", "a" * 101, "~"]


@pytest.fixture
def files(store_uri):
    return open_store(store_uri, create=True).files


@pytest.fixture
def local_files(tmp_path):
    return LocalFiles(str(tmp_path))


def seen(files, folder):
    """What a folder holds, but for the place of files being written."""
    return [name for name in files.names(folder) if name != ".tmp"]


def test_written_files_read_back_and_leave_nothing_else(files):
    files.write("s/a.json", b"one")
    files.write("s/a.json", b"two")
    files.create("s/t/b", b"three")
    assert files.read("s/a.json") == b"two"
    assert (seen(files, "s"), files.names("s/t"), files.names("s/.tmp")) == (["a.json", "t"], ["b"], [])
    assert (seen(files, ""), files.names("nowhere")) == (["s"], [])
    assert (files.size("s/a.json"), files.exists("s/t/b"), files.exists("s/t/c")) == (3, True, False)
    assert [files.is_folder(name) for name in ("", "s", "s/t", "s/t/b", "s/u")] == [True, True, True, False, False]
    with files.open("s/t/b") as file:
        file.seek(-3, os.SEEK_END)
        assert (file.read(2), file.tell(), file.read()) == (b"re", 4, b"e")
    files.delete("s/a.json")
    files.delete("s/a.json")
    assert not files.exists("s/a.json")
    for ask in (files.read, files.size, files.open):
        with pytest.raises(FileNotFoundError, match=r"a\.json"):
            ask("s/a.json")
    files.delete("s/t/b")
    files.delete_empty_folder("s/t")
    assert seen(files, "s") == []


def test_a_file_may_be_empty_and_have_a_folder_beside_it(files):
    files.create("s/a", b"")
    files.create("s/a-b/c", b"")
    assert (files.read("s/a"), files.size("s/a"), seen(files, "s")) == (b"", 0, ["a", "a-b"])
    assert not files.is_folder("s/a")
    assert not files.is_folder("s/a-")


def test_create_refuses_a_name_that_is_taken(files):
    files.create("s/a", b"one")
    with pytest.raises(FileExistsError):
        files.create("s/a", b"two")
    assert files.read("s/a") == b"one"
    assert files.names("s/.tmp") == []


def test_of_many_creators_exactly_one_wins(files):
    won, start = [], threading.Barrier(8)

    def create(number):
        start.wait()
        try:
            files.create("s/a", str(number).encode() * 10_000)
        except FileExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert files.read("s/a") == str(won[0]).encode() * 10_000


def test_a_link_that_nfs_made_and_reported_as_failed_counts_as_made(local_files, monkeypatch):
    link = os.link

    def link_twice(source, target):
        link(source, target)
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(os, "link", link_twice)
    local_files.create("s/a", b"one")
    assert local_files.read("s/a") == b"one"


def test_a_file_that_fails_halfway_never_appears(files):
    def write_half():
        with files.new_file("s/a") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert not files.exists("s/a")
    assert files.names("s/.tmp") == []


def test_content_is_synced_before_it_appears_and_its_folder_after(local_files, monkeypatch):
    files = local_files
    files.create("s/x", b"")
    done = []
    fsync, link, replace = os.fsync, os.link, Path.replace
    kind = lambda fd: "folder" if Path(f"/proc/self/fd/{fd}").resolve().is_dir() else "file"  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(kind(fd)), fsync(fd)))
    monkeypatch.setattr(os, "link", lambda a, b: (done.append("appears"), link(a, b)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (done.append("appears"), replace(a, b)))
    files.create("s/a", b"1")
    assert done == ["file", "appears", "folder"]
    done.clear()
    files.write("s/a", b"2")
    assert done == ["file", "appears", "folder"]


def test_only_temporaries_that_nobody_writes_are_stale(local_files, tmp_path):
    files = local_files
    files.write("s/a", b"")
    old, new = tmp_path / "s/.tmp/old.tmp", tmp_path / "s/.tmp/new.tmp"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (1, 1))
    files.delete_stale_temporaries("s", older_than_seconds=60)
    assert files.names("s/.tmp") == ["new.tmp"]


@pytest.mark.parametrize("name", NOT_NAMES)
def test_names_that_could_be_paths_are_refused(name):
    with pytest.raises(UsageError, match="cannot name a sweep"):
        check_sweep_name(name)
    with pytest.raises(UsageError):
        SweepPaths(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".hidden", "a b", "a\n", "a\0"])
def test_trial_ids_that_could_be_paths_are_refused(name):
    with pytest.raises(StoreError, match="cannot be a trial id"):
        check_trial_id(name)
    with pytest.raises(StoreError):
        SweepPaths("s").checkpoint(name, 1, 1)


def test_file_names_are_as_documented_and_parse_back():
    paths = SweepPaths("s-1.x")
    assert paths.part(CurveRow, 3, 12) == "s-1.x/curves/part-000003-00000012.parquet"
    assert paths.manifest(SweepRow, 7) == "s-1.x/sweeps/_manifest-000007.json"
    assert (paths.driver(2), paths.beat(2)) == ("s-1.x/drivers/000002.json", "s-1.x/drivers/000002.beat.json")
    assert paths.checkpoint("t-1", 2, 3) == "s-1.x/checkpoints/t-1/000002-0003.ckpt"
    assert (compacted_name(4, 1), paths.stop(2)) == ("compact-000004-001.parquet", "s-1.x/drivers/000002.stop.json")
    assert parse_part("part-000003-00000012.parquet") == PartName(driver_epoch=3, sequence=12)
    assert parse_compacted("compact-000004-001.parquet") == 4
    assert parse_manifest("_manifest-000007.json") == 7
    assert parse_driver("000002.json") == 2
    for parse in (parse_part, parse_compacted, parse_manifest, parse_driver):
        assert parse("000002.beat.json") is None
        assert parse("000002.stop.json") is None


def test_a_store_is_the_given_uri_else_the_environment_else_a_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOCB_STORE", raising=False)
    assert open_store().uri == str(tmp_path / "bocb-store")
    monkeypatch.setenv("BOCB_STORE", f"file://{tmp_path}/en%20v")
    assert open_store().uri == str(tmp_path / "en v")
    assert open_store("given").uri == str(tmp_path / "given")


def test_opening_a_store_makes_nothing_and_the_first_file_makes_its_folder(tmp_path):
    store = open_store(str(tmp_path / "a/b"))
    assert store.sweeps() == []
    assert not (tmp_path / "a").exists()
    store = open_store(str(tmp_path / "a/b"), create=True)
    assert not (tmp_path / "a").exists()
    store.files.write("s/drivers/000001.json", b"{}")
    assert store.sweeps() == ["s"]


def test_an_empty_name_is_not_the_default_store(tmp_path, monkeypatch):
    monkeypatch.setenv("BOCB_STORE", str(tmp_path))
    with pytest.raises(UsageError, match="--store is empty"):
        open_store("")
    assert open_store().uri == str(tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3://b",
        "s3://bucket/../x",
        "s3a://bucket",
        "gs://b",
        "http://x/y",
        "file://host/x",
        "file:relative",
        "a\0b",
    ],
)
def test_other_stores_are_refused_in_one_sentence(uri):
    with pytest.raises(StoreError) as error:
        open_store(uri)
    assert repr(uri) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_store_that_is_a_file_or_lies_below_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(str(tmp_path / "file" / "below"), create=True)


def test_a_store_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may do anything
    open_store(str(tmp_path))
    with pytest.raises(StoreError, match="cannot be written: Permission denied"):
        open_store(str(tmp_path), create=True)


def test_two_that_open_a_new_store_at_once_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        for number in range(50):
            uri = str(tmp_path / f"new-{number}" / "deep" / "store")
            opened = list(pool.map(lambda _, uri=uri: open_store(uri, create=True), range(4)))
            assert len(opened) == 4
    assert list(tmp_path.iterdir()) == []


def test_sweeps_are_the_folders_with_records(store_uri):
    store = open_store(store_uri)
    store.files.write("b/drivers/000001.json", b"{}")
    store.files.write("a/sweeps/part-000001-00000001.parquet", b"")
    store.files.write("empty/other/file", b"")
    store.files.write("notes.txt", b"")
    assert store.sweeps() == ["a", "b"]
    assert store.existing_sweep("a").name == "a"


def test_an_unknown_sweep_names_close_ones_and_the_store(tmp_path):
    store = open_store(str(tmp_path))
    with pytest.raises(UsageError, match="holds no sweeps"):
        store.existing_sweep("paper")
    store.files.write("paper20/drivers/000001.json", b"{}")
    with pytest.raises(UsageError, match=r"unknown sweep 'paper2'; did you mean paper20\?.*in the store /"):
        store.existing_sweep("paper2")
    with pytest.raises(UsageError, match="cannot name a sweep"):
        store.existing_sweep("../paper20")
