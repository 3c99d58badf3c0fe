"""What can be wrong with a store, what it costs and what mends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.store.schema import Row


class Remedy(StrEnum):
    """What `bocb verify --mend` does about a problem. Whatever is damaged is moved away first and never destroyed."""

    REPLACE = "replace"
    """A Parquet file: an empty one takes its place, so that numbers stay without gaps."""
    REBUILD = "rebuild"
    """The list of a table's files: all rows of its readable files are compacted anew."""
    MOVE = "move"
    """A file that nothing waits for."""
    CLAIM = "claim"
    """A driver's claim: one of a driver that has ended takes its place, so that its number is not used again."""
    BEAT = "beat"
    """A heartbeat: one of a driver that has ended takes its place."""
    RUN_AGAIN = "run again"
    """A trial with a damaged record: it is marked so that the next run trains it again."""
    RECORD = "record"
    """The end of an attempt: it is recorded again from the trial's row."""
    NONE = "none"
    """Nothing that could be done without deciding for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    file: str
    """Its name relative to the root of the store."""
    problem: str
    lost: str
    """What the store no longer knows, as far as its other files tell."""
    mend: str
    """What to do next."""
    remedy: Remedy = Remedy.NONE
    table: type[Row] | None = None
    trial_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "file": self.file,
            "problem": self.problem,
            "lost": self.lost,
            "mend": self.mend,
            "trial_id": self.trial_id,
        }


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a look at a sweep found."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no problem but good to know: attempts that a dead driver left, leftovers that the next run removes."""
    files: int = 0
    """Files looked at."""
    rows: int = 0
    """Rows that two readers agreed on."""

    def add(self, other: Findings) -> None:
        """Takes over what another look found."""
        self.problems += other.problems
        self.notes += other.notes
        self.files += other.files
        self.rows += other.rows
