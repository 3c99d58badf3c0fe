"""`bocb compact` and `bocb verify` over a store: every sweep in turn, and none keeps the others waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import BusyError, StoreError
from orchestrator.store.compaction import CompactionSummary, compact
from orchestrator.store.lease import claim
from orchestrator.store.store import Store
from orchestrator.upkeep.findings import Findings
from orchestrator.upkeep.mending import Mended, mend_sweep
from orchestrator.upkeep.verification import verify_sweep

PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What was compacted, and what was not."""

    summaries: tuple[tuple[str, CompactionSummary], ...]
    """Of each sweep and table."""
    busy: tuple[str, ...]
    """Why a sweep was left alone: a sentence for each that a driver is at work on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is wrong in each sweep, what was done about it before, and which sweeps were left alone."""

    sweeps: dict[str, Mended] = field(default_factory=dict)
    refused: dict[str, BusyError | StoreError] = field(default_factory=dict)
    """Why a sweep could not be mended, or not be read."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.refused and not any(sweep.found.problems for sweep in self.sweeps.values())

    def raise_refusals(self) -> None:
        """Raises what kept sweeps from being looked after, if anything did.

        Raises:
            StoreError: One cannot be read or written, or more.
            BusyError: Those are running that should be mended.
        """
        kinds = {type(error) for error in self.refused.values()}
        if kinds:
            raise (BusyError if kinds == {BusyError} else StoreError)("; ".join(map(str, self.refused.values())))

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        found = {name: sweep.found for name, sweep in self.sweeps.items()}
        return {
            "ok": self.ok,
            "problems": [problem.as_json() for each in found.values() for problem in each.problems],
            "notes": [{"sweep": name, "note": note} for name, each in found.items() for note in each.notes],
            "mended": {name: sweep.done for name, sweep in self.sweeps.items()},
            "refused": {name: str(error) for name, error in self.refused.items()},
            "files": sum(each.files for each in found.values()),
            "rows": sum(each.rows for each in found.values()),
        }

    def lines(self) -> list[str]:
        """What is printed otherwise."""
        return [line for name, sweep in self.sweeps.items() for line in (*sweep.done, *_lines(name, sweep.found))]


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


def verify_sweeps(store: Store, sweep: str | None, *, mend: bool) -> Health:
    """Verifies one sweep, or all of a store.

    Args:
        store: The store.
        sweep: A sweep's name; None for all.
        mend: Mend first what can be mended.

    Raises:
        UsageError: The store has no such sweep.
    """
    health = Health()
    for one in [store.existing_sweep(name) for name in ([sweep] if sweep else store.sweeps())]:
        try:
            health.sweeps[one.name] = mend_sweep(one) if mend else Mended(found=verify_sweep(one))
        except (BusyError, StoreError) as error:
            health.refused[one.name] = error
    return health


def _lines(sweep: str, found: Findings) -> list[str]:
    """Problems first, then what is good to know, then how much was checked."""
    lines = []
    for problem in found.problems[:PROBLEMS_SHOWN]:
        lines += [
            f"BAD  {problem.file}: {problem.problem}",
            f"     lost: {problem.lost}",
            f"     mend: {problem.mend}",
        ]
    more = len(found.problems) - PROBLEMS_SHOWN
    if more > 0:
        lines.append(f"     and {more} more problems; --json lists them all")
    lines += [f"note {note}" for note in found.notes]
    said = f"{len(found.problems)} problems" if found.problems else "nothing wrong"
    return [*lines, f"{sweep}: {said} in {found.files} files with {found.rows} rows"]
