"""One driver per sweep: a claim is a file that only one process can create, and a newer claim ends an older one.

Claims are numbered (`driver_epoch`); nothing but an exclusive create makes one, so two drivers never hold the same
number. A driver shows by a heartbeat that it lives, and looks for a newer claim before each commit. The heartbeat
only decides how soon another may take over: should clocks disagree, the numbers still keep the rows apart.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType

from orchestrator.errors import BusyError, SupersededError
from orchestrator.store.drivers import beat_seconds, check_free, identity, now_with_zone
from orchestrator.store.files import store_errors
from orchestrator.store.paths import parse_driver
from orchestrator.store.seal import seal_json
from orchestrator.store.store import SweepStore

_log = logging.getLogger(__name__)


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
        """Costs one look at the claims.

        Raises:
            SupersededError: A newer driver has claimed the sweep; nothing more may be written.
            OSError: The store is not where it was: it was moved away, or is not mounted now.
        """
        claims = {parse_driver(name) for name in self._sweep.files.names(self._sweep.paths.drivers)}
        if self.driver_epoch not in claims:
            raise _gone_away(self._sweep, self.driver_epoch)
        if self.driver_epoch + 1 in claims:
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
    if not sweep.files.exists(sweep.paths.driver(driver_epoch)):
        raise _gone_away(sweep, driver_epoch)


def _gone_away(sweep: SweepStore, driver_epoch: int) -> OSError:
    why = "the store is not where it was: it was moved, removed or unmounted"
    return OSError(errno.ESTALE, why, sweep.files.location(sweep.paths.driver(driver_epoch)))


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


def _claim_once(sweep: SweepStore, now: Callable[[], datetime]) -> Lease:
    driver = check_free(sweep, now=now)
    epoch = driver.driver_epoch + 1 if driver else 1
    try:
        sweep.files.create(sweep.paths.driver(epoch), seal_json(identity() | {"claimed_at": now().isoformat()}))
    except FileExistsError as error:
        raise BusyError(
            f"another driver claimed sweep {sweep.name!r} at the same moment; wait for it, or give --take-over"
        ) from error
    return Lease(sweep, epoch, now)
