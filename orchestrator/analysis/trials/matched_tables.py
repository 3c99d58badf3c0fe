"""The cells that two sweeps have in common, as two tables of one layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from orchestrator.analysis.trials.cells import RowKey
from orchestrator.analysis.trials.score_table import ScoreTable


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedTables:
    """Two tables whose rows and columns mean the same; an entry that either lacks is NaN in both."""

    a: ScoreTable
    b: ScoreTable

    @property
    def has_cells(self) -> bool:
        """Whether they have any entry in common."""
        return bool(np.isfinite(self.a.scores).any())


def match_tables(first: ScoreTable, second: ScoreTable) -> MatchedTables:
    """The common part of two tables, in the order of the first.

    Rows are matched by backbone and recipe; a backbone that each table has in one row only is matched whatever the
    recipes are.
    """
    pairs = _pairs(first.rows, second.rows)
    optimizers = tuple(name for name in first.optimizers if name in second.optimizers)
    a = _part(first, [pair[0] for pair in pairs], optimizers)
    b = _part(second, [pair[1] for pair in pairs], optimizers)
    common = np.isfinite(a.means) & np.isfinite(b.means)
    return MatchedTables(
        a=replace(a, scores=np.where(common[:, :, None], a.scores, np.nan)),
        b=replace(b, scores=np.where(common[:, :, None], b.scores, np.nan)),
    )


def _pairs(first: Sequence[RowKey], second: Sequence[RowKey]) -> list[tuple[RowKey, RowKey]]:
    exact = {(row.backbone, row.recipe): row for row in second}
    left, right = _by_backbone(first), _by_backbone(second)
    pairs = []
    for row in first:
        others = right.get(row.backbone, [])
        if (row.backbone, row.recipe) in exact:
            pairs.append((row, exact[row.backbone, row.recipe]))
        elif len(left[row.backbone]) == 1 and len(others) == 1:
            pairs.append((row, others[0]))
    return pairs


def _by_backbone(rows: Sequence[RowKey]) -> dict[str, list[RowKey]]:
    found: dict[str, list[RowKey]] = defaultdict(list)
    for row in rows:
        found[row.backbone].append(row)
    return found


def _part(table: ScoreTable, rows: Sequence[RowKey], optimizers: tuple[str, ...]) -> ScoreTable:
    places = np.array([table.rows.index(row) for row in rows], dtype=np.intp)
    columns = np.array([table.optimizers.index(name) for name in optimizers], dtype=np.intp)
    grid = np.ix_(places, columns)
    return replace(
        table,
        rows=tuple(rows),
        optimizers=optimizers,
        scores=table.scores[grid],
        diverged=table.diverged[grid],
        failed=table.failed[grid],
    )
