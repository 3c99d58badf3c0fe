"""The shared design as arrays: coordinates of its points by optimizer, learning rates by cell."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.trials.cells import CellKey, key_of
from orchestrator.analysis.trials.design_scores import DesignScores, design_scores
from orchestrator.store.schema import TrialRow
from search_spaces.datasets import DATASETS

_FIRST = ("lr", "weight_decay")
"""Hyper-parameters that every optimizer's space starts with; the JSON of a point is sorted by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where one design trial lies."""

    coordinates: Mapping[str, float]
    """In the unit cube, by hyper-parameter; empty where none were recorded."""
    hp: Mapping[str, object]
    log_rate: float | None
    """log10 of the learning rate; None for a rate that is not above 0."""

    @property
    def names(self) -> tuple[str, ...]:
        """The searched hyper-parameters, learning rate and weight decay first."""
        first = [name for name in _FIRST if name in self.coordinates]
        return (*first, *sorted(name for name in self.coordinates if name not in _FIRST))

    def vector(self, names: Sequence[str]) -> list[float]:
        """The coordinates in the order of `names`."""
        return [self.coordinates[name] for name in names]

    def is_zero(self, name: str) -> bool:
        """Whether a hyper-parameter is exactly 0 here: off, below every value of its range."""
        return self.hp.get(name) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The design trials of a sweep, laid out."""

    table: DesignScores
    means: NDArray[np.float64]
    """Shape (a, b, h): score of each point in percentage points, mean over its seeds; NaN where one is missing."""
    points: Mapping[CellKey, Mapping[int, Point]]
    """By cell and number of the point."""
    chance: float | None
    """Accuracy of guessing, in percentage points; None where the number of classes is not known."""

    def coordinates(self, optimizer: str, numbers: Sequence[int]) -> NDArray[np.float64] | None:
        """Shape (h, d): where these points lie for an optimizer on every backbone.

        None where that was not recorded, or where backbones differ in it, so that nothing is shared.
        """
        names = self.names_of(optimizer)
        rows = []
        for number in numbers:
            found = [points[number] for key, points in self.points.items() if self._has(key, optimizer, number)]
            if not found or found[0].names != names or any(one.coordinates != found[0].coordinates for one in found):
                return None
            rows.append(found[0].vector(names))
        return np.array(rows) if names and rows else None

    def _has(self, key: CellKey, optimizer: str, number: int) -> bool:
        return key.optimizer == optimizer and number in self.points[key]

    def names_of(self, optimizer: str) -> tuple[str, ...]:
        """The hyper-parameters that are searched for an optimizer; empty where that was not recorded."""
        of_optimizer = (points for key, points in self.points.items() if key.optimizer == optimizer)
        return next((point.names for points in of_optimizer for point in points.values()), ())


def lay_out(design: Sequence[TrialRow], grid: Sequence[CellKey]) -> Design | None:
    """The design trials of a sweep as arrays; None without any that has a score."""
    table = design_scores(design, grid=grid)
    if table is None:
        return None
    points: dict[CellKey, dict[int, Point]] = {}
    for trial in design:
        points.setdefault(key_of(trial), {}).setdefault(trial.number, point_of(trial))
    return Design(table=table, means=table.of_points(), points=points, chance=_chance(design))


def point_of(trial: TrialRow) -> Point:
    """Where a trial lies."""
    rate = trial.hp_lr
    return Point(
        coordinates=json.loads(trial.point) if trial.point else {},
        hp=json.loads(trial.hp),
        log_rate=math.log10(rate) if rate is not None and rate > 0 else None,
    )


def _chance(trials: Sequence[TrialRow]) -> float | None:
    """From the recorded classes, else the catalogue's, else a trial that diverged."""
    classes = {trial.classes for trial in trials if trial.classes}
    known = {info.name: info.classes for info in DATASETS}
    classes = classes or {known[trial.dataset] for trial in trials if known.get(trial.dataset)}
    if len(classes) == 1:
        return 100 / classes.pop()
    return next(
        (100 * trial.score for trial in trials if trial.state == "DIVERGED" and trial.score is not None), None
    )
