"""The tables that coupling, ranks and regret are computed on: one response of every cell, with its replicates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.summary import RESULTS, CellKey, cells_in_order, first_setting
from orchestrator.store.schema import TrialRow

DEFAULT, SHARED, CONFIRMED, IMPORTED = "default", "shared", "confirmed", "imported"
"""Names of responses; those of a budget of n points are `tuned@n`."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RowKey:
    """A row of a table: a backbone under one recipe."""

    backbone: str
    recipe: str
    label: str
    """The backbone, with the recipe where the sweep has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """What a table leaves out."""

    response: str
    what: str
    count: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """One response of every cell, for a rows and b optimizers."""

    response: str
    rows: tuple[RowKey, ...]
    optimizers: tuple[str, ...]
    scores: NDArray[np.float64]
    """Shape (a, b, r): accuracies in percentage points; NaN where there is no result. A replicate is the same
    in every cell: a seed, or a set of design points."""
    diverged: NDArray[np.int64]
    """Shape (a, b): trials behind the scores that diverged and count at chance."""
    failed: NDArray[np.int64]
    """Shape (a, b): trials that would be behind the scores and failed, so that they are missing."""

    @property
    def means(self) -> NDArray[np.float64]:
        """Shape (a, b): mean over replicates, NaN without any."""
        there = np.isfinite(self.scores)
        total = np.where(there, self.scores, 0.0).sum(axis=2)
        number = there.sum(axis=2)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    @property
    def has_answer(self) -> bool:
        """Whether at least two rows and two optimizers have a value: less is no table."""
        rows, columns = np.nonzero(np.isfinite(self.means))
        return len(set(rows)) >= 2 and len(set(columns)) >= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTables:
    """Every response that the trials of a sweep allow, and what had to be left out."""

    tables: tuple[ScoreTable, ...]
    excluded: tuple[Exclusion, ...]

    @property
    def headline(self) -> ScoreTable | None:
        """The most trustworthy response that has an answer; None while there is none."""
        return next((table for name in (CONFIRMED, IMPORTED, DEFAULT) if (table := self.named(name))), None)

    def named(self, response: str) -> ScoreTable | None:
        """A response that has an answer, by name."""
        return next((table for table in self.tables if table.response == response and table.has_answer), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignScores:
    """Scores of the shared design, which every cell has in common."""

    rows: tuple[RowKey, ...]
    optimizers: tuple[str, ...]
    numbers: tuple[int, ...]
    """The h points, in the order of the design."""
    scores: NDArray[np.float64]
    """Shape (a, b, h, s): percentage points at each point and seed, NaN where there is no result."""

    def of_points(self) -> NDArray[np.float64]:
        """Shape (a, b, h): the mean over the seeds that every point of a cell has; NaN where one is missing."""
        there = np.isfinite(self.scores)
        needed = there.any(axis=2, keepdims=True)
        complete = (there | ~needed).all(axis=3) & there.any(axis=3)
        total = np.where(there, self.scores, 0.0).sum(axis=3)
        return np.where(complete, total / np.maximum(there.sum(axis=3), 1), np.nan)

    def common_points(self) -> NDArray[np.bool_]:
        """Shape (h,): points with a score in every cell that has any."""
        there = np.isfinite(self.of_points())
        begun = there.any(axis=2, keepdims=True)
        common: NDArray[np.bool_] = np.logical_and.reduce(there | ~begun, axis=(0, 1)) & begun.any()
        return common


def score_tables(
    trials: Sequence[TrialRow], *, grid: Sequence[CellKey] = (), rng: np.random.Generator
) -> ScoreTables:
    """The responses `default`, `tuned@n`, `shared`, `confirmed` and `imported`, as far as there are trials for them.

    `confirmed` is the setting that the search ranked first, with fresh seeds: to choose among confirmed settings by
    their confirmed scores would be optimistic. `tuned@n` is the best of n points of the shared design, the points
    drawn without replacement and the same in every cell, so that replicates are disjoint. `shared` is the one design
    point per optimizer that is best on average over the rows, chosen for each seed on the other seeds where the
    design has several.

    Args:
        trials: Those of one sweep that ended.
        grid: Cells that were planned, in the order of the spec.
        rng: Draws the points of `tuned@n`.
    """
    layout = _Layout(trials, grid)
    excluded = [*_never_used(trials)]
    tables = []
    for response, role in ((DEFAULT, "default"), (CONFIRMED, "confirm"), (IMPORTED, "imported")):
        chosen, left_out = _first_settings(trials, role, response)
        excluded += left_out
        if chosen:
            tables.append(layout.table(response, chosen))
    if (design := design_scores(trials, grid=grid)) is not None:
        common = design.common_points()
        if lost := int((~common).sum()):
            why = "they have no result in some cell yet, and a budget must mean the same points in all cells"
            excluded.append(Exclusion(response="tuned@n", what="points of the shared design", count=lost, why=why))
        points = [trial for trial in trials if trial.role == "design"]
        tables += [layout.table_of(name, scores, points) for name, scores in _from_design(design, common, rng)]
    return ScoreTables(tables=tuple(tables), excluded=tuple(excluded))


def design_scores(trials: Sequence[TrialRow], *, grid: Sequence[CellKey] = ()) -> DesignScores | None:
    """The design trials of a sweep as one array; None without any that has a score."""
    points = [trial for trial in trials if trial.role == "design" and has_score(trial)]
    if not points:
        return None
    layout = _Layout(trials, grid)
    numbers = sorted({trial.number for trial in points})
    place = {number: index for index, number in enumerate(numbers)}
    seeds = max(trial.replicate for trial in points) + 1
    scores = np.full((len(layout.rows), len(layout.optimizers), len(numbers), seeds), np.nan)
    for trial in points:
        row, column = layout.place(trial)
        scores[row, column, place[trial.number], trial.replicate] = in_points(trial.score or 0.0)
    return DesignScores(rows=layout.rows, optimizers=layout.optimizers, numbers=tuple(numbers), scores=scores)


def has_score(trial: TrialRow) -> bool:
    """Whether a trial is a result: COMPLETE, or DIVERGED with its score at chance."""
    return trial.state in RESULTS and trial.score is not None


def in_points(score: float) -> float:
    """A fraction in percentage points, as exact as it was given: 0.8129 is 81.29, which ties may hang on."""
    return round(100 * score, 10)


class _Layout:
    """Which row and column a trial belongs to."""

    def __init__(self, trials: Iterable[TrialRow], grid: Sequence[CellKey]) -> None:
        keys = cells_in_order(grid, {key_of(trial) for trial in trials})
        several = len({key.recipe for key in keys}) > 1
        pairs = dict.fromkeys((key.backbone, key.recipe) for key in keys)
        self.rows = tuple(
            RowKey(backbone=backbone, recipe=recipe, label=f"{backbone} · {recipe}" if several else backbone)
            for backbone, recipe in pairs
        )
        self.optimizers = tuple(dict.fromkeys(key.optimizer for key in keys))
        self._row = {pair: index for index, pair in enumerate(pairs)}
        self._column = {name: index for index, name in enumerate(self.optimizers)}

    def place(self, trial: TrialRow) -> tuple[int, int]:
        return self._row[trial.backbone, trial.recipe], self._column[trial.optimizer]

    def count(self, trials: Iterable[TrialRow], is_counted: Callable[[TrialRow], bool]) -> NDArray[np.int64]:
        counts = np.zeros((len(self.rows), len(self.optimizers)), dtype=np.int64)
        for trial in trials:
            counts[self.place(trial)] += is_counted(trial)
        return counts

    def table(self, response: str, trials: Mapping[CellKey, Sequence[TrialRow]]) -> ScoreTable:
        """Of trials that are replicates of one setting in each cell."""
        every = [trial for found in trials.values() for trial in found]
        places = {replicate: index for index, replicate in enumerate(sorted({trial.replicate for trial in every}))}
        scores = np.full((len(self.rows), len(self.optimizers), len(places)), np.nan)
        for trial in every:
            if has_score(trial):
                scores[(*self.place(trial), places[trial.replicate])] = in_points(trial.score or 0.0)
        return self.table_of(response, scores, every)

    def table_of(self, response: str, scores: NDArray[np.float64], trials: Sequence[TrialRow]) -> ScoreTable:
        return ScoreTable(
            response=response,
            rows=self.rows,
            optimizers=self.optimizers,
            scores=scores,
            diverged=self.count(trials, lambda trial: trial.state == "DIVERGED"),
            failed=self.count(trials, lambda trial: trial.state == "FAIL"),
        )


def key_of(trial: TrialRow) -> CellKey:
    """The cell of a trial."""
    return CellKey(backbone=trial.backbone, recipe=trial.recipe, optimizer=trial.optimizer)


def _first_settings(
    trials: Sequence[TrialRow], role: str, response: str
) -> tuple[dict[CellKey, list[TrialRow]], list[Exclusion]]:
    """For each cell its `first_setting`, and what that leaves."""
    by_cell: dict[CellKey, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        if trial.role == role:
            by_cell[key_of(trial)].append(trial)
    chosen = {key: first_setting(found, role) for key, found in by_cell.items()}
    others = sum(len(found) - len(chosen[key]) for key, found in by_cell.items())
    why = "they repeat settings that the search ranked second or lower"
    left = [Exclusion(response=response, what=f"{role} trials", count=others, why=why)] if others else []
    return chosen, left


def _never_used(trials: Sequence[TrialRow]) -> list[Exclusion]:
    """Trials that are behind no table."""
    counts = Counter((trial.state, trial.role) for trial in trials if not has_score(trial) or trial.role == "tune")
    reasons = {
        "FAIL": "they gave no result: missing, and not counted as bad",
        "PRUNED": "they were stopped early, and a score of fewer epochs is not comparable",
    }
    adaptive = "a sampler chose where they lie: they serve to find the best setting and nothing else"
    return [
        Exclusion(
            response="all",
            what=f"{role} trials ({state})",
            count=number,
            why=reasons.get(state, adaptive if role == "tune" else "they have no score"),
        )
        for (state, role), number in sorted(counts.items())
    ]


def _from_design(
    design: DesignScores, common: NDArray[np.bool_], rng: np.random.Generator
) -> list[tuple[str, NDArray[np.float64]]]:
    """`shared`, and `tuned@n` for n = 1, 2, 4, ... points, as (name, scores of shape (a, b, r))."""
    values = design.of_points()[:, :, common]
    number = values.shape[2]
    if not number:
        return []
    order = rng.permutation(number)
    named = [(SHARED, _best_shared(design.scores[:, :, common, :]))]
    size = 1
    while size <= number:
        sets = order[: number // size * size].reshape(-1, size)
        named.append((f"tuned@{size}", values[:, :, sets].max(axis=3)))
        size *= 2
    return named


def _best_shared(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (a, b, s): at the point that is best on average over the rows, by the other seeds where there are any.

    Args:
        scores: Shape (a, b, h, s). Cells without any result are NaN throughout.
    """
    seeds = scores.shape[3]
    shared = np.full((*scores.shape[:2], seeds), np.nan)
    for seed in range(seeds):
        others = [other for other in range(seeds) if other != seed] or [seed]
        known = scores[:, :, :, others].mean(axis=3)
        there = np.isfinite(known)
        for column in range(scores.shape[1]):
            rows = there[:, column].all(axis=1)
            if rows.any():
                best = int(known[rows, column].mean(axis=0).argmax())
                shared[:, column, seed] = scores[:, column, best, seed]
    return shared
