"""What is said about the robustness of a sweep: records, and nothing that computes them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.answers.corruptions import CorruptionAnswer
from orchestrator.analysis.answers.default_distance import DefaultDistance
from orchestrator.analysis.answers.layers import LayerAnswer
from orchestrator.analysis.answers.seeds import SeedAnswer, SpreadOfSide
from orchestrator.analysis.statistics.robustness.hp_distance import ModeDistance


@dataclass(frozen=True, slots=True, kw_only=True)
class DivergenceRate:
    """How often trials diverged, as fractions with a Clopper-Pearson interval at 95 %.

    The interval takes trials for independent; those of one cell or one design point are not quite.
    """

    trials: int
    diverged: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HpDistance:
    """Distance of the tuned settings from their mode, by both conventions for a place on the grid."""

    own_list: ModeDistance | None
    """Places in each optimizer's own sorted list of tuned values. None with fewer than two tuned settings."""
    from_default: ModeDistance | None
    """Thirds of a decade from each optimizer's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRobustness:
    """One backbone over the optimizers, or one optimizer over the backbones."""

    backbone: str | None
    """None for an optimizer."""
    recipe: str | None
    optimizer: str | None
    """None for a backbone."""
    hp_distance: HpDistance
    default_distance: DefaultDistance | None
    """From the default learning rate to the nearest one as good as the best; None without a design."""
    seeds: SpreadOfSide | None
    """None where no cell of it has two seeds."""
    lr_width_median: float | None
    """Median over its cells of the learning rates within the regret allowed, in decades."""
    divergence: DivergenceRate | None
    """None without a trial."""
    std: float | None
    """Of a backbone's results over optimizers, divisor n - 1, in points; of an optimizer's over backbones, each less
    its backbone's mean. It holds the main effect of the other side as well as coupling, which only the ecovalence
    keeps apart."""
    range: float | None
    """Highest less lowest of the same."""
    n: int
    """Results behind `std` and `range`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """The section `robustness` of an analysis."""

    response: str | None
    """The table behind `std` and `range`; None while there is none."""
    confirmed_settings: int
    """Cells whose tuned setting is a confirmed one; for `searched_settings` it is the best of the search so far."""
    searched_settings: int
    divergence_role: str | None
    """Trials that divergence is counted in: of the design, which is the same in every cell, where there is one."""
    backbones: tuple[SideRobustness, ...]
    optimizers: tuple[SideRobustness, ...]
    seed_variance: SeedAnswer | None
    """None without a response that has two seeds in a cell."""
    layers: LayerAnswer | None
    """None where no weight statistics were taken."""
    corruption: CorruptionAnswer | None
    """None where nothing was evaluated on corrupted images."""
