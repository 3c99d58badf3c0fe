"""How often trials diverge, and what rows and columns have to do with it.

Divergence is an outcome; a trial that failed is missing and is counted elsewhere, never as an event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.effect_coding import standard_errors, sum_to_zero

_STEPS = 200
"""Newton steps before a fit is given up; 20 x 20 tables of zeros and ones take about 15."""
_LONGEST_STEP = 5.0
"""Log-odds that one step may move: far from the solution the information is nearly singular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticEffects:
    """A logistic regression of events on rows and columns without interaction, by Firth's penalised likelihood.

    Effects are log-odds against the mean of all rows (columns), so that they sum to 0. NaN for a row or column
    without trials.
    """

    intercept: float
    rows: NDArray[np.float64]
    """Shape (a,)."""
    rows_se: NDArray[np.float64]
    """Shape (a,): standard errors from the inverse information; too small or large where effects are extreme."""
    columns: NDArray[np.float64]
    """Shape (b,)."""
    columns_se: NDArray[np.float64]
    """Shape (b,): as `rows_se`."""
    row_rates: NDArray[np.float64]
    """Shape (a,): fitted rate of a row, the mean over all columns, as if every cell had the same number of trials."""
    column_rates: NDArray[np.float64]
    """Shape (b,): likewise, the mean over all rows."""


def logistic_effects(events: NDArray[np.int64], trials: NDArray[np.int64]) -> LogisticEffects | None:
    """Which rows and columns raise the rate of events.

    Maximum likelihood is infinite as soon as a row or column has no events, or only events, which is the rule here.
    Firth's penalty (Biometrika 1993), half the log determinant of the information (the Jeffreys prior), keeps every
    estimate finite and takes away the bias of first order; it pulls rates slightly towards one half.

    Args:
        events: Shape (a, b): trials of a cell that had the event.
        trials: Shape (a, b): its trials; 0 for a missing cell.

    Returns:
        None where effects are undefined: no events, nothing but events, or cells that do not connect all rows and
        columns.

    Raises:
        ValueError: They are no tables of one shape.
    """
    if np.ndim(events) != 2 or np.shape(events) != np.shape(trials):
        raise ValueError("events and trials are tables of one shape")
    used_rows, used_columns = trials.sum(axis=1) > 0, trials.sum(axis=0) > 0
    y = events[np.ix_(used_rows, used_columns)].astype(np.float64)
    n = trials[np.ix_(used_rows, used_columns)].astype(np.float64)
    if not 0 < y.sum() < n.sum():
        return None
    a, b = y.shape
    rows, columns = sum_to_zero(a), sum_to_zero(b)
    design = np.hstack([np.ones((a * b, 1)), np.repeat(rows, b, axis=0), np.tile(columns, (a, 1))])
    there = n.ravel() > 0
    if np.linalg.matrix_rank(design[there]) < design.shape[1]:
        return None
    fit = _firth(design[there], y.ravel()[there], n.ravel()[there])
    if fit is None:
        return None
    coefficients, covariance = fit
    fitted = _expit(design @ coefficients).reshape(a, b)
    row_part, column_part = slice(1, a), slice(a, a + b - 1)
    return LogisticEffects(
        intercept=float(coefficients[0]),
        rows=_spread(rows @ coefficients[row_part], used_rows),
        rows_se=_spread(standard_errors(rows, covariance[row_part, row_part]), used_rows),
        columns=_spread(columns @ coefficients[column_part], used_columns),
        columns_se=_spread(standard_errors(columns, covariance[column_part, column_part]), used_columns),
        row_rates=_spread(fitted.mean(axis=1), used_rows),
        column_rates=_spread(fitted.mean(axis=0), used_columns),
    )


def _spread(values: NDArray[np.float64], used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values of the used rows in an array of all rows, NaN elsewhere."""
    full = np.full(used.shape, np.nan)
    full[used] = values
    return full


def _expit(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = 0.5 * (1 + np.tanh(logits / 2))
    return rates


def _firth(
    design: NDArray[np.float64], events: NDArray[np.float64], trials: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Coefficients and covariance; None without convergence.

    Scoring on Firth's modified score X'(y - n p + h (1/2 - p)), h = leverages of the weighted fit. The step is taken
    with weights n + h: with n alone it is twice too long for a cell of one trial and goes to and fro for ever.
    """
    beta: NDArray[np.float64] = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        rates = _expit(design @ beta)
        spread = rates * (1 - rates)
        covariance = np.linalg.pinv(design.T @ (design * (trials * spread)[:, None]), hermitian=True)
        leverages = trials * spread * np.einsum("ij,jk,ik->i", design, covariance, design)
        score = design.T @ (events - trials * rates + leverages * (0.5 - rates))
        curvature = design.T @ (design * ((trials + leverages) * spread)[:, None])
        step = np.linalg.pinv(curvature, hermitian=True) @ score
        longest = float(np.abs(step).max())
        if longest < 1e-9:
            return beta, covariance.astype(np.float64)
        step *= min(1.0, _LONGEST_STEP / longest)
        value = _penalised(design, events, trials, beta)
        while _penalised(design, events, trials, beta + step) < value - 1e-12 * abs(value) and longest > 1e-12:
            step, longest = step / 2, longest / 2
        beta = (beta + step).astype(np.float64)
    return None


def _penalised(
    design: NDArray[np.float64],
    events: NDArray[np.float64],
    trials: NDArray[np.float64],
    beta: NDArray[np.float64],
) -> float:
    """Log likelihood plus half the log determinant of the information."""
    logits = design @ beta
    rates = _expit(logits)
    information = design.T @ (design * (trials * rates * (1 - rates))[:, None])
    likelihood = events @ logits - trials @ np.logaddexp(0.0, logits)
    return float(likelihood + 0.5 * np.linalg.slogdet(information)[1])


def row_effect_p(rates: NDArray[np.float64], *, rng: np.random.Generator, draws: int = 2000) -> float | None:
    """Whether rows differ in their rates, by permuting the cells of each column among the rows.

    Under "rows do not matter" the cells of a column are exchangeable, however rare events are and however alike the
    trials of one cell: a likelihood ratio takes trials of one cell as independent and needs several events per row.
    The statistic is the spread of the row means, as in Cochran's Q.

    Args:
        rates: Shape (a, b): complete, each from about the same number of trials; transpose it to test columns.
        rng: Draws the permutations.
        draws: Number of permutations; p is (1 + as extreme) / (1 + draws).

    Returns:
        None for a table with missing cells, fewer than two rows, or no difference anywhere.
    """
    if not np.isfinite(rates).all() or rates.shape[0] < 2 or not rates.size or np.ptp(rates, axis=0).max() == 0:
        return None
    spread = float((rates.sum(axis=1) ** 2).sum())
    as_extreme = 0
    for _ in range(draws):
        shuffled = rng.permuted(rates, axis=0)
        as_extreme += bool((shuffled.sum(axis=1) ** 2).sum() >= spread * (1 - 1e-12))
    return (1 + as_extreme) / (1 + draws)
