"""How sensitive each cell is to tuning, from its points of the shared design and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from orchestrator.analysis.answers.cell_optimum import Optimum, optimum_of
from orchestrator.analysis.answers.hyperparameter_shares import Sobol, ped_anova_of, sobol_by_cell
from orchestrator.analysis.answers.rate_response import rate_response
from orchestrator.analysis.answers.sensitivity_records import CellSensitivity, Sensitivity
from orchestrator.analysis.answers.tuning import BAND_CONFIDENCE, tuning_of
from orchestrator.analysis.statistics.sensitivity.near_optimal import near_optimal_volume
from orchestrator.analysis.statistics.sensitivity.tuning_curves import CdfBand, cdf_band
from orchestrator.analysis.trials.cells import CellKey, by_cell, cells_in_order, key_of
from orchestrator.analysis.trials.design_points import Design, lay_out
from orchestrator.analysis.trials.results import has_score
from orchestrator.analysis.trials.roles import require_role, trials_of_role
from orchestrator.store.schema import TrialRow

EPSILONS = (0.5, 1.0, 2.0)
"""Regrets that are good enough, in percentage points."""
N95_EPSILON = 1.0
"""The one of them behind `n95` and `lr_width`."""


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
    scores = _scores_by_cell(laid_out, keys)
    whole = None if laid_out is None else _whole(laid_out, scores, rng)
    of_design, of_default, of_confirm = (by_cell(found) for found in (design, default, confirm))
    cells = []
    for key in keys:
        trials = of_design.get(key, [])
        optimum = optimum_of(trials, of_default.get(key, []), of_confirm.get(key, []), scores=scores[key])
        known = _counted(key, trials, len(scores[key]), optimum)
        if scores[key] and whole is not None and optimum.score is not None:
            cells.append(_with_design(known, key, optimum.score, whole))
        else:
            why = "no design trial has a score" if trials else "no design trial has ended"
            cells.append(replace(known, missing=why))
    return tuple(cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """What is made of all cells of a design at once."""

    design: Design
    scores: Mapping[CellKey, Mapping[int, float]]
    """In percentage points, by number of the point."""
    best: Mapping[tuple[str, str], float]
    """The best of these, by backbone and recipe."""
    sobol: Mapping[CellKey, Sobol]
    bands: Mapping[int, CdfBand]
    """By number of points."""


def _whole(design: Design, scores: Mapping[CellKey, Mapping[int, float]], rng: np.random.Generator) -> _Whole:
    shares = sobol_by_cell(design, scores, rng)
    sizes = sorted({len(found) for found in scores.values()} - {0})
    return _Whole(
        design=design,
        scores=scores,
        best=_best_of_rows(scores),
        sobol=shares,
        bands={size: cdf_band(size, BAND_CONFIDENCE, rng) for size in sizes},
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


def _counted(key: CellKey, trials: Sequence[TrialRow], points: int, optimum: Optimum) -> CellSensitivity:
    """What is known of a cell whether or not its design has a score."""
    return CellSensitivity(
        backbone=key.backbone,
        recipe=key.recipe,
        optimizer=key.optimizer,
        n=points,
        n_trials=len(trials),
        n_diverged=sum(trial.state == "DIVERGED" for trial in trials),
        n_failed=sum(not has_score(trial) for trial in trials),
        optimum=optimum.score,
        optimum_from=optimum.source,
        default_regret=optimum.default_regret,
        boundary=optimum.boundary,
    )


def _with_design(known: CellSensitivity, key: CellKey, optimum: float, whole: _Whole) -> CellSensitivity:
    """What the points of the design add; `optimum` is in percentage points."""
    by_number = whole.scores[key]
    scores = np.array(list(by_number.values()))
    if not _has_learnt_nothing(known):
        known = _with_regrets(known, optimum - scores)
    curve = tuning_of(scores, whole.bands[len(scores)], whole.best[key.backbone, key.recipe])
    response = rate_response(whole.design, key, by_number, N95_EPSILON)
    return replace(
        known,
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
        sobol=whole.sobol.get(key),
        ped_anova=ped_anova_of(whole.design, key, by_number),
    )


def _has_learnt_nothing(known: CellSensitivity) -> bool:
    """Whether every result of the design diverged: no point is then near an optimum, all are at chance alike."""
    return known.optimum_from == "design" and known.n_diverged == known.n_trials - known.n_failed


def _with_regrets(known: CellSensitivity, regrets: NDArray[np.float64]) -> CellSensitivity:
    """What the regrets of the points say of the space, in percentage points."""
    mean, half = float(regrets.mean()), _half_width(regrets)
    volumes = tuple(near_optimal_volume(regrets, epsilon) for epsilon in EPSILONS)
    return replace(
        known,
        mean_regret=mean,
        mean_regret_low=None if half is None else mean - half,
        mean_regret_high=None if half is None else mean + half,
        p_eps=volumes,
        n95=next(volume.n95 for volume in volumes if volume.epsilon == N95_EPSILON),
    )


def _half_width(regrets: NDArray[np.float64]) -> float | None:
    n = len(regrets)
    if n < 2 or not regrets.std():
        return None
    return float(stdtrit(n - 1, 0.975) * regrets.std(ddof=1) / np.sqrt(n))
