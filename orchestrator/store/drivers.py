"""The drivers of a sweep as others see them: who claimed it last, and whether that process is still at work."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from orchestrator.errors import BusyError, StoreError, UsageError
from orchestrator.store.files import store_errors
from orchestrator.store.paths import parse_driver
from orchestrator.store.seal import unseal_json
from orchestrator.store.store import SweepStore

EXPIRY_SECONDS = 60.0
BEATS_PER_EXPIRY = 6


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


def driver_of(sweep: SweepStore, *, now: Callable[[], datetime] = now_with_zone) -> DriverInfo | None:
    """The newest driver of a sweep, or None where none ever claimed it."""
    with store_errors(f"cannot read the drivers of sweep {sweep.name!r}"):
        epochs = [parse_driver(name) or 0 for name in sweep.files.names(sweep.paths.drivers)]
        newest = max(epochs, default=0)
        return _read_driver(sweep, newest, now()) if newest else None


def working_driver(sweep: SweepStore) -> DriverInfo | None:
    """The driver of a sweep if it is known to be at work; damage to its claim or heartbeat is for `bocb verify`.

    Raises:
        StoreError: The store cannot be reached.
    """
    try:
        driver = driver_of(sweep)
    except StoreError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return None
    return driver if driver is not None and driver.alive else None


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


def identity() -> dict[str, object]:
    """By what others tell whether this process is still there."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "process": _process(os.getpid()),
    }


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
