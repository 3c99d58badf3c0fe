"""The cells of a sweep, response by response: how many trials are behind each number, and how they ended."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.trials.score_table import ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAnswer:
    """One response of one cell."""

    backbone: str
    recipe: str
    optimizer: str
    response: str
    n: int
    """Scores behind the mean; of `tuned@n` sets of design points, of `shared` seeds."""
    n_diverged: int
    """Trials that diverged and count at chance; of `tuned@n` and `shared` among all design trials of the cell."""
    n_failed: int
    """Trials that failed and are missing."""
    mean: float | None
    """In percentage points; None without any score."""
    sd: float | None
    """With divisor n - 1, in percentage points; None below two scores, and for `tuned@n`: its replicates are
    disjoint sets of one design, and their spread is that of tuning, not of seeds."""


def cell_answers(tables: Iterable[ScoreTable]) -> tuple[CellAnswer, ...]:
    """Every cell of every response, in the order of the tables."""
    return tuple(
        _answer(table, row, column)
        for table in tables
        for row in range(len(table.rows))
        for column in range(len(table.optimizers))
    )


def _answer(table: ScoreTable, row: int, column: int) -> CellAnswer:
    scores = table.scores[row, column]
    scores = scores[np.isfinite(scores)]
    spread = len(scores) > 1 and not table.is_tuned
    return CellAnswer(
        backbone=table.rows[row].backbone,
        recipe=table.rows[row].recipe,
        optimizer=table.optimizers[column],
        response=table.response,
        n=len(scores),
        n_diverged=int(table.diverged[row, column]),
        n_failed=int(table.failed[row, column]),
        mean=math.fsum(scores) / len(scores) if len(scores) else None,
        sd=float(np.std(scores, ddof=1)) if spread else None,
    )
