"""The tuning curve of one cell with its summaries, as records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.sensitivity.tunability import alpha_tunability, tunability
from orchestrator.analysis.statistics.sensitivity.tuning_curves import CdfBand, tuning_curve

BAND_CONFIDENCE = 0.8
"""Of the band of a whole tuning curve. At 95 % the few points of a design leave it almost as wide as the scale."""
ALPHAS = (0.9, 0.95, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPoint:
    """Expected and median best of n random trials, in percentage points, with the ends of the curve's band."""

    n: int
    mean: float
    low: float
    high: float
    median: float
    median_low: float
    median_high: float
    flagged: bool
    """True beyond half the trials, where the estimate is least certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlphaTunability:
    """Share of the budget until the expected incumbent is alpha times the best; None where it never is."""

    alpha: float
    local: float | None
    """Of the cell's own best."""
    overall: float | None
    """Of the best of all optimizers on the backbone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSummary:
    """What the tuning curve of a cell says; scores in percentage points."""

    points: tuple[TuningPoint, ...]
    osp: float
    """First trial, then weights that fall, are equal, and rise with the trial, then the last trial: see
    `statistics.tunability.Tunability`."""
    cpe: float
    cpu: float
    cpl: float
    pp: float
    alpha: tuple[AlphaTunability, ...]


def tuning_of(scores: NDArray[np.float64], band: CdfBand, best: float) -> TuningSummary:
    """The curve of one cell.

    Args:
        scores: Shape (n,): percentage points of its design points.
        band: For n trials.
        best: The best design score of any optimizer on the backbone.
    """
    curve = tuning_curve(scores, band)
    weighted = tunability(curve.mean)
    columns = (curve.mean, curve.mean_low, curve.mean_high, curve.median, curve.median_low, curve.median_high)
    points = [
        TuningPoint(
            n=n, mean=mean, low=low, high=high, median=median, median_low=median_low, median_high=median_high,
            flagged=flagged,
        )
        for n, flagged, mean, low, high, median, median_low, median_high in zip(
            curve.budgets, curve.flagged, *(column.tolist() for column in columns), strict=True
        )
    ]  # fmt: skip
    return TuningSummary(
        points=tuple(points),
        osp=weighted.osp,
        cpe=weighted.cpe,
        cpu=weighted.cpu,
        cpl=weighted.cpl,
        pp=weighted.pp,
        alpha=tuple(
            AlphaTunability(
                alpha=alpha,
                local=alpha_tunability(curve.mean, alpha),
                overall=alpha_tunability(curve.mean, alpha, best),
            )
            for alpha in ALPHAS
        ),
    )
