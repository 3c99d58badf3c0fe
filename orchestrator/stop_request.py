"""Asking a running sweep to stop, from any process that sees its store."""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.messages import utc_now
from orchestrator.store.store import SweepStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequest:
    """What was asked for."""

    now: bool
    """Whether to stop at once, without saving what has been trained since the last checkpoint."""


def request_stop(sweep: SweepStore, *, now: bool) -> None:
    """Leaves a request that the sweep's driver sees within seconds."""
    content = {"requested_at": utc_now().isoformat(), "now": now}
    sweep.files.write(sweep.paths.stop, json.dumps(content).encode())


def stop_requested(sweep: SweepStore) -> StopRequest | None:
    """The request that waits for the sweep's driver, if there is one."""
    if not sweep.files.exists(sweep.paths.stop):
        return None
    return StopRequest(now=bool(json.loads(sweep.files.read(sweep.paths.stop))["now"]))


def clear_stop_request(sweep: SweepStore) -> None:
    """Forgets a request: a new driver begins without it."""
    sweep.files.delete(sweep.paths.stop)
