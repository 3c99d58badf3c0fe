"""The part of a table without missing cells: what ranks, regret and contrasts compare like with like on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import RowKey
from orchestrator.analysis.trials.score_table import ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A row or column that a complete table leaves out."""

    backbone: str | None
    """None for an optimizer."""
    recipe: str | None
    optimizer: str | None
    """None for a backbone."""
    missing: tuple[str, ...]
    """Optimizers without a result on the backbone, or labels of rows without one of the optimizer."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteTable:
    """Rows and columns of which every cell has a result."""

    response: str
    rows: tuple[RowKey, ...]
    optimizers: tuple[str, ...]
    means: NDArray[np.float64]
    """Shape (n, k), in percentage points."""
    scores: NDArray[np.float64]
    """Shape (n, k, r): every cell has a replicate, not every replicate."""
    left_out: tuple[LeftOut, ...]

    @property
    def n_backbones(self) -> int:
        """Different backbones among the rows."""
        return len({row.backbone for row in self.rows})


def complete_part(table: ScoreTable) -> CompleteTable:
    """Leaves out optimizers that have a result in fewer than half of the rows, then rows with a missing cell.

    An optimizer that cannot run on most backbones would else take these with it. Rows and optimizers without any
    result count as not begun: they are left out and not held against the others.
    """
    there = np.isfinite(table.means)
    begun = there.sum(axis=1) > 0
    kept_columns = there[begun].sum(axis=0) * 2 >= max(1, int(begun.sum()))
    kept_rows = begun & np.logical_and.reduce(there[:, kept_columns], axis=1)
    left_out = [
        LeftOut(
            backbone=None,
            recipe=None,
            optimizer=table.optimizers[column],
            missing=tuple(table.rows[row].label for row in np.flatnonzero(~there[:, column])),
            why="it has a result on fewer than half of the backbones",
        )
        for column in np.flatnonzero(~kept_columns)
    ]
    left_out += [
        LeftOut(
            backbone=table.rows[row].backbone,
            recipe=table.rows[row].recipe,
            optimizer=None,
            missing=tuple(table.optimizers[column] for column in np.flatnonzero(kept_columns & ~there[row])),
            why="optimizers are compared on backbones that have a result of all of them",
        )
        for row in np.flatnonzero(~kept_rows)
    ]
    kept = np.ix_(kept_rows, kept_columns)
    return CompleteTable(
        response=table.response,
        rows=tuple(table.rows[row] for row in np.flatnonzero(kept_rows)),
        optimizers=tuple(table.optimizers[column] for column in np.flatnonzero(kept_columns)),
        means=table.means[kept],
        scores=table.scores[kept],
        left_out=tuple(left_out),
    )
