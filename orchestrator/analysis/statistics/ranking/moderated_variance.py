"""Variances of cells with two or three replicates: each on its own is too noisy, one for all is wrong for some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import polygamma, psi
from scipy.stats import f

from orchestrator.analysis.statistics.replicates import as_scores, cell_means, rounding_floor

_SMALLEST = 1e-5
"""A variance of 0 is taken as this share of the median one: accuracies are counts, and counts may agree by chance."""
OUTLIER_LEVEL = 0.01
"""Upper tail of the distribution of variances in which a cell borrows nothing. In simulations with five unstable
cells among 400, false claims are half as frequent as at 5e-4, for 2 % of the true ones; 0.05 would cost a tenth."""
_MOST_PRIOR = 1e6
"""Prior degrees of freedom beyond which all cells have one variance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellVariances:
    """Error variances of cells, each shrunk towards a common one."""

    means: NDArray[np.float64]
    """Shape (a, b): means over the replicates, NaN without any."""
    mean_variances: NDArray[np.float64]
    """Shape (a, b): moderated variance of a replicate over their number; NaN without any."""
    degrees: NDArray[np.float64]
    """Shape (a, b): degrees of freedom of each, own plus prior; compare two cells by the smaller: Satterthwaite's are
    too many in the far tails that many tests at once need."""
    prior_degrees: float
    """How alike the cells' variances are; `inf` where they differ no more than chance has it."""


def moderated_variances(scores: ArrayLike) -> CellVariances | None:
    """Empirical-Bayes variances of Smyth (2004), equations 3 to 6 and section 6.2.

    Cell variances are taken as draws of a scaled inverse chi-squared distribution whose scale and degrees of freedom
    come from the mean and variance of their logarithms. A cell of three replicates so borrows from the others as
    much as the others' likeness allows. A few unstable cells are no draw of that distribution (Phipson et al. 2016):
    a variance in its upper 1 % stays as it is, with its own few degrees of freedom.

    An unstable cell whose few replicates agree by chance cannot be told from the others, and its mean is then trusted
    too much. With tenfold noise that happens to one such cell in twenty-two at three replicates, and a table that has
    some makes false claims more often than their level says (`best_columns.beats`, `residual_map`).

    Args:
        scores: Shape (a, b, r), or (a, b) for one replicate; NaN where missing.

    Returns:
        None where no cell has two replicates, or none of them spread.
    """
    array = as_scores(scores)
    cells = cell_means(array)
    number, means = cells.counts, cells.means
    squares = np.where(np.isfinite(array), (array - means[:, :, None]) ** 2, 0.0).sum(axis=2)
    degrees = np.maximum(number - 1, 0)
    known = degrees > 0
    # Equal decimals have a mean that differs from them in the last bit.
    variances = np.where(squares > rounding_floor(array), squares, 0.0) / np.maximum(degrees, 1)
    if not variances[known].any():
        return None
    floor = _SMALLEST * float(np.median(variances[known])) or _SMALLEST * float(variances[known].mean())
    scale, prior = _prior(np.maximum(variances[known], floor), degrees[known].astype(np.float64))
    if np.isinf(prior):
        moderated, total = np.full(number.shape, scale), np.full(number.shape, np.inf)
    else:
        moderated, total = (prior * scale + degrees * variances) / (prior + degrees), prior + degrees
    is_outlier = known & (f.sf(variances / scale, np.maximum(degrees, 1), min(prior, _MOST_PRIOR)) < OUTLIER_LEVEL)
    own = np.where(is_outlier, variances, moderated)
    return CellVariances(
        means=means,
        mean_variances=np.where(number > 0, own / np.maximum(number, 1), np.nan),
        degrees=np.minimum(np.where(is_outlier, degrees, total), float(degrees.sum())),
        prior_degrees=prior,
    )


def _prior(variances: NDArray[np.float64], degrees: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and degrees of freedom of the distribution that the variances come from."""
    pooled = float((variances * degrees).sum() / degrees.sum())
    if len(variances) < 2:
        return pooled, np.inf
    logs = np.log(variances) - psi(degrees / 2) + np.log(degrees / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, degrees / 2).mean())
    if excess <= polygamma(1, _MOST_PRIOR / 2):
        return pooled, np.inf
    half = float(brentq(lambda x: polygamma(1, x) - excess, 1e-8, _MOST_PRIOR))
    return float(np.exp(logs.mean() + psi(half) - np.log(half))), 2 * half
