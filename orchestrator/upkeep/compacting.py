"""`bocb compact` over a store."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import BusyError
from orchestrator.store.compaction import CompactionSummary, compact
from orchestrator.store.lease import claim
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What was compacted, and what was not."""

    summaries: tuple[tuple[str, CompactionSummary], ...]
    """Of each sweep and table."""
    busy: tuple[str, ...]
    """Why a sweep was left alone: a sentence for each that a driver is at work on."""


def compact_sweeps(store: Store) -> Compacted:
    """Compacts every sweep that no driver is at work on.

    Raises:
        StoreError: A sweep cannot be read or written.
    """
    summaries, busy = [], []
    for name in store.sweeps():
        try:
            with claim(store.sweep(name)) as lease:
                lease.start_heartbeat()
                summaries += [(name, summary) for summary in compact(store.sweep(name), lease)]
        except BusyError as error:
            busy.append(str(error))
    return Compacted(summaries=tuple(summaries), busy=tuple(busy))
