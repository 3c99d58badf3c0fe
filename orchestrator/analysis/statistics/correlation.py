"""Correlations, None where one of them does not vary and a number would be made up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from orchestrator.analysis.statistics.replicates import is_constant

LEAST_POINTS = 3
"""Two points always lie on a line, and two columns have hardly an order."""


def pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Pearson's correlation of the entries that both have; None below `LEAST_POINTS` or where one is constant.

    Args:
        first: Any shape, NaN where there is no value.
        second: The same shape.
    """
    there = np.isfinite(first) & np.isfinite(second)
    x, y = first[there], second[there]
    if x.size < LEAST_POINTS or is_constant(x) or is_constant(y):
        return None
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)), -1.0, 1.0))


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Spearman's correlation (1904), ties sharing their mean rank; None where `pearson` of the ranks is.

    Args:
        first: Shape (n,), finite.
        second: Shape (n,), finite.
    """
    return pearson(rankdata(first), rankdata(second))


def kendall(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Kendall's tau-b (1945); None below `LEAST_POINTS` or where one vector ties throughout.

    Args:
        first: Shape (n,), finite.
        second: Shape (n,), finite.
    """
    if len(first) < LEAST_POINTS:
        return None
    upper = np.triu_indices(len(first), k=1)
    signs = [np.sign(values[:, None] - values[None, :])[upper] for values in (first, second)]
    norm = float(np.sqrt(np.abs(signs[0]).sum() * np.abs(signs[1]).sum()))
    return float(np.clip(signs[0] @ signs[1] / norm, -1.0, 1.0)) if norm > 0 else None
