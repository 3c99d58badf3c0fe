"""What can be wrong with a store, what it costs and what mends it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

_MEND = "bocb verify {sweep} --mend"


class Remedy(Enum):
    """What is to be done about a problem, as a command where there is one."""

    REBUILD = f"{_MEND}, then bocb resume {{sweep}}"
    """A table is compacted anew from all files that are sound."""
    MOVE = f"{_MEND} moves it away"
    """Nothing waits for the file."""
    MARK_ENDED = f"{_MEND} marks that driver as ended"
    """The claim or heartbeat of one that has ended takes the file's place: a number must not be used again."""
    RUN_AGAIN = f"{_MEND} marks it as not run, then bocb resume {{sweep}}"
    """The trial's record is not what was measured."""
    RECORD = f"{_MEND} records it again from the trial's row"
    """The end of an attempt is missing."""
    RUN = "bocb run with the spec that the sweep was started with; it records it again"
    NEWER = "verify the store with the bocb that wrote it, or a newer one"
    RESTORE = "leave it out of what you conclude, or restore the sweep from a backup"

    @property
    def is_ours(self) -> bool:
        """Whether `--mend` does it."""
        return self.value.startswith(_MEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    sweep: str
    file: str
    """Its name relative to the root of the store."""
    what: str = ""
    """Which thing in or about the file, if it is not the file."""
    why: str
    lost: str
    """What the store no longer knows, as far as its other files tell."""
    remedy: Remedy
    trial_id: str | None = None

    @property
    def problem(self) -> str:
        """What is wrong, in a sentence."""
        return f"{self.what}: {self.why}" if self.what else self.why

    @property
    def mend(self) -> str:
        """What to do next."""
        return self.remedy.value.format(sweep=self.sweep)

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "sweep": self.sweep,
            "file": self.file,
            "problem": self.problem,
            "lost": self.lost,
            "mend": self.mend,
            "trial_id": self.trial_id,
        }


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a check of a sweep found."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no problem but good to know: attempts that a dead driver left, leftovers that the next run removes."""
    files: int = 0
    """Files that were checked."""
    rows: int = 0
    """Rows that two readers agreed on."""

    def add(self, other: Findings) -> None:
        """Takes over what another check found."""
        self.problems += other.problems
        self.notes += other.notes
        self.files += other.files
        self.rows += other.rows
