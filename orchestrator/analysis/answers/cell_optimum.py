"""The optimum of a cell: what regrets are measured against, and whether it lies at an end of its range."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from orchestrator.analysis.statistics.sensitivity.near_optimal import at_boundary
from orchestrator.analysis.trials.design_points import Point, point_of
from orchestrator.analysis.trials.results import has_score
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """Scores in percentage points; None where there is none."""

    score: float | None = None
    source: str | None = None
    """`confirm` or `design`."""
    boundary: tuple[str, ...] | None = None
    """Hyper-parameters whose best value lies within 10 % of an end of their range; None where it is not known."""
    default_regret: float | None = None


def optimum_of(
    design: Sequence[TrialRow],
    default: Sequence[TrialRow],
    confirm: Sequence[TrialRow],
    *,
    scores: Mapping[int, float],
) -> Optimum:
    """The optimum of one cell: confirmed where it can be, else the best point of the design.

    Confirm trials that are scored by another rule than the design (on the test part, after training on everything)
    say nothing about its regrets: then the design's best counts.

    Args:
        design: Its design trials.
        default: Its default trials.
        confirm: Its confirm trials.
        scores: Percentage points of the design's points that are complete, by number.
    """
    designed, confirmed = _by_number(design), _by_number(confirm)
    rules = {trial.score_rule for trials in designed.values() for trial in trials}
    comparable = [
        number for number, trials in confirmed.items() if not rules or {trial.score_rule for trial in trials} <= rules
    ]
    if comparable:
        # The first that has a result: to choose among them by these scores would be optimistic.
        chosen, source = confirmed[min(comparable)], "confirm"
        score = _mean(chosen)
    elif scores:
        best = max(scores, key=lambda number: scores[number])
        chosen, source, score = designed[best], "design", scores[best]
    else:
        return Optimum()
    defaults = [
        trial for trial in default if has_score(trial) and trial.score_rule in {other.score_rule for other in chosen}
    ]
    return Optimum(
        score=score,
        source=source,
        boundary=_boundary(point_of(chosen[0])),
        default_regret=score - _mean(defaults) if defaults else None,
    )


def _by_number(trials: Sequence[TrialRow]) -> dict[int, list[TrialRow]]:
    """Trials with a score by setting."""
    found: dict[int, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        if has_score(trial):
            found[trial.number].append(trial)
    return found


def _mean(trials: Sequence[TrialRow]) -> float:
    return 100 * fmean(trial.score or 0.0 for trial in trials)


def _boundary(point: Point) -> tuple[str, ...] | None:
    if not point.coordinates:
        return None
    return tuple(name for name in point.names if at_boundary(point.coordinates[name], has_floor=point.is_zero(name)))
