"""Other scales for the same scores: an interaction that a change of scale removes is of another kind.

Each function takes scores of shape (a, b, r), rows being backbones, NaN where there is no result, and returns the
same shape; higher is better on every scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from scipy.stats import rankdata

from orchestrator.analysis.statistics.replicates import as_scores, cell_means, tied

LOGIT_EDGE = 5e-4
"""Fractions are kept this far from 0 and 1, half of the 0.1 points to which accuracies are often printed: the logits
of 0 and 1 are infinite, and those of smaller distances would say more than the number of validation images allows."""

WINSOR_DISTANCE = 3 * 1.4826
"""Median absolute deviations below the median; 1.4826 makes them standard deviations of a normal distribution."""


def logit_scale(scores: ArrayLike) -> NDArray[np.float64]:
    """log(p / (1 - p)) of accuracies in percentage points, p = score / 100 cut to [LOGIT_EDGE, 1 - LOGIT_EDGE].

    Raises:
        ValueError: A score is outside 0 to 100.
    """
    array = as_scores(scores)
    if (array < 0).any() or (array > 100).any():
        raise ValueError("the logit scale needs accuracies between 0 and 100")
    return np.asarray(logit(np.clip(array / 100, LOGIT_EDGE, 1 - LOGIT_EDGE)))


def rank_scale(scores: ArrayLike) -> NDArray[np.float64]:
    """Ranks within each backbone, in units of optimizers: about 1 for its lowest scores, about b for its highest.

    All scores of a backbone are ranked together, whatever optimizer and replicate they are of, ties averaged, and the
    n_i of them are spread evenly over the b optimizers: (rank - 1/2) b_i / n_i + 1/2 with b_i the optimizers that the
    backbone has. Without replicates this is the plain rank, and with them it keeps their spread, so that the same
    analysis of variance applies (rank transformation within blocks: Conover & Iman 1981, American Statistician 35,
    124). Here the highest score has the highest rank, contrary to the ranking of optimizers, for which 1 is best:
    the analysis is blind to that.
    """
    array = as_scores(scores)
    there = np.isfinite(array)
    ranks = rankdata(tied(array).reshape(len(array), -1), axis=1, nan_policy="omit").reshape(array.shape)
    number = np.maximum(there.sum(axis=(1, 2)), 1)
    spread = there.any(axis=2).sum(axis=1) / number
    return np.where(there, (ranks - 0.5) * spread[:, np.newaxis, np.newaxis] + 0.5, np.nan)


def winsorised(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores raised to a floor for each backbone: the median of its cell means less 3 * 1.4826 * MAD of them.

    It asks what is left of the interaction when failures count as merely bad. A backbone whose MAD is 0 keeps its
    scores: more than half of its means are equal, and that says nothing about the spread of the others.
    """
    array = as_scores(scores)
    means = tied(cell_means(array).means)
    known = np.isfinite(means)
    floors = np.full(len(array), -np.inf)
    for row in np.flatnonzero(known.any(axis=1)):
        values = means[row, known[row]]
        median = float(np.median(values))
        deviation = float(np.median(np.abs(values - median)))
        if deviation > 0:
            floors[row] = median - WINSOR_DISTANCE * deviation
    return np.asarray(np.maximum(array, floors[:, np.newaxis, np.newaxis]))
