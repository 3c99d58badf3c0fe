"""One driver per sweep: a claim is a file that only one process can create, and a newer claim ends an older one.

Claims are numbered (`driver_epoch`); nothing but an exclusive create makes one, so two drivers never hold the same
number. A driver shows by a heartbeat that it lives, and looks for a newer claim before each commit. The heartbeat
only decides how soon another may take over: should clocks disagree, the numbers still keep the rows apart.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import psutil

from orchestrator.errors import BusyError, StoreError, SupersededError, UsageError
from orchestrator.store.files import store_errors
from orchestrator.store.paths import parse_driver
from orchestrator.store.seal import seal_json, unseal_json
from orchestrator.store.store import SweepStore

EXPIRY_SECONDS = 60.0
BEATS_PER_EXPIRY = 6

_log = logging.getLogger(__name__)


def now_with_zone() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


def expiry_seconds() -> float:
    """How long a driver may show no sign of life until it may be taken over: BOCB_LEASE_SECONDS, else 60.

    All drivers of a store must agree on it.

    Raises:
        UsageError: The variable holds no number of seconds.
    """
    given = os.environ.get("BOCB_LEASE_SECONDS")
    if given is None:
        return EXPIRY_SECONDS
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"BOCB_LEASE_SECONDS is {given!r}; give a number of seconds above 0")
    return seconds


def beat_seconds() -> float:
    """How often a driver that lives writes its heartbeat."""
    return expiry_seconds() / BEATS_PER_EXPIRY


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverInfo:
    """The newest driver of a sweep, as others see it."""

    driver_epoch: int
    host: str
    pid: int
    alive: bool
    released: bool
    heartbeat_age: float
    """Seconds since its last sign of life."""
    running_for: float
    """Seconds since it claimed the sweep."""


class Lease:
    """The right of this process to write to a sweep, until it is released or a newer driver claims the sweep."""

    def __init__(self, sweep: SweepStore, driver_epoch: int, now: Callable[[], datetime] = now_with_zone) -> None:
        self.driver_epoch = driver_epoch
        self._sweep = sweep
        self._now = now
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def check(self) -> None:
        """Costs two looks at the file system.

        Raises:
            SupersededError: A newer driver has claimed the sweep; nothing more may be written.
            OSError: The store is not where it was: it was moved away, or is not mounted now.
        """
        require_claim(self._sweep, self.driver_epoch)
        if self._sweep.files.exists(self._sweep.paths.driver(self.driver_epoch + 1)):
            raise SupersededError(
                f"another driver has taken over sweep {self._sweep.name!r}; this one (driver {self.driver_epoch}) "
                "stops and writes nothing more"
            )

    def beat(self) -> None:
        """Shows that this driver lives."""
        self._write_beat(released=False)

    def start_heartbeat(self, seconds: float | None = None) -> None:
        """Beats every `seconds` (by default `beat_seconds`) from a thread of its own, until `release`."""
        seconds = beat_seconds() if seconds is None else seconds
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_beating, args=(seconds,), name="heartbeat", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """Lets the next driver claim the sweep at once."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()  # a beat after the release would undo it
        with store_errors(f"cannot release sweep {self._sweep.name!r}"):
            self._write_beat(released=True)

    def _keep_beating(self, seconds: float) -> None:
        while True:
            try:
                self.check()
                self.beat()
            except SupersededError:
                return  # whoever writes next hears of it from `check`
            except OSError as error:
                _log.warning("no heartbeat could be written, the next try is in %g s: %s", seconds, error)
            if self._stop.wait(seconds):
                return

    def _write_beat(self, *, released: bool) -> None:
        require_claim(self._sweep, self.driver_epoch)
        content = {"at": self._now().isoformat(), "released": released}
        self._sweep.files.write(self._sweep.paths.beat(self.driver_epoch), seal_json(content))


def require_claim(sweep: SweepStore, driver_epoch: int) -> None:
    """Keeps a process from making a sweep anew where its store has gone away, and from losing there what it writes.

    Raises:
        OSError: The driver's claim is not there.
    """
    name = sweep.paths.driver(driver_epoch)
    if not sweep.files.exists(name):
        why = "the store is not where it was: it was moved, removed or unmounted"
        raise OSError(errno.ESTALE, why, sweep.files.location(name))


def claim(
    sweep: SweepStore,
    *,
    take_over: bool = False,
    now: Callable[[], datetime] = now_with_zone,
    poll_seconds: float = 1.0,
) -> Lease:
    """Makes this process the driver of a sweep.

    Args:
        sweep: The sweep; its folder is made if need be.
        take_over: Wait until the heartbeat of a living driver ends or expires, instead of refusing.
        now: The clock, for tests.
        poll_seconds: How often to look while waiting.

    Raises:
        BusyError: Another driver lives, or has just claimed the sweep.
    """
    waiting = False
    while True:
        try:
            with store_errors(f"cannot claim sweep {sweep.name!r}"):
                return _claim_once(sweep, now)
        except BusyError as error:
            if not take_over:
                raise
            if not waiting:
                _log.warning("waiting to take over: %s", error)
            waiting = True
            time.sleep(poll_seconds)


def driver_of(sweep: SweepStore, *, now: Callable[[], datetime] = now_with_zone) -> DriverInfo | None:
    """The newest driver of a sweep, or None where none ever claimed it."""
    with store_errors(f"cannot read the drivers of sweep {sweep.name!r}"):
        epochs = [parse_driver(name) or 0 for name in sweep.files.names(sweep.paths.drivers)]
        newest = max(epochs, default=0)
        return _read_driver(sweep, newest, now()) if newest else None


def check_free(sweep: SweepStore, *, now: Callable[[], datetime] = now_with_zone) -> DriverInfo | None:
    """The newest driver of a sweep, if it is not at work.

    Raises:
        BusyError: It is.
    """
    driver = driver_of(sweep, now=now)
    if driver is not None and driver.alive:
        raise BusyError(
            f"sweep {sweep.name!r} is being run by process {driver.pid} on {driver.host} (driver "
            f"{driver.driver_epoch}, last heartbeat {driver.heartbeat_age:.0f} s ago); wait for it, stop it with "
            f"'bocb stop {sweep.name}', or give --take-over"
        )
    return driver


def _claim_once(sweep: SweepStore, now: Callable[[], datetime]) -> Lease:
    driver = check_free(sweep, now=now)
    epoch = driver.driver_epoch + 1 if driver else 1
    content = {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "process": _process(os.getpid()),
        "claimed_at": now().isoformat(),
    }
    try:
        sweep.files.create(sweep.paths.driver(epoch), seal_json(content))
    except FileExistsError as error:
        raise BusyError(
            f"another driver claimed sweep {sweep.name!r} at the same moment; wait for it, or give --take-over"
        ) from error
    return Lease(sweep, epoch, now)


def _read_driver(sweep: SweepStore, epoch: int, now: datetime) -> DriverInfo:
    what, name = "claim", sweep.paths.driver(epoch)
    try:
        claimed = unseal_json(sweep.files.read(name))
        beat = {"at": claimed["claimed_at"], "released": False}
        if sweep.files.exists(sweep.paths.beat(epoch)):
            what, name = "heartbeat", sweep.paths.beat(epoch)
            beat = unseal_json(sweep.files.read(name))
        age, running_for = (
            max(0.0, (now - datetime.fromisoformat(at)).total_seconds()) for at in (beat["at"], claimed["claimed_at"])
        )
        here = claimed["host"] == socket.gethostname() and claimed["machine"] == _machine()
        gone = here and _process(claimed["pid"]) != claimed["process"]
        return DriverInfo(
            driver_epoch=epoch,
            host=claimed["host"],
            pid=claimed["pid"],
            alive=not beat["released"] and age < expiry_seconds() and not gone,
            released=beat["released"],
            heartbeat_age=age,
            running_for=running_for,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the {what} of a driver, {sweep.files.location(name)}, is damaged ({error}); 'bocb verify {sweep.name} "
            "--mend' mends it if no driver runs"
        ) from error


def _machine() -> str:
    """What must be equal for process ids to be comparable: the boot of the kernel and the pid namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""  # not Linux: the host name alone decides


def _process(pid: int) -> str | None:
    """Identity of a running process, which a later one of the same pid does not share; None where none runs."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        try:
            # psutil's create_time on Linux moves whenever the clock is set; ticks since boot do not.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            return f"{fields.split()[19]} ticks after boot"
        except OSError:
            return f"at {process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
