import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from orchestrator.errors import BusyError, StoreError, SupersededError, UsageError
from orchestrator.store.drivers import driver_of, now_with_zone
from orchestrator.store.lease import claim
from orchestrator.store.seal import seal_json, unseal_json
from orchestrator.store.store import open_store

CLAIM_AND_WAIT = """
import sys, time
from orchestrator.store.lease import claim
from orchestrator.store.seal import seal_json, unseal_json
from orchestrator.store.store import open_store
lease = claim(open_store(sys.argv[1]).sweep("s"))
print(lease.driver_epoch, flush=True)
time.sleep(60)
"""


@pytest.fixture
def sweep(store_uri):
    return open_store(store_uri, create=True).sweep("s")


def driver_elsewhere(sweep, epoch, *, age_seconds):
    """A driver of another host, as its files show it."""
    at = (now_with_zone() - timedelta(seconds=age_seconds)).isoformat()
    content = {"host": "elsewhere", "machine": "m", "pid": 7, "process": "p", "claimed_at": at}
    sweep.files.write(sweep.paths.driver(epoch), json.dumps(content).encode())


def test_drivers_are_numbered_and_release_lets_the_next_claim_at_once(sweep):
    assert driver_of(sweep) is None
    for number in (1, 2, 3):
        with claim(sweep) as lease:
            assert lease.driver_epoch == number
            assert driver_of(sweep).alive
        assert driver_of(sweep).released
        assert not driver_of(sweep).alive


def test_a_living_driver_of_this_host_is_respected(sweep):
    lease = claim(sweep)
    with pytest.raises(BusyError, match=rf"process {os.getpid()} on .* last heartbeat 0 s ago.*--take-over"):
        claim(sweep)
    lease.check()


def test_a_killed_driver_of_this_host_is_dead_at_once(sweep):
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT, sweep.files.root], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "1\n"
        with pytest.raises(BusyError, match=f"process {process.pid}"):
            claim(sweep)
        process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while driver_of(sweep).alive:  # it stays a zombie: this process has not waited for it
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert claim(sweep).driver_epoch == 2
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_reuses_the_pid_is_not_the_driver(sweep):
    claim(sweep)
    name = sweep.paths.driver(1)
    content = unseal_json(sweep.files.read(name)) | {"process": "1 ticks after boot"}
    sweep.files.write(name, seal_json(content))
    assert claim(sweep).driver_epoch == 2


def test_the_same_pid_on_another_machine_says_nothing(sweep):
    claim(sweep)
    name = sweep.paths.driver(1)
    content = unseal_json(sweep.files.read(name)) | {"process": "1 ticks after boot", "machine": "another boot"}
    sweep.files.write(name, seal_json(content))
    with pytest.raises(BusyError):
        claim(sweep)


@pytest.mark.parametrize(("age", "alive"), [(0, True), (55, True), (65, False), (-3600, True)])
def test_a_driver_elsewhere_lives_by_its_heartbeat(sweep, age, alive):
    driver_elsewhere(sweep, 1, age_seconds=age)
    assert driver_of(sweep).alive is alive
    if alive:
        with pytest.raises(BusyError, match="process 7 on elsewhere"):
            claim(sweep)
    else:
        assert claim(sweep).driver_epoch == 2


def test_a_beat_renews_and_an_old_beat_expires(sweep):
    hour = timedelta(hours=1)
    lease = claim(sweep, now=lambda: now_with_zone() - hour)
    assert not driver_of(sweep).alive
    lease = type(lease)(sweep, 1)
    lease.beat()
    assert driver_of(sweep).alive
    assert not driver_of(sweep, now=lambda: now_with_zone() + hour).alive


def test_the_heartbeat_thread_beats_until_release(sweep):
    lease = claim(sweep)
    lease.start_heartbeat(0.02)
    seen = set()
    deadline = time.monotonic() + 10
    while len(seen) < 3:
        assert time.monotonic() < deadline
        if sweep.files.exists(sweep.paths.beat(1)):
            seen.add(sweep.files.read(sweep.paths.beat(1)))
    lease.release()
    time.sleep(0.1)
    assert driver_of(sweep).released


def test_the_heartbeat_survives_a_store_that_cannot_be_written(sweep, monkeypatch):
    lease = claim(sweep)
    write, failed = type(sweep.files).write, threading.Event()

    def fail_once(self, name, data):
        if not failed.is_set():
            failed.set()
            raise OSError(28, "No space left on device")
        write(self, name, data)

    monkeypatch.setattr(type(sweep.files), "write", fail_once)
    lease.start_heartbeat(0.02)
    deadline = time.monotonic() + 10
    while not sweep.files.exists(sweep.paths.beat(1)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert failed.is_set()
    lease.release()


def test_an_older_driver_is_told_that_it_is_superseded(sweep):
    old = claim(sweep, now=lambda: now_with_zone() - timedelta(hours=1))  # its last sign of life is an hour old
    old.check()
    new = claim(sweep)
    with pytest.raises(SupersededError, match=r"sweep 's'.*driver 1"):
        old.check()
    new.check()
    old.start_heartbeat(0.01)  # ends by itself
    old.release()
    assert driver_of(sweep).alive, "an old driver's release is not the new one's"


def claim_at_once(sweep, count):
    """What `count` threads get that claim at the same moment: leases or errors."""
    start, results = threading.Barrier(count), []

    def run():
        start.wait()
        try:
            results.append(claim(sweep))
        except BusyError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_several_claims_at_once_one_wins(sweep):
    for epoch in range(1, 6):
        results = claim_at_once(sweep, 4)
        leases = [result for result in results if not isinstance(result, BusyError)]
        assert len(results) == 4
        assert [lease.driver_epoch for lease in leases] == [epoch]
        leases[0].release()


def test_a_lost_race_is_busy(sweep, monkeypatch):
    create = type(sweep.files).create

    def another_first(self, name, data):
        create(self, name, data)
        create(self, name, data)

    monkeypatch.setattr(type(sweep.files), "create", another_first)
    with pytest.raises(BusyError, match="same moment"):
        claim(sweep)


def test_take_over_waits_for_the_heartbeat_to_expire(sweep):
    driver_elsewhere(sweep, 1, age_seconds=59)
    started = time.monotonic()
    lease = claim(sweep, take_over=True, poll_seconds=0.05)
    assert lease.driver_epoch == 2
    assert 0.5 < time.monotonic() - started < 10


def test_a_damaged_claim_or_heartbeat_is_a_store_error_that_names_it(sweep):
    claim(sweep).beat()
    for name, what in ((sweep.paths.beat(1), "heartbeat"), (sweep.paths.driver(1), "claim")):
        sweep.files.write(name, b"{}")
        with pytest.raises(StoreError, match=rf"{what} .*{name}, is damaged.*bocb verify s --mend"):
            claim(sweep)


def test_a_lease_time_that_is_no_time_is_refused(sweep, monkeypatch):
    for value in ("soon", "0", "-3", "nan", ""):
        monkeypatch.setenv("BOCB_LEASE_SECONDS", value)
        with pytest.raises(UsageError, match=f"BOCB_LEASE_SECONDS is '{value}'"):
            claim(sweep).start_heartbeat()
