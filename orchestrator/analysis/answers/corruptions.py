"""Accuracy of confirmed networks on corrupted images, cell by cell."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.robustness.corruption import CorruptionError, corruption_error, matched_drop
from orchestrator.analysis.trials.cells import CellKey, by_cell
from orchestrator.analysis.trials.results import first_confirmed
from orchestrator.store.schema import TrialRow


class CorruptionScore(Protocol):
    """Accuracy of one trial's network under one corruption at one severity."""

    @property
    def trial_id(self) -> str:
        """The trial."""

    @property
    def corruption(self) -> str:
        """Name of the corruption."""

    @property
    def severity(self) -> int:
        """From 1 for the mildest."""

    @property
    def top1(self) -> float:
        """Accuracy as a fraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCorruption:
    """One cell's confirmed networks on corrupted images: means over its trials, in points."""

    backbone: str
    recipe: str
    optimizer: str
    trials: int
    clean: float
    """Accuracy on the same images without corruption: that of the test part where there is one."""
    corrupted: float
    """Over all corruptions and severities."""
    drop: float
    """`clean` less `corrupted`."""
    matched_drop: float | None
    """The drop as if all cells had the same clean accuracy; None with fewer than three cells."""
    error: CorruptionError
    """In % of the mean error of all cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionAnswer:
    """What the evaluations on corrupted images say.

    The corruption error of Hendrycks and Dietterich is relative to AlexNet; here it is to the mean over all cells, so
    that its values compare cells of this sweep and no others.
    """

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    cells: tuple[CellCorruption, ...]
    slope: float | None
    """Change of the drop with one point of clean accuracy, over the cells."""
    r_squared: float | None
    dropped_trials: int
    """Trials with evaluations that are not used: not of the first confirmed setting, or with evaluations missing."""


def corruption_answer(trials: Sequence[TrialRow], scores: Sequence[CorruptionScore]) -> CorruptionAnswer | None:
    """Corruption errors and drops of every cell; None without any evaluation of these trials."""
    by_trial: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for score in scores:
        by_trial[score.trial_id][score.corruption, score.severity] = 100 * score.top1
    evaluated = [trial for trial in trials if trial.trial_id in by_trial]
    if not evaluated:
        return None
    found = {place for trial in evaluated for place in by_trial[trial.trial_id]}
    corruptions, severities = sorted({name for name, _ in found}), sorted({severity for _, severity in found})
    grid = [[(name, severity) for severity in severities] for name in corruptions]
    used = {
        key: whole
        for key, members in sorted(by_cell(evaluated).items())
        if (whole := [t for t in first_confirmed(members) if _is_whole(t, by_trial[t.trial_id], grid)])
    }
    accuracy = {
        key: np.mean([[[by_trial[t.trial_id][p] for p in line] for line in grid] for t in members], axis=0)
        for key, members in used.items()
    }
    drops = matched_drop(
        np.array([_clean_of(members) for members in used.values()]),
        np.array([float(table.mean()) for table in accuracy.values()]),
    )
    return CorruptionAnswer(
        corruptions=tuple(corruptions),
        severities=tuple(severities),
        cells=_cells(used, accuracy, drops.adjusted if drops else (None,) * len(used)),
        slope=drops.slope if drops else None,
        r_squared=drops.r_squared if drops else None,
        dropped_trials=len(evaluated) - sum(len(members) for members in used.values()),
    )


def _is_whole(
    trial: TrialRow, found: Mapping[tuple[str, int], float], grid: Sequence[Sequence[tuple[str, int]]]
) -> bool:
    return math.isfinite(_clean(trial)) and all(place in found for line in grid for place in line)


def _clean(trial: TrialRow) -> float:
    value = trial.val_top1_final if trial.test_top1 is None else trial.test_top1
    return math.nan if value is None else 100 * value


def _clean_of(trials: Sequence[TrialRow]) -> float:
    return statistics.fmean(_clean(trial) for trial in trials)


def _cells(
    used: Mapping[CellKey, Sequence[TrialRow]],
    accuracy: Mapping[CellKey, NDArray[np.float64]],
    matched: Sequence[float | None],
) -> tuple[CellCorruption, ...]:
    if not used:
        return ()
    reference = 100 - np.mean(list(accuracy.values()), axis=0)
    reference_clean = 100 - statistics.fmean(_clean_of(members) for members in used.values())
    cells = []
    for (key, members), drop in zip(used.items(), matched, strict=True):
        clean, corrupted = _clean_of(members), float(accuracy[key].mean())
        error = corruption_error(100 - accuracy[key], reference, clean=100 - clean, reference_clean=reference_clean)
        cells.append(
            CellCorruption(
                backbone=key.backbone, recipe=key.recipe, optimizer=key.optimizer, trials=len(members), clean=clean,
                corrupted=corrupted, drop=clean - corrupted, matched_drop=drop, error=error,
            )
        )  # fmt: skip
    return tuple(cells)
