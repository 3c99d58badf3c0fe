"""How much there is to gain by tuning, and how fast it comes: summaries of a tuning curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunability:
    """Weighted means of the expected incumbent over a budget of T trials, in the unit of the scores.

    Source: omega-tunability of Sivaprasad et al. (2020), arXiv 1910.11758, with the weights of their released code.
    """

    osp: float
    """One shot: all weight on the first trial."""
    cpe: float
    """Early: weight T + 1 - t. (The paper's text has T - t, which leaves the last trial out.)"""
    cpu: float
    """Uniform."""
    cpl: float
    """Late: weight t."""
    pp: float
    """Peak performance: all weight on the last trial."""


def tunability(incumbents: NDArray[np.float64]) -> Tunability:
    """The five summaries of a curve of expected incumbents.

    Args:
        incumbents: Shape (T,): expected best after 1..T trials.

    Raises:
        ValueError: The curve is empty or not finite.
    """
    _check_curve(incumbents)
    t = np.arange(1, len(incumbents) + 1)
    return Tunability(
        osp=float(incumbents[0]),
        cpe=float(np.average(incumbents, weights=t[::-1])),
        cpu=float(incumbents.mean()),
        cpl=float(np.average(incumbents, weights=t)),
        pp=float(incumbents[-1]),
    )


def alpha_tunability(incumbents: NDArray[np.float64], alpha: float, best: float | None = None) -> float | None:
    """The smallest share of the budget after which the expected incumbent is at least alpha times the best.

    Source: alpha-tunability of Sivaprasad et al. (2020): "local" with the curve's own end, "global" with the best of
    all optimizers.

    Args:
        incumbents: Shape (T,): expected best after 1..T trials, not negative.
        alpha: In (0, 1].
        best: What is to be reached; None takes the curve's own end.

    Returns:
        A share in (0, 1]; None where the curve never gets there.

    Raises:
        ValueError: The curve is empty or not finite, or alpha lies outside (0, 1].
    """
    _check_curve(incumbents)
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha lies in (0, 1]; got {alpha}")
    target = alpha * (float(incumbents[-1]) if best is None else best)
    # The mean of equal scores is not always the same to the last bit.
    reached = np.flatnonzero(incumbents >= target - 1e-9 * abs(target))
    return float(reached[0] + 1) / len(incumbents) if reached.size else None


def _check_curve(incumbents: NDArray[np.float64]) -> None:
    if incumbents.ndim != 1 or not incumbents.size or not np.isfinite(incumbents).all():
        raise ValueError("a curve of incumbents is one finite value for each number of trials, at least one")
