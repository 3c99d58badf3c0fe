"""`bocb verify` over a store: which sweeps are looked at, what is mended, and how the answer is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.store.store import Store
from orchestrator.upkeep.findings import Findings
from orchestrator.upkeep.mending import mend_sweep
from orchestrator.upkeep.verification import verify_sweep

PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found in each sweep, and what was done about it before."""

    found: dict[str, Findings]
    mended: dict[str, list[str]]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(findings.problems for findings in self.found.values())

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "ok": self.ok,
            "problems": [
                {"sweep": name, **p.as_json()} for name, found in self.found.items() for p in found.problems
            ],
            "notes": [{"sweep": name, "note": note} for name, found in self.found.items() for note in found.notes],
            "mended": self.mended,
            "files": sum(found.files for found in self.found.values()),
            "rows": sum(found.rows for found in self.found.values()),
        }

    def lines(self) -> list[str]:
        """What is printed otherwise."""
        return [line for name in self.found for line in (*self.mended[name], *_lines(name, self.found[name]))]


def examine_sweeps(store: Store, sweep: str | None, *, mend: bool) -> Health:
    """Verifies one sweep, or all of a store.

    Args:
        store: The store.
        sweep: A sweep's name; None for all.
        mend: Mend first what can be mended.

    Raises:
        UsageError: The store has no such sweep.
        BusyError: A sweep that is to be mended is running.
        StoreError: The store cannot be read, or not be written.
    """
    sweeps = [store.existing_sweep(name) for name in ([sweep] if sweep else store.sweeps())]
    mended = {one.name: mend_sweep(one) if mend else [] for one in sweeps}
    return Health(mended=mended, found={one.name: verify_sweep(one) for one in sweeps})


def _lines(sweep: str, found: Findings) -> list[str]:
    """Problems first, then what is good to know, then how much was looked at."""
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
