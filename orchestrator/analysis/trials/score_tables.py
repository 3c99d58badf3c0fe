"""The tables that coupling, ranks and regret are computed on: every response that the trials of a sweep allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import CellKey, by_cell
from orchestrator.analysis.trials.design_scores import DesignScores, design_scores
from orchestrator.analysis.trials.layout import Layout
from orchestrator.analysis.trials.results import first_setting, has_score
from orchestrator.analysis.trials.score_table import (
    CONFIRMED,
    DEFAULT,
    IMPORTED,
    ROLE_OF,
    SHARED,
    TUNED,
    Exclusion,
    ScoreTables,
)
from orchestrator.store.schema import TrialRow


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
    layout = Layout(trials, grid)
    excluded = [*_never_used(trials)]
    tables = []
    for response, role in ((name, ROLE_OF[name]) for name in (DEFAULT, CONFIRMED, IMPORTED)):
        chosen, left_out = _first_settings(trials, role, response)
        excluded += left_out
        if chosen:
            tables.append(layout.table(response, chosen))
    if (design := design_scores(trials, grid=grid)) is not None:
        common = design.common_points()
        if lost := int((~common).sum()):
            why = "they have no result in some cell yet, and a budget must mean the same points in all cells"
            excluded.append(Exclusion(response=f"{TUNED}n", what="points of the shared design", count=lost, why=why))
        points = [trial for trial in trials if trial.role == "design"]
        tables += [layout.table_of(name, scores, points) for name, scores in _from_design(design, common, rng)]
    return ScoreTables(tables=tuple(tables), excluded=tuple(excluded))


def _first_settings(
    trials: Sequence[TrialRow], role: str, response: str
) -> tuple[dict[CellKey, list[TrialRow]], list[Exclusion]]:
    """For each cell its `first_setting`, and what that leaves."""
    of_role = by_cell(trial for trial in trials if trial.role == role)
    chosen = {key: first_setting(found, role) for key, found in of_role.items()}
    others = sum(len(found) - len(chosen[key]) for key, found in of_role.items())
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
        named.append((f"{TUNED}{size}", values[:, :, sets].max(axis=3)))
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
