"""What a comparison of two sweeps says: records without any arithmetic.

Differences are the second sweep minus the first, in percentage points, and of cells that both have.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.statistics.intervals import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two sweeps."""

    sweep: str
    response: str
    """Which of its numbers are compared."""
    cells: int
    """Those with a score."""
    dataset: str
    epochs: str
    recipe: str
    score_rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellName:
    """A cell that one of the sweeps has."""

    backbone: str
    recipe: str
    optimizer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellDifference:
    """A cell that both sweeps have."""

    backbone: str
    recipe_a: str
    recipe_b: str
    optimizer: str
    mean_a: float
    mean_b: float
    n_a: int
    """Replicates behind the mean."""
    n_b: int
    difference: float
    low: float | None
    """Welch's 95 % interval of this one difference; None where a side has no replicates, or no spread in both."""
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneDifference:
    """One backbone in both sweeps."""

    backbone: str
    difference: Estimate
    """Over its optimizers."""
    kendall: float | None
    """Tau-b of the two orders of its optimizers."""
    best_a: tuple[str, ...]
    """The best of the common optimizers; several share the first place."""
    best_b: tuple[str, ...]
    same_best: bool
    """Whether both sweeps have a best optimizer in common."""
    lost_a: float
    """What taking the other sweep's best costs in this one: points below the best, at least 0."""
    lost_b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerDifference:
    """One optimizer in both sweeps."""

    optimizer: str
    difference: Estimate
    """Over its backbones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All common cells together."""

    over_cells: Estimate
    """Mean and spread of the cells' differences. Its interval is too narrow where a backbone's cells differ
    together: see `over_backbones`."""
    over_backbones: Estimate
    """Of the backbones' mean differences."""
    correlation: float | None
    """Pearson's, of the cells' means."""
    spearman_of_mean_ranks: float | None
    """Of the optimizers, over the backbones that have all common optimizers."""
    ranked_backbones: int
    """How many those are."""
    mean_kendall: float | None
    """Tau-b of the order of the optimizers within a backbone, averaged over backbones."""
    same_best: int
    """Backbones on which the sweeps agree about the best optimizer, of those with at least two common ones."""
    compared_best: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCoupling:
    """The coupling in one sweep, on the common cells alone: see `ScaleCoupling`, in points."""

    share: float | None
    """Of the interaction in all sums of squares; it contains the noise."""
    index: float | None
    """Share of the variance due to optimizers that depends on the backbone."""
    noise_separated: bool | None
    """False where nothing is replicated: then the index contains the noise too, and is no match for one that does
    not."""
    omega2: float | None
    p_wild: float | None
    note: str | None
    """What is undefined, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Couplings:
    """Of both sweeps."""

    a: SideCoupling
    b: SideCoupling


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sweeps side by side."""

    a: Side
    b: Side
    warnings: tuple[str, ...]
    """What was different besides the results, one sentence each."""
    summary: Summary
    coupling: Couplings
    backbones: tuple[BackboneDifference, ...]
    optimizers: tuple[OptimizerDifference, ...]
    cells: tuple[CellDifference, ...]
    only_a: tuple[CellName, ...]
    only_b: tuple[CellName, ...]
