"""What a sweep's trials say so far, cell by cell: records made from rows, with no plot and no wording."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import product

from orchestrator.analysis.statistics.intervals import Estimate, mean_interval
from orchestrator.store.schema import TrialRow

ROLES = ("default", "design", "tune", "confirm", "imported")
STATES = ("COMPLETE", "DIVERGED", "PRUNED", "FAIL")
RESULTS = frozenset({"COMPLETE", "DIVERGED"})
"""States with a score. DIVERGED is a result at chance; PRUNED and FAIL have none."""


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


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CellKey:
    """Identity of a cell."""

    backbone: str
    recipe: str
    optimizer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Trials that ended, by state."""

    complete: int = 0
    diverged: int = 0
    pruned: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """All of them."""
        return self.complete + self.diverged + self.pruned + self.failed

    def by_state(self) -> tuple[tuple[str, int], ...]:
        """(state, trials) in the order of `STATES`."""
        return tuple(zip(STATES, (self.complete, self.diverged, self.pruned, self.failed), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCounts:
    """Counts of one role."""

    role: str
    counts: Counts


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """One (backbone, recipe, optimizer)."""

    key: CellKey
    counts: Counts
    roles: tuple[RoleCounts, ...]
    headline: Headline | None = None
    gap: float | None = None
    """Headline minus that of the backbone's best optimizer, as a fraction, at most 0; None where not comparable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSummary:
    """One backbone under one recipe, across optimizers."""

    backbone: str
    recipe: str
    label: str
    """The backbone, with the recipe where the sweep has several."""
    cells: tuple[CellSummary, ...]
    source: Source | None
    """What the ranking compares; None while there is no number."""
    ranking: tuple[CellSummary, ...]
    """Cells whose headline comes from `source`, best first, ties by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """The whole sweep."""

    counts: Counts
    roles: tuple[RoleCounts, ...]
    planned: int | None
    epochs: int
    train_seconds: float
    first_start: datetime | None
    last_end: datetime | None
    optimizers: tuple[str, ...]
    rows: tuple[RowSummary, ...]
    missing: tuple[str, ...]
    """What a reader must know before believing a number, one sentence each."""

    @property
    def cells(self) -> tuple[CellSummary, ...]:
        """Every cell, row by row."""
        return tuple(cell for row in self.rows for cell in row.cells)


def summarise(trials: Sequence[TrialRow], planned: int | None, *, grid: Sequence[CellKey] = ()) -> SweepSummary:
    """Everything that the page says about the trials of one sweep.

    Args:
        trials: Its trials that ended, one row each, in any order.
        planned: Trials of the whole plan; None where it is not known.
        grid: Cells that were planned, in the order of the spec. Cells without trials are shown because of it;
            without it, the cross product of the names seen is taken.
    """
    by_cell: dict[CellKey, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        by_cell[CellKey(backbone=trial.backbone, recipe=trial.recipe, optimizer=trial.optimizer)].append(trial)
    keys = cells_in_order(grid, by_cell)
    cells = [_summarise_cell(key, by_cell.get(key, [])) for key in keys]
    several_recipes = len({key.recipe for key in keys}) > 1
    pairs = dict.fromkeys((key.backbone, key.recipe) for key in keys)
    rows = tuple(
        _summarise_row(
            label=f"{backbone} · {recipe}" if several_recipes else backbone,
            cells=[cell for cell in cells if (cell.key.backbone, cell.key.recipe) == (backbone, recipe)],
        )
        for backbone, recipe in pairs
    )
    counts, roles = count(trials), count_roles(trials)
    return SweepSummary(
        counts=counts,
        roles=roles,
        planned=planned,
        epochs=sum(trial.epochs_done for trial in trials),
        train_seconds=math.fsum(trial.train_seconds or 0.0 for trial in trials),
        first_start=min((trial.started_at for trial in trials), default=None),
        last_end=max((trial.ended_at for trial in trials), default=None),
        optimizers=tuple(dict.fromkeys(key.optimizer for key in keys)),
        rows=rows,
        missing=_what_is_missing(counts, roles, planned, rows),
    )


def count(trials: Iterable[TrialRow]) -> Counts:
    """Trials by state."""
    found = Counter(trial.state for trial in trials)
    return Counts(
        complete=found["COMPLETE"], diverged=found["DIVERGED"], pruned=found["PRUNED"], failed=found["FAIL"]
    )


def count_roles(trials: Sequence[TrialRow]) -> tuple[RoleCounts, ...]:
    """Trials by role and state: the roles that occur, in the order in which they run."""
    present = {trial.role for trial in trials}
    return tuple(
        RoleCounts(role=role, counts=count(trial for trial in trials if trial.role == role))
        for role in (*ROLES, *sorted(present.difference(ROLES)))
        if role in present
    )


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
    )


def _best_of(searched: list[tuple[TrialRow, float]]) -> Headline:
    best, score = max(searched, key=lambda pair: pair[1])
    return Headline(
        source=Source.SEARCH,
        estimate=Estimate(mean=score, n=1),
        diverged=int(best.state == "DIVERGED"),
        candidates=len(searched),
    )


def cells_in_order(grid: Sequence[CellKey], seen: Iterable[CellKey]) -> list[CellKey]:
    """Planned cells first, in their order; then what else was seen, by name."""
    rest = sorted(set(seen).difference(grid))
    if grid:
        return [*dict.fromkeys(grid), *rest]
    rows = dict.fromkeys((key.backbone, key.recipe) for key in rest)
    optimizers = sorted({key.optimizer for key in rest})
    return [
        CellKey(backbone=backbone, recipe=recipe, optimizer=optimizer)
        for (backbone, recipe), optimizer in product(rows, optimizers)
    ]


def _summarise_cell(key: CellKey, trials: list[TrialRow]) -> CellSummary:
    return CellSummary(key=key, counts=count(trials), roles=count_roles(trials), headline=headline_of(trials))


def _summarise_row(*, label: str, cells: list[CellSummary]) -> RowSummary:
    """Ranks one backbone's cells, comparing only numbers of one kind.

    The kind is the most trustworthy one that at least two cells have: a best-of-many score beside a confirmed mean
    would win by having been picked.
    """
    held = Counter(cell.headline.source for cell in cells if cell.headline)
    source = next((kind for least in (2, 1) for kind in Source if held[kind] >= least), None)
    scored = [
        (cell, cell.headline.estimate.mean) for cell in cells if cell.headline and cell.headline.source == source
    ]
    best = max((mean for _, mean in scored), default=0.0)
    gaps = {cell.key: mean - best for cell, mean in scored}
    placed = tuple(replace(cell, gap=gaps.get(cell.key)) for cell in cells)
    ranking = sorted((cell for cell in placed if cell.gap is not None), key=_rank)
    key = cells[0].key
    return RowSummary(
        backbone=key.backbone, recipe=key.recipe, label=label, cells=placed, source=source, ranking=tuple(ranking)
    )


def _rank(cell: CellSummary) -> tuple[float, str]:
    return (-(cell.gap or 0.0), cell.key.optimizer)


def _what_is_missing(
    counts: Counts, roles: Sequence[RoleCounts], planned: int | None, rows: Sequence[RowSummary]
) -> tuple[str, ...]:
    cells = [cell for row in rows for cell in row.cells]
    headlines = [cell.headline for cell in cells if cell.headline is not None]
    empty = len(cells) - len(headlines)
    unconfirmed = sum(headline.source not in (Source.CONFIRM, Source.IMPORTED) for headline in headlines)
    single = sum(headline.source != Source.SEARCH and headline.estimate.n == 1 for headline in headlines)
    imported = sum(role.counts.ended for role in roles if role.role == "imported")
    notes = []
    if planned is not None and counts.ended < planned:
        notes.append(f"{counts.ended:,} of {planned:,} trials have ended; the numbers below will change.")
    if planned is None:
        notes.append("The store does not say how many trials were planned.")
    if imported:
        notes.append(
            f"{counted(imported, 'result')} from elsewhere: how they were tuned, trained and scored is not recorded."
        )
    if counts.failed:
        remedy = "they are missing in what was imported" if imported else "they can be retried"
        notes.append(f"{counted(counts.failed, 'trial')} failed and gave no result: {remedy}.")
    if empty:
        notes.append(f"{counted(empty, 'cell')} of {len(cells)} without any score{'' if imported else ' yet'}.")
    if unconfirmed:
        notes.append(f"{counted(unconfirmed, 'cell')} of {len(cells)} not confirmed with fresh seeds yet.")
    if single:
        notes.append(f"{counted(single, 'cell')} with a single repetition, so without an interval.")
    return tuple(notes)


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 cell", "1,200 cells"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
