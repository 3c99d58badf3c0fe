"""One setting for all backbones against the best for each: what an optimizer loses by not being tuned per backbone.

Adkins, Bowling and White (2024), arXiv 2412.07165, with backbones for environments and optimizers for algorithms.
It needs a design with the same points on every backbone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

ATTAINED = 0.95
"""Share of the tuned score that a partly tuned optimizer must attain: Adkins et al., section 3.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSetting:
    """The best single setting of one optimizer over some backbones, and what it costs."""

    point: int
    """Index of the setting: highest mean over the backbones, the first of equal ones."""
    shared: float
    """Its mean score over the backbones."""
    tuned: float
    """Mean over the backbones of each one's best score."""
    regret: float
    """tuned - shared: Adkins' sensitivity Phi if the scores are normalised, else in their unit. At least 0, and too
    high under noise, because each backbone's best of N scores is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What 0 and 1 mean on each backbone, each shape (a,)."""

    zero: NDArray[np.float64]
    one: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Shape (a,): backbones whose scores differ enough to have a scale."""
        there: NDArray[np.bool_] = self.one > self.zero
        return there

    def normalised(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of shape (a, ...) on the scale of their backbone; NaN where it has none."""
        shape = (-1, *(1,) * (scores.ndim - 1))
        width = np.where(self.known, self.one - self.zero, np.nan)
        values: NDArray[np.float64] = (scores - self.zero.reshape(shape)) / width.reshape(shape)
        return values


def percentile_scale(scores: NDArray[np.float64]) -> Scale:
    """The 5th and the 95th percentile of each backbone's scores over all optimizers and points.

    Args:
        scores: Shape (a, ...): rows are backbones; NaN where there is no result. A diverged trial has its score at
            chance and belongs in here.
    """
    flat = scores.reshape(len(scores), -1)
    known = np.isfinite(flat).any(axis=1)
    ends = np.full((2, len(scores)), np.nan)
    if known.any():
        ends[:, known] = np.nanpercentile(flat[known], [5, 95], axis=1)
    return Scale(zero=ends[0], one=ends[1])


def best_shared_setting(scores: NDArray[np.float64]) -> SharedSetting | None:
    """The setting of one optimizer that is best on average, and its regret.

    As in Adkins et al.'s released code, each backbone's best is that of all settings with a score on it, while the
    shared one must have a score on every backbone.

    Args:
        scores: Shape (a, N): backbones, and settings that they share; NaN where there is no result.

    Returns:
        None where no setting has a score on every backbone.
    """
    complete = np.flatnonzero(np.isfinite(scores).all(axis=0))
    if not scores.size or not complete.size:
        return None
    means = scores[:, complete].mean(axis=0)
    best = int(means.argmax())
    tuned, shared = float(np.nanmax(scores, axis=1).mean()), float(means[best])
    return SharedSetting(point=int(complete[best]), shared=shared, tuned=tuned, regret=max(0.0, tuned - shared))


def split_seed_regret(scores: NDArray[np.float64]) -> float | None:
    """The regret of sharing with settings chosen on some seeds and scored on others, so without the winner's curse.

    Each seed in turn is the one that scores; settings are chosen by the mean of the others. It may be negative.

    Args:
        scores: Shape (a, N, s), finite: backbones, settings, seeds.

    Returns:
        In the unit of the scores (Phi if they are normalised); None with fewer than two seeds.

    Raises:
        ValueError: A score is missing.
    """
    if not np.isfinite(scores).all():
        raise ValueError("splitting seeds needs every score of every seed")
    seeds = scores.shape[2]
    if seeds < 2 or not scores.size:
        return None
    rows = np.arange(len(scores))
    gaps = []
    for seed in range(seeds):
        choosing = np.delete(scores, seed, axis=2).mean(axis=2)
        held_out = scores[:, :, seed]
        own = held_out[rows, choosing.argmax(axis=1)]
        gaps.append(float(own.mean() - held_out[:, choosing.mean(axis=0).argmax()].mean()))
    return float(np.mean(gaps))


def effective_dimension(values: NDArray[np.float64], share: float = ATTAINED) -> int:
    """The smallest number of hyper-parameters that need tuning per backbone, the others shared.

    The others stay at the setting that is best on average over the backbones; which ones are tuned is free, but the
    same for all backbones. Exact for a factorial grid.

    Args:
        values: Shape (a, g1, ..., gd), finite: normalised scores of a full grid over d hyper-parameters.
        share: Part of the tuned score that is to be attained.

    Raises:
        ValueError: A score is missing.
    """
    if values.ndim < 2 or not values.size or not np.isfinite(values).all():
        raise ValueError("an effective dimension needs a full grid of scores on every backbone")
    dimensions = values.ndim - 1
    means = values.mean(axis=0)
    frozen = np.unravel_index(int(means.argmax()), means.shape)
    enough = share * float(values.reshape(len(values), -1).max(axis=1).mean())
    for number in range(dimensions):
        for tuned in combinations(range(dimensions), number):
            place = tuple(slice(None) if axis in tuned else int(frozen[axis]) for axis in range(dimensions))
            reached = values[(slice(None), *place)].reshape(len(values), -1).max(axis=1).mean()
            # Equal sums in another order may differ in the last bit.
            if reached >= enough - 1e-12 * abs(enough):
                return number
    return dimensions
