"""A cell's one number: the most trustworthy that its trials give, and which of them it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.analysis.statistics.intervals import Estimate, mean_interval
from orchestrator.analysis.trials.results import first_setting, results
from orchestrator.store.schema import TrialRow


class Source(StrEnum):
    """Which trials a cell's headline number comes from, the most trustworthy first."""

    CONFIRM = "confirm"
    """Mean of the confirm trials: fresh seeds."""
    IMPORTED = "imported"
    """Mean of the results from elsewhere, of which nothing more is known."""
    SEARCH = "search"
    """Best of the design and tune trials: too high, because it was picked for being high."""
    DEFAULT = "default"
    """Mean of the default trials: nothing was tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """A cell's one number.

    For `Source.SEARCH` the estimate is a single value, the best of `candidates` trials, and has no interval.
    """

    source: Source
    estimate: Estimate
    diverged: int
    """Of the n trials behind the estimate, how many diverged and count at chance."""
    candidates: int
    """Trials with a score that it was made or picked from."""
    trials: tuple[TrialRow, ...]
    """Those that the estimate is the mean of, or the one that was picked."""


def headline_of(trials: Sequence[TrialRow]) -> Headline | None:
    """One cell's headline from its trials; None while none has a score."""
    if confirmed := results(first_setting(trials, "confirm"), "confirm"):
        return _mean_of(confirmed, Source.CONFIRM)
    if imported := results(first_setting(trials, "imported"), "imported"):
        return _mean_of(imported, Source.IMPORTED)
    if searched := results(trials, "design", "tune"):
        return _best_of(searched)
    if defaults := results(first_setting(trials, "default"), "default"):
        return _mean_of(defaults, Source.DEFAULT)
    return None


def _mean_of(found: list[tuple[TrialRow, float]], source: Source) -> Headline:
    return Headline(
        source=source,
        estimate=mean_interval([score for _, score in found], support=(0.0, 1.0)),
        diverged=sum(trial.state == "DIVERGED" for trial, _ in found),
        candidates=len(found),
        trials=tuple(trial for trial, _ in found),
    )


def _best_of(searched: list[tuple[TrialRow, float]]) -> Headline:
    best, score = max(searched, key=lambda pair: pair[1])
    return Headline(
        source=Source.SEARCH,
        estimate=Estimate(mean=score, n=1),
        diverged=int(best.state == "DIVERGED"),
        candidates=len(searched),
        trials=(best,),
    )
