"""Which column is best in each row, and how sure that is: what noise of the replicates leaves standing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import false_discovery_control

from orchestrator.analysis.statistics.intervals import CONFIDENCE
from orchestrator.analysis.statistics.multiplicity import holm
from orchestrator.analysis.statistics.ranking.moderated_variance import CellVariances, moderated_variances
from orchestrator.analysis.statistics.replicates import cell_means

LEVEL = 0.05
"""Level of claims and false discovery rate of the residual map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """The best column of one row."""

    row: int
    best: int
    """Of equal ones the first."""
    second: int
    lead: float
    """Best mean minus second mean, in the scores' unit; too high on average, having been picked."""
    low: float | None
    """Interval of (best column) minus (best of the others), at a joint level of 0.95 over the row's columns, so that
    picking the best afterwards does not spoil it. None without replicates."""
    high: float | None
    separated: bool | None
    """Whether the interval lies above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """In one row one column beats another."""

    row: int
    better: int
    worse: int
    difference: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Claims "j beats k on i" that stand after Holm's correction over all pairs of columns of all rows."""

    tested: int
    claims: tuple[Claim, ...]
    """Smallest p first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualMap:
    """Cells above or below what their row and column would have without interaction."""

    residual: NDArray[np.float64]
    """Shape (a, b): doubly centred cell means."""
    p: NDArray[np.float64]
    """Shape (a, b): two-sided."""
    p_adjusted: NDArray[np.float64]
    """Shape (a, b): after Benjamini and Hochberg (1995); of the cells below 0.05 about one in twenty is false."""


def leads(scores: ArrayLike) -> tuple[Lead, ...]:
    """The best column of each row that has two or more, with the interval of its lead.

    The interval is that of multiple comparisons with the best (Hsu 1984), with Bonferroni's bound in place of
    Dunnett's because cells have variances of their own: with m rivals, lower end min_j (d_j - t s_j) and upper end
    min_j (d_j + t s_j), t at 1 - 0.05/(2m).

    Args:
        scores: Shape (a, b, r), NaN where missing.
    """
    variances = moderated_variances(scores)
    means = cell_means(scores).means if variances is None else variances.means
    return tuple(_lead(row, means[row], variances) for row in range(len(means)) if np.isfinite(means[row]).sum() >= 2)


def _lead(row: int, means: NDArray[np.float64], variances: CellVariances | None) -> Lead:
    present = np.flatnonzero(np.isfinite(means))
    order = present[np.argsort(-means[present], kind="stable")]
    best, rivals = int(order[0]), order[1:]
    differences = means[best] - means[rivals]
    low = high = separated = None
    if variances is not None:
        parts, degrees = variances.mean_variances[row], variances.degrees[row]
        variance = parts[best] + parts[rivals]
        quantile = stdtrit(np.minimum(degrees[best], degrees[rivals]), 1 - (1 - CONFIDENCE) / (2 * len(rivals)))
        low = float((differences - quantile * np.sqrt(variance)).min())
        high = float((differences + quantile * np.sqrt(variance)).min())
        separated = low > 0
    return Lead(
        row=row,
        best=best,
        second=int(rivals[0]),
        lead=float(differences[0]),
        low=low,
        high=high,
        separated=separated,
    )


def probability_best(scores: ArrayLike, *, rng: np.random.Generator, draws: int = 4000) -> NDArray[np.float64] | None:
    """The chance of each column to be the best of its row, by simulation.

    Cell means are drawn from Student's t around the observed ones with moderated variances. To resample two or three
    replicates would be dishonest: three values have 10 different resamples, whose spread is a third too small. There
    is no shrinkage of the means, so a column that leads by luck is believed a little too much.

    Args:
        scores: Shape (a, b, r), NaN where missing.
        rng: Draws the means.
        draws: Of the whole table.

    Returns:
        Shape (a, b), NaN in cells without any score, each row summing to 1; None without replicates.
    """
    variances = moderated_variances(scores)
    if variances is None:
        return None
    missing = ~np.isfinite(variances.means)
    noise = rng.standard_t(np.where(missing, 1.0, variances.degrees), size=(draws, *variances.means.shape))
    drawn = variances.means + noise * np.sqrt(variances.mean_variances)
    best = np.where(missing, -np.inf, drawn).argmax(axis=2)
    shares = (best[:, :, None] == np.arange(missing.shape[1])).mean(axis=0)
    return np.where(missing, np.nan, shares)


def beats(scores: ArrayLike, *, level: float = LEVEL) -> Claims | None:
    """Every "column j beats column k in row i" that can be claimed at once (Holm 1979).

    Two-sided t tests on moderated variances. With three replicates a difference must be large: for 20 x 20 columns
    the first of 3,800 tests needs p of 1.3e-5.

    The level holds where variances are alike or spread over a decade or two. Where a few cells are far less stable
    than all others, one that hides (see `moderated_variances`) makes a false claim: with five of tenfold noise among
    20 x 20 of three replicates, in one table of ten.

    Args:
        scores: Shape (a, b, r), NaN where missing.
        level: Chance of even one false claim.

    Returns:
        None without replicates.
    """
    variances = moderated_variances(scores)
    if variances is None:
        return None
    first, second = np.triu_indices(variances.means.shape[1], 1)
    means, parts, degrees = variances.means, variances.mean_variances, variances.degrees
    difference = means[:, first] - means[:, second]
    variance = parts[:, first] + parts[:, second]
    fewer = np.minimum(degrees[:, first], degrees[:, second])
    p = 2 * stdtr(fewer, -np.abs(difference) / np.sqrt(variance))
    rows, pairs = np.nonzero(np.isfinite(p))
    if not len(rows):
        return None
    corrected = holm(p[rows, pairs])
    order = np.argsort(corrected, kind="stable")
    claims = [
        _claim(int(rows[at]), int(first[pairs[at]]), int(second[pairs[at]]), difference[rows[at], pairs[at]], p_holm)
        for at in order
        if (p_holm := float(corrected[at])) < level
    ]
    return Claims(tested=len(rows), claims=tuple(claims))


def _claim(row: int, first: int, second: int, difference: float, p_holm: float) -> Claim:
    better, worse = (first, second) if difference > 0 else (second, first)
    return Claim(row=row, better=better, worse=worse, difference=abs(float(difference)), p_holm=p_holm)


def residual_map(scores: ArrayLike) -> ResidualMap | None:
    """Which cells depart from additivity: t tests of the doubly centred means, with the false discovery rate bounded.

    A residual is a weighted sum of all cell means; its variance is that sum's, with moderated variances of the cells:
    one error variance for all would make every unstable cell a discovery and hide the others. An unstable cell that
    hides (see `moderated_variances`) is a discovery still.

    Args:
        scores: Shape (a, b, r), at least one replicate in every cell.

    Returns:
        None without replicates, with missing cells, or with fewer than two rows or columns.
    """
    variances = moderated_variances(scores)
    if variances is None or min(variances.means.shape) < 2 or not np.isfinite(variances.means).all():
        return None
    means = variances.means
    residual = means - means.mean(axis=1, keepdims=True) - means.mean(axis=0) + means.mean()
    parts = variances.mean_variances
    variance = _residual_sum(parts, 2)
    satterthwaite = variance**2 / _residual_sum(parts**2 / variances.degrees, 4)
    degrees = np.minimum(variances.degrees, satterthwaite)
    p = 2 * stdtr(degrees, -np.abs(residual) / np.sqrt(variance))
    adjusted = false_discovery_control(p, axis=None).reshape(p.shape)
    return ResidualMap(residual=residual, p=p, p_adjusted=adjusted)


def _residual_sum(parts: NDArray[np.float64], power: int) -> NDArray[np.float64]:
    """For each cell the sum of all parts, each times a power of its weight in that cell's residual."""
    a, b = parts.shape
    own, row = ((1 - 1 / a) * (1 - 1 / b)) ** power, ((1 - 1 / a) / b) ** power
    column, rest = ((1 - 1 / b) / a) ** power, (1 / (a * b)) ** power
    rows, columns = parts.sum(axis=1, keepdims=True), parts.sum(axis=0)
    others = parts.sum() - rows - columns + parts
    weighted: NDArray[np.float64] = own * parts + row * (rows - parts) + column * (columns - parts) + rest * others
    return weighted
