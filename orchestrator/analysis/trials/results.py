"""Which trials are results, and which of a cell's results its numbers are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.store.schema import TrialRow

ROLES = ("default", "design", "tune", "confirm", "imported")
STATES = ("COMPLETE", "DIVERGED", "PRUNED", "FAIL")
RESULTS = frozenset({"COMPLETE", "DIVERGED"})
"""States with a score. DIVERGED is a result at chance; PRUNED and FAIL have none."""


def has_score(trial: TrialRow) -> bool:
    """Whether a trial is a result: COMPLETE, or DIVERGED with its score at chance."""
    return trial.state in RESULTS and trial.score is not None


def in_points(score: float) -> float:
    """A fraction in percentage points, as exact as it was given: 0.8129 is 81.29, which ties may hang on."""
    return round(100 * score, 10)


def results(trials: Iterable[TrialRow], *roles: str) -> list[tuple[TrialRow, float]]:
    """The trials of some roles that have a score, with it."""
    return [
        (trial, trial.score)
        for trial in trials
        if trial.role in roles and trial.state in RESULTS and trial.score is not None
    ]


def first_setting(trials: Sequence[TrialRow], role: str) -> list[TrialRow]:
    """Of one cell the trials of one role that repeat its first setting: what every mean of a cell is made of.

    The search ranked it first, before any of them ran: to choose among confirmed settings by their confirmed scores
    would be optimistic. Where the first gave no result at all, the next one that did stands in.
    """
    found = [trial for trial in trials if trial.role == role]
    numbers = {trial.number for trial, _ in results(found, role)} or {trial.number for trial in found}
    return [trial for trial in found if trial.number == min(numbers)]


def first_confirmed(trials: Sequence[TrialRow]) -> list[TrialRow]:
    """Of one cell the confirm trials with a score of its first setting that has any."""
    return [trial for trial, _ in results(first_setting(trials, "confirm"), "confirm")]
