"""How far the best hyper-parameters lie from their mode, as the BOCB paper measures it.

The paper (arXiv 2410.06373, sections 3.1 and A.3) takes one-hot codes of the best learning rate and weight decay and
the Manhattan distance to their mode. Read so, a pair can only have distance 0, 2 or 4, but its figures 4 and 5 show
every whole number up to 6: they must count steps on the ordered values. Both readings are given. Both depend on the
grid and ignore that the best of noisy results is itself noisy; the distance from the default to the nearest setting
that is as good as the best (`near_optimal.eps_optimal_distance`) does neither.

How a value becomes a place on a grid is a convention of its own: a place in the optimizer's own sorted list of tuned
values (`own_list_steps`, which reproduces most of the paper's Fig. 5), or steps from the optimizer's default
(`steps_from_default`, which means the same for optimizers whose rates differ by decades).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

STEPS_PER_DECADE = 3
"""Grid steps in a factor of ten, as on the ladder 1, 2, 5, 10."""
OFF = 1e-6
"""Weight decays up to this count as none: with the rates tuned in the paper they shrink a weight by about 5 % or less
over a whole training."""


class Ties(StrEnum):
    """Which of several commonest values is the mode."""

    NEAREST = "nearest"
    """The one with the smallest mean distance in steps, and of those the lowest."""
    LOWEST = "lowest"
    """The lowest, as the first highest bar of a histogram."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeDistance:
    """Distances of n pairs, each a best learning rate and weight decay, to the mode of both."""

    n: int
    lr_mode: float
    """In steps."""
    weight_decay_mode: float
    lr_candidates: tuple[float, ...]
    """Every commonest value, ascending: more than one means that the mode was chosen by the rule for ties."""
    weight_decay_candidates: tuple[float, ...]
    ordinal: tuple[int | None, ...]
    """|lr - mode| + |weight decay - mode| in steps, in the order of the pairs; None where a pair has no values."""
    one_hot: tuple[int | None, ...]
    """2 [lr != mode] + 2 [weight decay != mode]."""
    mean_ordinal: float
    mean_one_hot: float
    max_ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HpDistances:
    """Distances along both sides of a table of backbones and optimizers; None with fewer than two known pairs."""

    backbones: tuple[ModeDistance | None, ...]
    """Over the optimizers of each backbone (the paper's Fig. 4)."""
    optimizers: tuple[ModeDistance | None, ...]
    """Over the backbones of each optimizer (Fig. 5)."""


def own_list_steps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The place of each value in its column's sorted list of distinct values, from 0.

    Args:
        values: Shape (a, b): the best value of a hyper-parameter for each backbone and optimizer; NaN where unknown.

    Returns:
        Shape (a, b), NaN where unknown. Neighbours in the list are one step apart, however far apart they lie.
    """
    steps = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        there = np.isfinite(values[:, column])
        steps[there, column] = np.unique(values[there, column], return_inverse=True)[1]
    return steps


def steps_from_default(
    values: NDArray[np.float64],
    defaults: NDArray[np.float64],
    *,
    per_decade: int = STEPS_PER_DECADE,
    off: float | None = None,
) -> NDArray[np.float64]:
    """Whole steps from each optimizer's default, on a logarithmic grid.

    Args:
        values: Shape (a, b), NaN where unknown.
        defaults: Shape (b,); a column without a default (NaN) is unknown throughout.
        per_decade: Steps in a factor of ten; values are rounded to the nearest step.
        off: For weight decay: values up to this are one place of the grid, a step below the smallest other value of
            the column, its default included. Without it every value must be positive.

    Returns:
        Shape (a, b), NaN where unknown.

    Raises:
        ValueError: The shapes do not match, or a value is not positive and there is no `off`.
    """
    if values.ndim != 2 or defaults.shape != values.shape[1:]:
        raise ValueError(f"values must have shape (a, b) and defaults (b,); got {values.shape} and {defaults.shape}")
    floor = 0.0 if off is None else off
    if off is None and bool((values <= 0).any() or (defaults <= 0).any()):
        raise ValueError(
            "values must be positive to be placed on a logarithmic grid; give `off` for those that are 0"
        )
    steps = np.full(values.shape, np.nan)
    for column, default in enumerate(defaults):
        found = values[:, column]
        there = np.isfinite(found)
        if math.isfinite(default) and there.any():
            steps[there, column] = _steps(found[there], float(default), per_decade, floor)
    return steps


def _steps(found: NDArray[np.float64], default: float, per_decade: int, floor: float) -> NDArray[np.float64]:
    every = np.append(found, default)
    on = every > floor
    if not on.any():
        return np.zeros(found.size)
    # Rounded once, against the default, where that is on the scale: rounding both ends could shift a step.
    reference = default if default > floor else float(every[on].min())
    places = np.empty(every.size)
    places[on] = np.rint(per_decade * np.log10(every[on] / reference))
    places[~on] = places[on].min() - 1
    steps: NDArray[np.float64] = places[:-1] - places[-1]
    return steps


def mode_distance(
    lr_steps: NDArray[np.float64], weight_decay_steps: NDArray[np.float64], ties: Ties = Ties.NEAREST
) -> ModeDistance | None:
    """Both readings of the paper's distance for one backbone over optimizers, or one optimizer over backbones.

    Args:
        lr_steps: Shape (n,): places on the grid, NaN where unknown.
        weight_decay_steps: Shape (n,), likewise.
        ties: Which of several commonest values is the mode.

    Returns:
        None if fewer than two pairs are known: one value is its own mode.

    Raises:
        ValueError: The vectors differ in shape.
    """
    if lr_steps.ndim != 1 or lr_steps.shape != weight_decay_steps.shape:
        raise ValueError(f"both must be vectors of one length; got {lr_steps.shape} and {weight_decay_steps.shape}")
    there = np.isfinite(lr_steps) & np.isfinite(weight_decay_steps)
    n = int(there.sum())
    if n < 2:
        return None
    lr, decay = lr_steps[there], weight_decay_steps[there]
    lr_candidates, decay_candidates = _commonest(lr), _commonest(decay)
    lr_mode, decay_mode = _mode(lr, lr_candidates, ties), _mode(decay, decay_candidates, ties)
    ordinal = np.abs(lr - lr_mode) + np.abs(decay - decay_mode)
    one_hot = 2 * (lr != lr_mode) + 2 * (decay != decay_mode)
    return ModeDistance(
        n=n,
        lr_mode=lr_mode,
        weight_decay_mode=decay_mode,
        lr_candidates=tuple(lr_candidates.tolist()),
        weight_decay_candidates=tuple(decay_candidates.tolist()),
        ordinal=_spread(ordinal, there),
        one_hot=_spread(one_hot, there),
        mean_ordinal=float(ordinal.mean()),
        mean_one_hot=float(one_hot.mean()),
        max_ordinal=int(ordinal.max()),
    )


def hp_distances(
    lr_steps: NDArray[np.float64], weight_decay_steps: NDArray[np.float64], ties: Ties = Ties.NEAREST
) -> HpDistances:
    """The paper's distance of each backbone over optimizers, and of each optimizer over backbones.

    Args:
        lr_steps: Shape (a, b): places on the grid by one of the conventions of this module, NaN where unknown.
        weight_decay_steps: Shape (a, b), likewise.
        ties: Which of several commonest values is the mode.

    Raises:
        ValueError: The tables differ in shape.
    """
    if lr_steps.ndim != 2 or lr_steps.shape != weight_decay_steps.shape:
        raise ValueError(f"both must be tables of one shape; got {lr_steps.shape} and {weight_decay_steps.shape}")
    pairs = list(zip(lr_steps, weight_decay_steps, strict=True))
    columns = list(zip(lr_steps.T, weight_decay_steps.T, strict=True))
    return HpDistances(
        backbones=tuple(mode_distance(lr, decay, ties) for lr, decay in pairs),
        optimizers=tuple(mode_distance(lr, decay, ties) for lr, decay in columns),
    )


def _commonest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    distinct, counts = np.unique(values, return_counts=True)
    commonest: NDArray[np.float64] = distinct[counts == counts.max()]
    return commonest


def _mode(values: NDArray[np.float64], candidates: NDArray[np.float64], ties: Ties) -> float:
    if ties is Ties.LOWEST:
        return float(candidates[0])
    total = np.abs(values[:, None] - candidates[None, :]).sum(axis=0)
    # Sums of whole steps are exact, so the first of equal ones is the lowest.
    return float(candidates[int(total.argmin())])


def _spread(distances: NDArray[np.float64], there: NDArray[np.bool_]) -> tuple[int | None, ...]:
    found = iter(distances.astype(int).tolist())
    return tuple(next(found) if known else None for known in there.tolist())
