"""What statistics of layers say about networks: one number per network, and its correlation with accuracy.

Backbones differ in both: in alpha, entropy or norm of their layers and in accuracy. Over all networks at once the two
may correlate although they do not within any backbone, or correlate the other way round (Simpson's paradox). Only the
correlation within backbones says anything about optimizers, and it is a description: weight decay moves both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.analysis.statistics.correlation import pearson

LEAST_DIMENSION = 50
"""Smaller side of a matrix from which its spectrum has enough eigenvalues for a power law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """One statistic over the layers of a network."""

    median: float | None
    """None without a layer that counts."""
    n: int
    """Layers behind it."""
    dropped_small: int
    """Layers left out because their smaller side is below the limit."""
    dropped_undefined: int
    """Layers left out that are large enough and have no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedCorrelation:
    """Correlation of a statistic x with accuracy y, within groups and without regard to them."""

    within: float | None
    """Partial correlation given the group (and the covariates); None if x or y does not vary within groups."""
    p: float | None
    """Two-sided, by Student's t with `df` degrees of freedom, for independent points."""
    df: int
    within_ranks: float | None
    """The same on ranks taken within each group, given the group alone: not carried by a few outliers."""
    pooled: float | None
    """Over all points, whatever their group: what Simpson's paradox makes of it."""
    between: float | None
    """Of the groups' means; None with fewer than three groups."""
    n: int
    groups: int
    """Groups with at least two points; only those count in `within`."""

    @property
    def reverses(self) -> bool:
        """Whether the pooled correlation has the other sign than the one within groups."""
        return self.within is not None and self.pooled is not None and self.within * self.pooled < 0


def summarise_layers(
    values: NDArray[np.float64], smaller_sides: NDArray[np.int64], least: int = LEAST_DIMENSION
) -> LayerSummary:
    """The median of a statistic over the layers that are large enough for it.

    Args:
        values: Shape (l,): NaN where a layer has none.
        smaller_sides: Shape (l,): the smaller side of each layer's matrix.
        least: The limit; 1 keeps every layer.

    Raises:
        ValueError: The vectors differ in shape.
    """
    if values.ndim != 1 or values.shape != smaller_sides.shape:
        raise ValueError(f"both must be vectors of one length; got {values.shape} and {smaller_sides.shape}")
    large = smaller_sides >= least
    kept = values[large & np.isfinite(values)]
    return LayerSummary(
        median=float(np.median(kept)) if kept.size else None,
        n=kept.size,
        dropped_small=int((~large).sum()),
        dropped_undefined=int(large.sum()) - kept.size,
    )


def grouped_correlation(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    groups: NDArray[np.int64],
    covariates: NDArray[np.float64] | None = None,
) -> GroupedCorrelation:
    """The correlation of x and y within groups, beside those that mix groups.

    Args:
        x: Shape (n,): a statistic of each network; NaN where it has none.
        y: Shape (n,): its accuracy.
        groups: Shape (n,): its backbone, as any whole number.
        covariates: Shape (n, k): what else is held constant, linearly; NaN leaves the point out.

    Raises:
        ValueError: The shapes do not match.
    """
    others = np.empty((x.size, 0)) if covariates is None else covariates
    if x.ndim != 1 or x.shape != y.shape or x.shape != groups.shape or others.ndim != 2 or len(others) != x.size:
        raise ValueError(
            f"x, y and groups must be vectors of one length and covariates have a row for each of its numbers; got "
            f"{x.shape}, {y.shape}, {groups.shape} and {others.shape}"
        )
    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(others).all(axis=1)
    x, y, groups, others = x[there], y[there], groups[there], others[there]
    members = [groups == group for group in np.unique(groups)]
    several = [member for member in members if member.sum() >= 2]
    inside = np.logical_or.reduce(several) if several else np.zeros(x.size, dtype=bool)
    table = _centred(np.column_stack([x, y, others]), several)[inside]
    rest = _without(table[:, :2], table[:, 2:])
    within = _correlation(rest[:, 0], rest[:, 1], float(np.abs(table[:, :2]).max(initial=0.0)))
    df = int(inside.sum()) - len(several) - 1 - others.shape[1]
    if df < 1:
        # As many points as constants: the residuals are zero, or a correlation of exactly 1 of two points.
        within = None
    ranks = _centred(_ranked(np.column_stack([x, y]), several), several)[inside]
    means = np.array([[x[member].mean(), y[member].mean()] for member in members]).reshape(-1, 2)
    return GroupedCorrelation(
        within=within,
        p=None if within is None else _p_value(within, df),
        df=max(df, 0),
        within_ranks=None if df < 1 else _correlation(ranks[:, 0], ranks[:, 1], 1.0),
        pooled=pearson(x, y),
        between=pearson(means[:, 0], means[:, 1]),
        n=x.size,
        groups=len(several),
    )


def _centred(table: NDArray[np.float64], members: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
    centred = table.copy()
    for member in members:
        centred[member] -= table[member].mean(axis=0)
    return centred


def _ranked(table: NDArray[np.float64], members: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Ranks within each group over its size, so that large groups do not weigh more for their larger ranks."""
    ranked = np.zeros_like(table)
    for member in members:
        ranked[member] = stats.rankdata(table[member], axis=0) / member.sum()
    return ranked


def _without(table: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    if not others.shape[1] or not len(table):
        return table
    rest: NDArray[np.float64] = table - others @ np.linalg.lstsq(others, table, rcond=None)[0]
    return rest


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64], scale: float) -> float | None:
    """Of centred vectors; None if one of them is nothing but rounding beside `scale`."""
    norms = math.sqrt(float(x @ x)), math.sqrt(float(y @ y))
    if min(norms) <= 1e-10 * scale:
        return None
    return max(-1.0, min(1.0, float(x @ y) / norms[0] / norms[1]))


def _p_value(correlation: float, df: int) -> float:
    left = 1 - correlation**2
    return float(2 * stats.t.sf(abs(correlation) * math.sqrt(df / left), df)) if left > 0 else 0.0
