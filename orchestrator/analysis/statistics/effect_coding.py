"""Effects of a factor that sum to 0, from the coefficients of a regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sum_to_zero(levels: int) -> NDArray[np.float64]:
    """Shape (levels, levels - 1): the codes of each level; the last level's effect is minus the sum of the others."""
    return np.vstack([np.eye(levels - 1), -np.ones((1, levels - 1))])


def standard_errors(codes: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (levels,): of the effects whose coefficients have this covariance, of shape (levels - 1, levels - 1)."""
    variances: NDArray[np.float64] = np.einsum("ij,jk,ik->i", codes, covariance, codes)
    return np.sqrt(variances)
