"""Which hyper-parameters matter in each cell: Sobol' shares behind a surrogate, and beside them PED-ANOVA."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.sensitivity.ped_anova import LEAST_TRIALS, ped_anova
from orchestrator.analysis.statistics.sensitivity.variance_shares import SurrogateShares, surrogate_shares
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.design_points import Design

NO_COORDINATES = "where the points lie in the search space was not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class SobolShare:
    """Shares of one hyper-parameter in the variance of the score over the search space, with 95 % intervals."""

    name: str
    first: float
    """Alone."""
    first_low: float
    first_high: float
    total: float
    """Alone or together with others."""
    total_low: float
    total_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sobol:
    """The shares of one cell."""

    r_squared: float | None
    """Cross-validated R^2 of the surrogate behind them."""
    shares: tuple[SobolShare, ...]
    reason: str | None
    """Why there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """PED-ANOVA importance of one hyper-parameter; all add up to 1."""

    name: str
    importance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PedAnova:
    """What tells a cell's best tenth of the trials from the rest."""

    importances: tuple[Importance, ...]
    reason: str | None
    """Why there are none."""


def sobol_by_cell(
    design: Design, scores: Mapping[CellKey, Mapping[int, float]], rng: np.random.Generator
) -> dict[CellKey, Sobol]:
    """The shares of every cell that has a score; cells with the same points are done together.

    Args:
        design: The sweep's design.
        scores: Percentage points by cell and number of the point.
        rng: Draws folds and refits.
    """
    answers: dict[CellKey, Sobol] = {}
    groups: dict[tuple[bytes, tuple[int, ...]], list[CellKey]] = defaultdict(list)
    places: dict[CellKey, NDArray[np.float64]] = {}
    for key, found in scores.items():
        where = _coordinates(design, key, found)
        if found and where is None:
            answers[key] = Sobol(r_squared=None, shares=(), reason=NO_COORDINATES)
        elif where is not None:
            places[key] = where
            groups[where.tobytes(), where.shape].append(key)
    for keys in groups.values():
        values = np.array([list(scores[key].values()) for key in keys])
        found_shares = surrogate_shares(places[keys[0]], values, rng)
        for key, shares in zip(keys, found_shares, strict=True):
            answers[key] = _named(shares, design.names_of(key.optimizer))
    return answers


def ped_anova_of(design: Design, key: CellKey, scores: Mapping[int, float]) -> PedAnova:
    """The importances of one cell."""
    where = _coordinates(design, key, scores)
    if where is None:
        return PedAnova(importances=(), reason=NO_COORDINATES)
    names = design.names_of(key.optimizer)
    found = ped_anova(where, np.array(list(scores.values())), names)
    if found is None:
        reason = "its best tenth of the points score no better than the others"
        if len(scores) < LEAST_TRIALS:
            reason = f"it needs {LEAST_TRIALS} points, five in the best tenth; there are {len(scores)}"
        return PedAnova(importances=(), reason=reason)
    return PedAnova(
        importances=tuple(Importance(name=name, importance=value) for name, value in found.items()), reason=None
    )


def _coordinates(design: Design, key: CellKey, scores: Mapping[int, float]) -> NDArray[np.float64] | None:
    """Shape (n, d): where the points with a score lie; None where that was not recorded."""
    points = design.points.get(key, {})
    names = design.names_of(key.optimizer)
    if not scores or not names or any(points[number].names != names for number in scores):
        return None
    return np.array([points[number].vector(names) for number in scores])


def _named(found: SurrogateShares, names: tuple[str, ...]) -> Sobol:
    if found.shares is None:
        return Sobol(r_squared=found.r_squared, shares=(), reason=found.reason)
    values = found.shares
    columns = (
        values.first, values.first_low, values.first_high, values.total, values.total_low, values.total_high
    )  # fmt: skip
    return Sobol(
        r_squared=found.r_squared,
        shares=tuple(
            SobolShare(
                name=name, first=first, first_low=first_low, first_high=first_high, total=total,
                total_low=total_low, total_high=total_high,
            )
            for name, first, first_low, first_high, total, total_low, total_high in zip(
                names, *(column.tolist() for column in columns), strict=True
            )
        ),
        reason=None,
    )  # fmt: skip
