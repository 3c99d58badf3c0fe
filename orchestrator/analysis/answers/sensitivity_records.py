"""What is said about the sensitivity of cells to tuning: records, and nothing that computes them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.answers.hyperparameter_shares import PedAnova, Sobol
from orchestrator.analysis.answers.rate_response import RateResponse
from orchestrator.analysis.answers.tuning import AlphaTunability, TuningPoint
from orchestrator.analysis.statistics.sensitivity.near_optimal import NearOptimalVolume
from orchestrator.analysis.trials.score_table import Exclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSensitivity:
    """One cell. Regrets, scores and sensitivities are in percentage points; None is undefined."""

    backbone: str
    recipe: str
    optimizer: str
    n: int = 0
    """Points of the design with a score (a mean over its seeds where there are several)."""
    n_trials: int = 0
    """Design trials that ended, failed ones included."""
    n_diverged: int = 0
    """Of them, those that diverged: they count at chance."""
    n_failed: int = 0
    """Of them, those without a result: a point that misses one is missing."""
    optimum: float | None = None
    optimum_from: str | None = None
    """`confirm` (mean over fresh seeds of the setting the search ranked first) or `design` (its best score, which is
    too high because it was picked for being high)."""
    mean_regret: float | None = None
    """Mean of optimum - score over the design, negative regrets included: sensitivity over the whole space."""
    mean_regret_low: float | None = None
    """Ends of Student's 95 % interval over points, wider than need be for a design more even than chance."""
    mean_regret_high: float | None = None
    p_eps: tuple[NearOptimalVolume, ...] = ()
    n95: int | None = None
    """Random trials that find a regret of at most 1 point with probability 0.95."""
    osp: float | None = None
    cpe: float | None = None
    cpu: float | None = None
    cpl: float | None = None
    pp: float | None = None
    alpha_tunability: tuple[AlphaTunability, ...] = ()
    tuning_curve: tuple[TuningPoint, ...] = ()
    band_confidence: float | None = None
    default_regret: float | None = None
    """Optimum - mean of the default trials."""
    lr_sensitivity: float | None = None
    lr_width: float | None = None
    lr_censored: str | None = None
    lr_response: RateResponse | None = None
    """Where `lr_sensitivity`, `lr_width` and `lr_censored` come from."""
    boundary: tuple[str, ...] | None = None
    """Hyper-parameters whose best value lies within 10 % of an end of their range; None where that is not known."""
    sobol: Sobol | None = None
    ped_anova: PedAnova | None = None
    missing: str | None = None
    """Why there is nothing from the design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """Every cell of a sweep, and the trials that were left out."""

    cells: tuple[CellSensitivity, ...]
    excluded: tuple[Exclusion, ...]
