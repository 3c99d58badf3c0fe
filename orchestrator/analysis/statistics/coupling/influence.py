"""Which backbones, optimizers and cells carry the interaction, and what is left of it without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.analysis.statistics.coupling.additive import additive_fit
from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.multiplicative import ecovalence
from orchestrator.analysis.statistics.coupling.variance_components import variance_components
from orchestrator.analysis.statistics.replicates import as_scores, cell_means, without_empty

LARGEST = 3
"""So many of the largest carriers are left out together at most."""

CELLS = 20
"""Cells that are listed at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """The table without some rows or columns."""

    names: tuple[str, ...]
    """Left out."""
    carried: float
    """Their share of the interaction of the whole table, between 0 and 1."""
    ss_interaction: float | None
    """Of what is left, over all replicates; None, as all below, where no additive model can be fitted to it."""
    share: float | None
    """SS_I / SS_total of what is left."""
    index: float | None
    """The coupling index of what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellShare:
    """A cell and its share of the interaction."""

    backbone: str
    optimizer: str
    carried: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """Carriers of the interaction, the largest first. Shares are of the sum of squared interactions of cell means."""

    backbone: tuple[LeftOut, ...]
    """Each backbone left out alone."""
    optimizer: tuple[LeftOut, ...]
    backbone_largest: tuple[LeftOut, ...]
    """The 1, 2, ... `LARGEST` largest carriers left out together."""
    optimizer_largest: tuple[LeftOut, ...]
    cells: tuple[CellShare, ...]
    """The `CELLS` largest."""


def influence(scores: ArrayLike, backbones: Sequence[str], optimizers: Sequence[str]) -> Influence | None:
    """Finds the carriers of the interaction.

    Args:
        scores: Shape (a, b, r); NaN where there is no result.
        backbones: The a names of the rows.
        optimizers: The b names of the columns.

    Returns:
        None where there is no interaction, or no additive model to set it apart.

    Raises:
        ValueError: Names and scores do not match.
    """
    array = as_scores(scores)
    if array.shape[:2] != (len(backbones), len(optimizers)):
        raise ValueError(f"{len(backbones)} x {len(optimizers)} names for scores of the shape {array.shape}")
    fit = additive_fit(cell_means(array).means)
    if fit is None:
        return None
    carried = ecovalence(fit)
    total = float(carried.rows.sum())
    if total == 0:
        return None
    rows, columns = carried.rows / total, carried.columns / total
    return Influence(
        backbone=_each(array, 0, backbones, rows),
        optimizer=_each(array, 1, optimizers, columns),
        backbone_largest=_largest(array, 0, backbones, rows),
        optimizer_largest=_largest(array, 1, optimizers, columns),
        cells=_cells(fit.interaction**2 / total, backbones, optimizers),
    )


def _each(
    scores: NDArray[np.float64], axis: int, names: Sequence[str], shares: NDArray[np.float64]
) -> tuple[LeftOut, ...]:
    return tuple(_without(scores, axis, [index], names, shares) for index in _descending(shares))


def _largest(
    scores: NDArray[np.float64], axis: int, names: Sequence[str], shares: NDArray[np.float64]
) -> tuple[LeftOut, ...]:
    order = _descending(shares)
    numbers = range(1, min(LARGEST, len(names) - 2) + 1)
    return tuple(_without(scores, axis, order[:number], names, shares) for number in numbers)


def _without(
    scores: NDArray[np.float64], axis: int, gone: Sequence[int], names: Sequence[str], shares: NDArray[np.float64]
) -> LeftOut:
    left, _ = without_empty(np.delete(scores, gone, axis=axis))
    anova = two_way_anova(left) if left.size else None
    return LeftOut(
        names=tuple(names[index] for index in gone),
        carried=float(shares[gone].sum()),
        ss_interaction=None if anova is None else anova.ss_interaction,
        share=None if anova is None else anova.eta2,
        index=None if anova is None else variance_components(anova).index,
    )


def _cells(shares: NDArray[np.float64], backbones: Sequence[str], optimizers: Sequence[str]) -> tuple[CellShare, ...]:
    places = [divmod(index, len(optimizers)) for index in _descending(shares.ravel())[:CELLS]]
    return tuple(
        CellShare(backbone=backbones[row], optimizer=optimizers[column], carried=float(shares[row, column]))
        for row, column in places
    )


def _descending(values: NDArray[np.float64]) -> list[int]:
    """Indices, the largest value first; equal values keep their order."""
    return [int(index) for index in np.argsort(-values, kind="stable")]
