"""Where each trial stands in the tables of its sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import CellKey, cells_in_order, key_of, rows_of
from orchestrator.analysis.trials.results import has_score, in_points
from orchestrator.analysis.trials.score_table import ScoreTable
from orchestrator.store.schema import TrialRow


class Layout:
    """Which row and column a trial belongs to."""

    def __init__(self, trials: Iterable[TrialRow], grid: Sequence[CellKey]) -> None:
        keys = cells_in_order(grid, {key_of(trial) for trial in trials})
        self.rows = rows_of(keys)
        self.optimizers = tuple(dict.fromkeys(key.optimizer for key in keys))
        self._row = {(row.backbone, row.recipe): index for index, row in enumerate(self.rows)}
        self._column = {name: index for index, name in enumerate(self.optimizers)}

    def place(self, trial: TrialRow) -> tuple[int, int]:
        """The row and column of a trial."""
        return self._row[trial.backbone, trial.recipe], self._column[trial.optimizer]

    def count(self, trials: Iterable[TrialRow], is_counted: Callable[[TrialRow], bool]) -> NDArray[np.int64]:
        """Shape (a, b): trials of each cell that are counted."""
        counts = np.zeros((len(self.rows), len(self.optimizers)), dtype=np.int64)
        for trial in trials:
            counts[self.place(trial)] += is_counted(trial)
        return counts

    def table(self, response: str, trials: Mapping[CellKey, Sequence[TrialRow]]) -> ScoreTable:
        """The table of trials that are replicates of one setting in each cell."""
        every = [trial for found in trials.values() for trial in found]
        places = {replicate: index for index, replicate in enumerate(sorted({trial.replicate for trial in every}))}
        scores = np.full((len(self.rows), len(self.optimizers), len(places)), np.nan)
        for trial in every:
            if has_score(trial):
                scores[(*self.place(trial), places[trial.replicate])] = in_points(trial.score or 0.0)
        return self.table_of(response, scores, every)

    def table_of(self, response: str, scores: NDArray[np.float64], trials: Sequence[TrialRow]) -> ScoreTable:
        """The table of scores, shape (a, b, r), and of the trials behind them."""
        return ScoreTable(
            response=response,
            rows=self.rows,
            optimizers=self.optimizers,
            scores=scores,
            diverged=self.count(trials, lambda trial: trial.state == "DIVERGED"),
            failed=self.count(trials, lambda trial: trial.state == "FAIL"),
        )
