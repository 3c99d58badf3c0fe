"""Which trials diverged, which failed, and whether backbones or optimizers have to do with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.intervals import exact_rates
from orchestrator.analysis.statistics.robustness.failure_rates import logistic_effects, row_effect_p
from orchestrator.analysis.trials.cells import CellKey, cells_in_order, key_of
from orchestrator.analysis.trials.results import ROLES
from orchestrator.store.schema import TrialRow

SUMMARY_ROLES = ("design", "default", "confirm", "imported")
"""Roles whose divergence can be compared between cells, the best first: the design is the same in every cell. Tune
trials are no rate of anything: a sampler learns to stay away from what diverges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFailures:
    """How the trials of one role ended in one cell."""

    backbone: str
    recipe: str
    optimizer: str
    role: str
    n_complete: int
    n_diverged: int
    n_pruned: int
    n_failed: int
    """They gave no result: missing, and not counted as diverged."""
    divergence_rate: float | None
    """Diverged among complete and diverged; None without any. Of tune trials it says how well the sampler steered."""
    divergence_ci: tuple[float, float] | None
    """Clopper-Pearson, 95 %, as fractions."""
    failure_rate: float | None
    """Failed among all that ended."""
    failure_ci: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFailures:
    """Divergence of one backbone (over optimizers) or one optimizer (over backbones)."""

    name: str
    """Of an optimizer, or of a backbone."""
    recipe: str | None
    """None for an optimizer."""
    n: int
    """Trials with an outcome."""
    n_diverged: int
    rate: float | None
    ci: tuple[float, float] | None
    """Clopper-Pearson, 95 %, as if all its trials had one rate: rather short, since trials of one cell are alike."""
    log_odds: float | None
    """Firth's logistic effect against the mean of all, adjusted for the other factor; None where nothing diverged, or
    everything."""
    log_odds_se: float | None
    adjusted_rate: float | None
    """Fitted rate over all levels of the other factor alike; drawn slightly towards one half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceSummary:
    """What rows and columns have to do with divergence, in the trials of one role."""

    role: str
    backbones: tuple[LevelFailures, ...]
    optimizers: tuple[LevelFailures, ...]
    p_backbones: float | None
    """Whether backbones differ, by permuting cells within optimizers; None with missing cells or no divergence. A
    likelihood ratio is not given: it needs several divergences per backbone, and independent trials within cells."""
    p_optimizers: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureAnswer:
    """Divergence is an outcome; failure is no result."""

    n_complete: int
    n_diverged: int
    n_pruned: int
    n_failed: int
    cells: tuple[CellFailures, ...]
    """Every cell and role that has trials."""
    summary: DivergenceSummary | None
    """None where no role that can be compared has an outcome."""


def failure_answer(
    trials: Sequence[TrialRow], *, grid: Sequence[CellKey] = (), rng: np.random.Generator
) -> FailureAnswer:
    """Counts and rates of divergence and failure.

    Args:
        trials: Those of one sweep that ended.
        grid: Cells that were planned, in the order of the spec.
        rng: Draws permutations.
    """
    counts: dict[tuple[CellKey, str], Counter[str]] = defaultdict(Counter)
    for trial in trials:
        counts[key_of(trial), trial.role][trial.state] += 1
    keys = cells_in_order(grid, {key_of(trial) for trial in trials})
    roles = [*ROLES, *sorted({trial.role for trial in trials}.difference(ROLES))]
    total = Counter(trial.state for trial in trials)
    cells = [(key, role) for key in keys for role in roles if (key, role) in counts]
    role = next((name for name in SUMMARY_ROLES if _outcomes(trials, name)), None)
    return FailureAnswer(
        n_complete=total["COMPLETE"],
        n_diverged=total["DIVERGED"],
        n_pruned=total["PRUNED"],
        n_failed=total["FAIL"],
        cells=tuple(_cell(key, role, counts[key, role]) for key, role in cells),
        summary=None if role is None else _summary(_outcomes(trials, role), keys, role, rng),
    )


def _outcomes(trials: Sequence[TrialRow], role: str) -> list[TrialRow]:
    return [trial for trial in trials if trial.role == role and trial.state in ("COMPLETE", "DIVERGED")]


def _cell(key: CellKey, role: str, states: Counter[str]) -> CellFailures:
    outcomes, ended = states["COMPLETE"] + states["DIVERGED"], states.total()
    rates = exact_rates(np.array([states["DIVERGED"], states["FAIL"]]), np.array([outcomes, ended]))
    return CellFailures(
        backbone=key.backbone,
        recipe=key.recipe,
        optimizer=key.optimizer,
        role=role,
        n_complete=states["COMPLETE"],
        n_diverged=states["DIVERGED"],
        n_pruned=states["PRUNED"],
        n_failed=states["FAIL"],
        divergence_rate=_defined(rates.rate[0]),
        divergence_ci=(float(rates.low[0]), float(rates.high[0])) if outcomes else None,
        failure_rate=_defined(rates.rate[1]),
        failure_ci=(float(rates.low[1]), float(rates.high[1])),
    )


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _summary(
    outcomes: Sequence[TrialRow], keys: Sequence[CellKey], role: str, rng: np.random.Generator
) -> DivergenceSummary:
    rows = list(dict.fromkeys((key.backbone, key.recipe) for key in keys))
    columns = list(dict.fromkeys(key.optimizer for key in keys))
    events = np.zeros((len(rows), len(columns)), dtype=np.int64)
    number = np.zeros_like(events)
    for trial in outcomes:
        cell = rows.index((trial.backbone, trial.recipe)), columns.index(trial.optimizer)
        number[cell] += 1
        events[cell] += trial.state == "DIVERGED"
    effects = logistic_effects(events, number)
    rates = exact_rates(events, number).rate
    undefined = np.full(max(number.shape), np.nan)
    return DivergenceSummary(
        role=role,
        backbones=_levels(
            [(backbone, recipe) for backbone, recipe in rows], events.sum(axis=1), number.sum(axis=1),
            *((effects.rows, effects.rows_se, effects.row_rates) if effects else (undefined,) * 3),
        ),
        optimizers=_levels(
            [(name, None) for name in columns], events.sum(axis=0), number.sum(axis=0),
            *((effects.columns, effects.columns_se, effects.column_rates) if effects else (undefined,) * 3),
        ),
        p_backbones=row_effect_p(rates, rng=rng),
        p_optimizers=row_effect_p(rates.T, rng=rng),
    )  # fmt: skip


def _levels(
    names: Sequence[tuple[str, str | None]],
    events: NDArray[np.int64],
    number: NDArray[np.int64],
    log_odds: NDArray[np.float64],
    errors: NDArray[np.float64],
    adjusted: NDArray[np.float64],
) -> tuple[LevelFailures, ...]:
    rates = exact_rates(events, number)
    return tuple(
        LevelFailures(
            name=name,
            recipe=recipe,
            n=int(number[at]),
            n_diverged=int(events[at]),
            rate=_defined(rates.rate[at]),
            ci=(float(rates.low[at]), float(rates.high[at])) if number[at] else None,
            log_odds=_defined(log_odds[at]),
            log_odds_se=_defined(errors[at]),
            adjusted_rate=_defined(adjusted[at]),
        )
        for at, (name, recipe) in enumerate(names)
    )
