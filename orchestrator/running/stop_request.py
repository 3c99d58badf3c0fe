"""Asking a running sweep to stop, from any process that sees its store."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.clock import utc_now
from orchestrator.store.seal import seal_json, unseal_json
from orchestrator.store.store import SweepStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """What was asked for."""

    now: bool
    """Whether to stop at once, without saving what has been trained since the last checkpoint."""


def request_stop(sweep: SweepStore, driver_epoch: int, *, now: bool) -> None:
    """Leaves a request that the sweep's driver sees within seconds; drivers after it do not."""
    content = {"requested_at": utc_now().isoformat(), "now": now}
    sweep.files.write(sweep.paths.stop(driver_epoch), seal_json(content))


def stop_requested(sweep: SweepStore, driver_epoch: int) -> StopRequest | None:
    """The request that waits for a driver, if there is one."""
    name = sweep.paths.stop(driver_epoch)
    if not sweep.files.exists(name):
        return None
    try:
        return StopRequest(now=bool(unseal_json(sweep.files.read(name))["now"]))
    except (ValueError, KeyError):
        return StopRequest(now=False)  # damaged, but somebody asked
