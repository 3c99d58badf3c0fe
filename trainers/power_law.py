"""The power law in the tail of positive numbers: p(x) = (alpha - 1) / xmin * (x / xmin)^-alpha for x >= xmin.

Source: Clauset, Shalizi & Newman 2009, "Power-law distributions in empirical data" (arXiv 0706.1062): eq. 3.1 for the
exponent, eq. 3.9 for the choice of xmin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """A fitted tail. The standard error of `alpha` is about (alpha - 1) / sqrt(tail)."""

    alpha: float
    xmin: float
    """The smallest value of the tail."""
    ks: float
    """Largest distance between the tail's distribution function and that of the power law."""
    tail: int
    """Values in the tail."""


def fit_power_law(values: NDArray[np.float64], xmin: float | None = None) -> PowerLaw | None:
    """The maximum-likelihood power law of the values from xmin on: alpha = 1 + n / sum ln(x / xmin).

    As in the authors' own code, the distribution function of the data counts at each value those below it, so that it
    is 0 at xmin as that of the power law is.

    Args:
        values: (n,) positive and finite, in any order.
        xmin: Where the tail begins; None tries every value but the largest, and takes the one of the smallest
            distance, of several the smallest.

    Returns:
        None where no two different values are left to fit.

    Raises:
        ValueError: A value is not positive and finite.
    """
    if not np.all(np.isfinite(values) & (values > 0)):
        raise ValueError("a power law is of positive, finite values")
    ordered = np.sort(values)
    if xmin is not None:
        ordered = ordered[ordered >= xmin]
        starts = np.zeros(1 if len(ordered) and ordered[-1] > xmin else 0, dtype=np.int64)
        logs = np.log(ordered / xmin)
    else:
        starts = np.flatnonzero(np.diff(ordered, prepend=0) > 0)[:-1]
        logs = np.log(ordered)
    ranks = np.arange(len(ordered), dtype=np.float64)
    best: PowerLaw | None = None
    for start in starts:
        distances = logs[start:] - (0 if xmin is not None else logs[start])
        count = len(distances)
        slope = count / distances.sum()
        ks = float(np.abs(-np.expm1(-slope * distances) - ranks[:count] / count).max())
        if best is None or ks < best.ks:
            begin = float(ordered[start]) if xmin is None else xmin
            best = PowerLaw(alpha=1 + float(slope), xmin=begin, ks=ks, tail=count)
    return best
