"""A table of scores: one response of every cell, with its replicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import RowKey

DEFAULT, SHARED, CONFIRMED, IMPORTED = "default", "shared", "confirmed", "imported"
TUNED = "tuned@"
"""Names of responses; those that are the best of n points of the shared design are `tuned@n`."""
ROLE_OF = {CONFIRMED: "confirm", IMPORTED: "imported", DEFAULT: "default"}
"""Responses whose replicates are seeds of one setting, the most trustworthy first, and the role of their trials."""


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
    def is_tuned(self) -> bool:
        """Whether a replicate is a set of design points, so that replicates differ by tuning and not by seed."""
        return self.response.startswith(TUNED)

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
        return next((table for name in ROLE_OF if (table := self.named(name))), None)

    def named(self, response: str) -> ScoreTable | None:
        """A response that has an answer, by name."""
        return next((table for table in self.tables if table.response == response and table.has_answer), None)
