"""How sensitive each cell is to tuning, from its points of the shared design and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from orchestrator.analysis.answers.cell_optimum import Optimum, optimum_of
from orchestrator.analysis.answers.design_points import Design, lay_out
from orchestrator.analysis.answers.hyperparameter_shares import PedAnova, Sobol, ped_anova_of, sobol_by_cell
from orchestrator.analysis.answers.rate_response import RateResponse, rate_response
from orchestrator.analysis.answers.roles import require_role, trials_of_role
from orchestrator.analysis.answers.score_tables import Exclusion, has_score, key_of
from orchestrator.analysis.answers.summary import CellKey, cells_in_order
from orchestrator.analysis.answers.tuned_settings import by_cell
from orchestrator.analysis.answers.tuning import BAND_CONFIDENCE, AlphaTunability, TuningPoint, tuning_of
from orchestrator.analysis.statistics.sensitivity.near_optimal import NearOptimalVolume, near_optimal_volume
from orchestrator.analysis.statistics.sensitivity.tuning_curves import CdfBand, cdf_band
from orchestrator.store.schema import TrialRow

EPSILONS = (0.5, 1.0, 2.0)
"""Regrets that are good enough, in percentage points."""
N95_EPSILON = 1.0
"""The one of them behind `n95` and `lr_width`."""


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


def sensitivity(trials: Sequence[TrialRow], *, grid: Sequence[CellKey] = (), rng: np.random.Generator) -> Sensitivity:
    """The section `sensitivity`, from all trials of a sweep.

    Args:
        trials: Those that ended, of any role: each statistic is given the ones it is valid for.
        grid: Cells that were planned, in the order of the spec.
        rng: Draws what bands and surrogates need.
    """
    roles = {role: trials_of_role(trials, role) for role in ("design", "default", "confirm")}
    cells = cell_sensitivities(
        roles["design"].trials,
        default=roles["default"].trials,
        confirm=roles["confirm"].trials,
        grid=cells_in_order(grid, {key_of(trial) for trial in trials}),
        rng=rng,
    )
    return Sensitivity(cells=cells, excluded=tuple(item for found in roles.values() for item in found.excluded))


def cell_sensitivities(
    design: Sequence[TrialRow],
    *,
    default: Sequence[TrialRow] = (),
    confirm: Sequence[TrialRow] = (),
    grid: Sequence[CellKey] = (),
    rng: np.random.Generator,
) -> tuple[CellSensitivity, ...]:
    """The sensitivity of each cell from trials that were sorted by role.

    Args:
        design: Points of the shared design.
        default: Trials at the published setting.
        confirm: The winners again, with fresh seeds.
        grid: Cells that were planned.
        rng: Draws what bands and surrogates need.

    Raises:
        UsageError: A trial has another role than it is given for, or is pruned, short or superseded.
    """
    require_role(design, "design", "sensitivity to tuning")
    require_role(default, "default", "the regret of a default")
    require_role(confirm, "confirm", "a confirmed optimum")
    keys = cells_in_order(grid, {key_of(trial) for trial in (*design, *default, *confirm)})
    laid_out = lay_out(design, keys)
    trials_of = [by_cell(found) for found in (design, default, confirm)]
    scores = _scores_by_cell(laid_out, keys)
    optima = {key: optimum_of(*(found.get(key, []) for found in trials_of), scores=scores[key]) for key in keys}
    shares = sobol_by_cell(laid_out, scores, rng) if laid_out else {}
    bands = {size: cdf_band(size, BAND_CONFIDENCE, rng) for size in sorted({len(s) for s in scores.values()} - {0})}
    best = _best_of_rows(scores)
    return tuple(
        _cell(key, trials_of[0].get(key, []), scores[key], optima[key], laid_out, shares.get(key), bands, best)
        for key in keys
    )


def _scores_by_cell(design: Design | None, keys: Sequence[CellKey]) -> dict[CellKey, dict[int, float]]:
    """Score by number of the point, of the points that have one."""
    scores: dict[CellKey, dict[int, float]] = {key: {} for key in keys}
    if design is None:
        return scores
    for row, means in zip(design.table.rows, design.means, strict=True):
        for optimizer, values in zip(design.table.optimizers, means, strict=True):
            key = CellKey(backbone=row.backbone, recipe=row.recipe, optimizer=optimizer)
            if key in scores:
                scores[key] = {
                    number: float(value)
                    for number, value in zip(design.table.numbers, values, strict=True)
                    if np.isfinite(value)
                }
    return scores


def _best_of_rows(scores: Mapping[CellKey, Mapping[int, float]]) -> dict[tuple[str, str], float]:
    best: dict[tuple[str, str], float] = {}
    for key, found in scores.items():
        row = (key.backbone, key.recipe)
        best[row] = max([best.get(row, -np.inf), *found.values()])
    return best


def _cell(
    key: CellKey,
    trials: Sequence[TrialRow],
    by_number: Mapping[int, float],
    optimum: Optimum,
    design: Design | None,
    sobol: Sobol | None,
    bands: Mapping[int, CdfBand],
    best: Mapping[tuple[str, str], float],
) -> CellSensitivity:
    known = CellSensitivity(
        backbone=key.backbone,
        recipe=key.recipe,
        optimizer=key.optimizer,
        n=len(by_number),
        n_trials=len(trials),
        n_diverged=sum(trial.state == "DIVERGED" for trial in trials),
        n_failed=sum(not has_score(trial) for trial in trials),
        optimum=optimum.score,
        optimum_from=optimum.source,
        default_regret=optimum.default_regret,
        boundary=optimum.boundary,
    )
    if not by_number or design is None or optimum.score is None:
        return replace(known, missing="no design trial has a score" if trials else "no design trial has ended")
    scores = np.array(list(by_number.values()))
    regrets = optimum.score - scores
    volumes = tuple(near_optimal_volume(regrets, epsilon) for epsilon in EPSILONS)
    half = _half_width(regrets)
    curve = tuning_of(scores, bands[len(scores)], best[key.backbone, key.recipe])
    response = rate_response(design, key, by_number, N95_EPSILON)
    return replace(
        known,
        mean_regret=float(regrets.mean()),
        mean_regret_low=None if half is None else float(regrets.mean()) - half,
        mean_regret_high=None if half is None else float(regrets.mean()) + half,
        p_eps=volumes,
        n95=next(volume.n95 for volume in volumes if volume.epsilon == N95_EPSILON),
        osp=curve.osp,
        cpe=curve.cpe,
        cpu=curve.cpu,
        cpl=curve.cpl,
        pp=curve.pp,
        alpha_tunability=curve.alpha,
        tuning_curve=curve.points,
        band_confidence=BAND_CONFIDENCE,
        lr_sensitivity=response.sensitivity if response else None,
        lr_width=response.width if response else None,
        lr_censored=response.censored if response else None,
        lr_response=response,
        sobol=sobol,
        ped_anova=ped_anova_of(design, key, by_number),
    )


def _half_width(regrets: NDArray[np.float64]) -> float | None:
    n = len(regrets)
    if n < 2 or not regrets.std():
        return None
    return float(stdtrit(n - 1, 0.975) * regrets.std(ddof=1) / np.sqrt(n))
