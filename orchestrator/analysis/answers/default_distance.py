"""How far from its default an optimizer's learning rate must be moved to be as good as it gets, cell by cell."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.sensitivity.near_optimal import EpsOptimalDistance, eps_optimal_distance
from orchestrator.analysis.trials.cells import by_cell
from orchestrator.analysis.trials.results import first_confirmed, has_score
from orchestrator.analysis.trials.tuned_settings import SettingTable
from orchestrator.store.schema import TrialRow

EPS = 1.0
"""Points below the optimum that still count as being there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultDistance:
    """Distances of several cells from the default learning rate to the nearest design point within `eps` of the best.

    The best is the mean of the confirmed setting, else the best of design and default, which is too high where
    scores are noisy.
    """

    eps: float
    """In points."""
    median_decades: float | None
    """None where no cell has a point within eps."""
    cells: int
    """Cells with a distance."""
    without_point: int
    """Cells in which neither default nor design comes within eps of the confirmed optimum."""
    default_optimal: int
    """Cells whose default is itself within eps, of `default_known` in which it was run."""
    default_known: int

    @classmethod
    def over(cls, found: Sequence[EpsOptimalDistance | None]) -> DefaultDistance | None:
        """Summarises cells; None if none has a design."""
        known = [cell for cell in found if cell is not None]
        if not known:
            return None
        decades = [cell.decades for cell in known if cell.decades is not None]
        ran = [cell.default_is_optimal for cell in known if cell.default_is_optimal is not None]
        return cls(
            eps=EPS,
            median_decades=statistics.median(decades) if decades else None,
            cells=len(decades),
            without_point=len(known) - len(decades),
            default_optimal=sum(ran),
            default_known=len(ran),
        )


def default_distances(trials: Sequence[TrialRow], settings: SettingTable) -> NDArray[np.object_]:
    """Shape (a, b): the distance of each cell, None where it has no design or its default rate is not known."""
    found = np.full((len(settings.rows), len(settings.optimizers)), None, dtype=object)
    for members in by_cell(trials).values():
        where = settings.place(members[0])
        found[where] = _distance(members, float(settings.default_lr[where[1]]))
    return found


def _distance(trials: Sequence[TrialRow], default_lr: float) -> EpsOptimalDistance | None:
    points: dict[int, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        if trial.role == "design" and has_score(trial) and (trial.hp_lr or 0.0) > 0:
            points[trial.number].append(trial)
    if not points or not default_lr > 0:
        return None
    # Default trials at another rate than the optimizer's own default say nothing about the latter.
    at_default = [
        trial for trial in trials if trial.role == "default" and has_score(trial) and trial.hp_lr == default_lr
    ]
    return eps_optimal_distance(
        np.array([found[0].hp_lr for found in points.values()], dtype=np.float64),
        np.array([_mean_score(found) for found in points.values()], dtype=np.float64),
        default_lr=default_lr,
        default_score=_mean_score(at_default),
        eps=EPS,
        optimum=_mean_score(first_confirmed(trials)),
    )


def _mean_score(trials: Sequence[TrialRow]) -> float | None:
    return 100 * statistics.fmean(trial.score or 0.0 for trial in trials) if trials else None
