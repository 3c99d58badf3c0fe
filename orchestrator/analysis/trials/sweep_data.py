"""One sweep as it was read from the store: what an analysis and a page are made of."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.curves import Curve
from orchestrator.analysis.trials.spec_facts import SpecFacts
from orchestrator.store.schema import CorruptionRow, LayerRow, TrialRow

MAX_FAILURES = 200
"""Failed trials listed on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One trial that failed, with what its last attempt raised."""

    trial_id: str
    key: CellKey
    role: str
    attempts: int
    reason: str | None
    exception: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepData:
    """One sweep as read from the store: all that `bocb analyze` needs."""

    sweep: str
    planned: int | None
    facts: SpecFacts
    trials: tuple[TrialRow, ...]
    """Those that ended and count: see `superseded`."""
    superseded: int
    """Trials that ended and that the spec no longer has, or whose setting is no longer among its cell's best."""
    layers: tuple[LayerRow, ...] = ()
    """Weight statistics of the networks that these trials trained."""
    corruptions: tuple[CorruptionRow, ...] = ()
    """What they do on corrupted images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageData:
    """One sweep as read from the store; the report needs nothing else."""

    data: SweepData
    curves: tuple[Curve, ...] = ()
    """Of the trials that are drawn: see `trials_to_draw`."""
    failures: tuple[Failure, ...] = ()
    """At most `MAX_FAILURES`."""
    running: int = 0
    """Attempts under way when the store was read, or cut off by a crash."""

    @property
    def sweep(self) -> str:
        """Its name."""
        return self.data.sweep

    @property
    def planned(self) -> int | None:
        """Trials of the whole plan."""
        return self.data.planned

    @property
    def facts(self) -> SpecFacts:
        """What the spec asked for."""
        return self.data.facts

    @property
    def trials(self) -> tuple[TrialRow, ...]:
        """Those that ended and count."""
        return self.data.trials

    @property
    def is_imported(self) -> bool:
        """Whether nothing was trained here: there are no curves, and how trials ended is what the file says."""
        return {trial.role for trial in self.trials} == {"imported"}
