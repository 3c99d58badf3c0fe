"""Many tests at once: the chance of even one false claim is bounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction (Holm 1979): the smallest of m p-values times m, the next times m - 1, and so on.

    Args:
        p_values: Shape (m,).

    Returns:
        Shape (m,), in the order of the p-values: at most 1, and never smaller for a larger p-value.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected
