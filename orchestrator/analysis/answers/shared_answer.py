"""What one optimizer loses by one setting for all backbones: Adkins' Phi, effective dimension, the setting itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.sensitivity.gaussian_process import (
    MAX_POINTS,
    candidate_kernels,
    fit_surrogates,
)
from orchestrator.analysis.statistics.sensitivity.shared_settings import (
    Scale,
    best_shared_setting,
    effective_dimension,
    split_seed_regret,
)
from orchestrator.analysis.statistics.sensitivity.variance_shares import LEAST_POINTS, LEAST_R_SQUARED
from orchestrator.analysis.trials.design_points import Design

GRID_PLACES = 1024
"""Places of the grid, at most, on which a surrogate is asked for the effective dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAnswer:
    """One setting for all rows (a backbone under a recipe) against the best for each row, for one optimizer.

    Scores are in percentage points; None is undefined.
    """

    phi: float | None = None
    """Adkins' sensitivity: normalised score with every row tuned, minus that of the best single setting. Too high
    under noise, because each row's best of many scores is."""
    phi_split_seed: float | None = None
    """The same with settings chosen and scored on different seeds; None where the design has a single one."""
    phi_backbones: int = 0
    """Rows behind `phi`."""
    phi_points: int = 0
    """Settings that can be shared: those with a score on all these rows."""
    points_left_out: int = 0
    """Settings with a score on some of them only."""
    effective_dimension: int | None = None
    """Hyper-parameters that need tuning per row for 95 % of the tuned score, by a surrogate over the design."""
    dimensions: int | None = None
    """Hyper-parameters that are searched."""
    surrogate_r_squared: float | None = None
    """Median over the rows of the cross-validated R^2; below 0.5 there is no effective dimension."""
    shared_setting: Mapping[str, object] | None = None
    """Every hyper-parameter of the best single setting."""
    shared_score: float | None = None
    """Its mean score over the rows."""
    tuned_score: float | None = None
    """Mean over the rows of the best design score."""
    shared_regret: float | None = None
    """tuned_score - shared_score."""
    shared_regret_split_seed: float | None = None
    missing: str | None = None
    """Why there is no `phi`."""


def shared_answer(
    name: str, design: Design, scale: Scale, r_squared: float | None, rng: np.random.Generator
) -> SharedAnswer:
    """The answer for one optimizer.

    Args:
        name: The optimizer.
        design: The sweep's design.
        scale: Of its rows, over all optimizers.
        r_squared: How well surrogates describe the optimizer's cells.
        rng: Draws length scales of surrogates where there are many.
    """
    if name not in design.table.optimizers:
        return SharedAnswer(missing="no design trial has a score")
    column = design.table.optimizers.index(name)
    means = design.means[:, column]
    rows = np.flatnonzero(np.isfinite(means).any(axis=1) & scale.known)
    raw, normal = means[rows], scale.normalised(design.means)[rows, column]
    common = np.asarray(np.isfinite(raw).all(axis=0))
    left_out = int((np.isfinite(raw).any(axis=0) & ~common).sum())
    phi, shared = best_shared_setting(normal), best_shared_setting(raw)
    if len(rows) < 2 or phi is None or shared is None:
        missing = "fewer than two backbones have a design point in common"
        return SharedAnswer(points_left_out=left_out, missing=missing)
    numbers = [number for number, kept in zip(design.table.numbers, common, strict=True) if kept]
    where = design.coordinates(name, numbers)
    return SharedAnswer(
        phi=phi.regret,
        phi_split_seed=_split(scale.normalised(design.table.scores)[rows, column][:, common]),
        phi_backbones=len(rows),
        phi_points=len(numbers),
        points_left_out=left_out,
        effective_dimension=_dimension(normal[:, common], where, r_squared, rng),
        dimensions=None if where is None else where.shape[1],
        surrogate_r_squared=r_squared,
        shared_setting=_setting(design, name, design.table.numbers[shared.point]),
        shared_score=shared.shared,
        tuned_score=shared.tuned,
        shared_regret=shared.regret,
        shared_regret_split_seed=_split(design.table.scores[rows, column][:, common]),
    )


def _split(seeds: NDArray[np.float64]) -> float | None:
    """By the seeds that every point of every row has."""
    complete = np.isfinite(seeds).all(axis=(0, 1))
    return split_seed_regret(seeds[:, :, complete]) if complete.any() else None


def _dimension(
    scores: NDArray[np.float64], where: NDArray[np.float64] | None, quality: float | None, rng: np.random.Generator
) -> int | None:
    """The effective dimension on a grid of a surrogate's predictions; None where it knows too little.

    Args:
        scores: Shape (a, N): normalised.
        where: Shape (N, d): coordinates of the points.
        quality: R^2 of the surrogate.
        rng: Draws length scales.
    """
    if where is None or len(where) < LEAST_POINTS or quality is None or quality < LEAST_R_SQUARED:
        return None
    where, scores = where[:MAX_POINTS], scores[:, :MAX_POINTS]
    dimensions = where.shape[1]
    levels = max(2, int(GRID_PLACES ** (1 / dimensions) + 1e-9))
    axis = (np.arange(levels) + 0.5) / levels
    places = np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    values = fit_surrogates(where, scores, candidate_kernels(where, rng)).predict(places)
    return effective_dimension(values.reshape(len(scores), *(levels,) * dimensions))


def _setting(design: Design, optimizer: str, number: int) -> Mapping[str, object] | None:
    return next(
        (
            points[number].hp
            for key, points in design.points.items()
            if key.optimizer == optimizer and number in points
        ),
        None,
    )
