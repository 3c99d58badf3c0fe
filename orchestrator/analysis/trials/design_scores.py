"""The scores of the shared design as one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import CellKey, RowKey
from orchestrator.analysis.trials.layout import Layout
from orchestrator.analysis.trials.results import has_score, in_points
from orchestrator.store.schema import TrialRow


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


def design_scores(trials: Sequence[TrialRow], *, grid: Sequence[CellKey] = ()) -> DesignScores | None:
    """The design trials of a sweep as one array; None without any that has a score."""
    points = [trial for trial in trials if trial.role == "design" and has_score(trial)]
    if not points:
        return None
    layout = Layout(trials, grid)
    numbers = sorted({trial.number for trial in points})
    place = {number: index for index, number in enumerate(numbers)}
    seeds = max(trial.replicate for trial in points) + 1
    scores = np.full((len(layout.rows), len(layout.optimizers), len(numbers), seeds), np.nan)
    for trial in points:
        row, column = layout.place(trial)
        scores[row, column, place[trial.number], trial.replicate] = in_points(trial.score or 0.0)
    return DesignScores(rows=layout.rows, optimizers=layout.optimizers, numbers=tuple(numbers), scores=scores)
