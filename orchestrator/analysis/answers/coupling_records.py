"""What is said about the coupling of a sweep: records, and nothing that computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.analysis.statistics.coupling.influence import Influence
from orchestrator.analysis.statistics.coupling.multiplicative import MuirSplit, TukeyTest

COMPONENTS = 3
"""Components of the interaction whose scores are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsOfSquares:
    """Over all replicates, in the squared unit of the scale."""

    backbone: float
    optimizer: float
    interaction: float | None
    """Includes the noise where nothing is replicated; None where no degree of freedom is left for it."""
    error: float | None
    """None where nothing is replicated."""
    total: float
    """The sum of the others in a balanced table only; otherwise they are of type II."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DegreesOfFreedom:
    """Of the sums of squares."""

    backbone: int
    optimizer: int
    interaction: int
    error: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Wricke's ecovalence by name, on cell means; None for what has no result."""

    backbone: Mapping[str, float | None]
    optimizer: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentScores:
    """Scores on the first `COMPONENTS` components of the interaction by name; None for what has no result."""

    backbone: Mapping[str, tuple[float, ...] | None]
    optimizer: Mapping[str, tuple[float, ...] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleCoupling:
    """The coupling in one response on one scale. Whatever is undefined is None, and `note` says why."""

    scale: str
    note: str | None = None
    n_replicates: float | None = None
    """Results for each cell; the harmonic mean over cells that have any where they differ."""
    n_cells_missing: int | None = None
    """Cells without a result, among backbones and optimizers that have one."""
    variance: SumsOfSquares | None = None
    df: DegreesOfFreedom | None = None
    share: float | None = None
    """SS_interaction / SS_total. It contains the noise: `omega2` does not."""
    index: float | None = None
    """s2_I / (s2_optimizer + s2_I): the share of the variance due to optimizers that depends on the backbone."""
    noise_separated: bool | None = None
    """False where nothing is replicated: `index` is then SS_I / (SS_optimizer + SS_I), noise included."""
    sigma2_interaction: float | None = None
    sigma2_optimizer: float | None = None
    sigma2_backbone: float | None = None
    sigma2_error: float | None = None
    sigma2_cross_seed: float | None = None
    """s2_I from products of different replicates: free of assumptions on the noise."""
    index_cross_seed: float | None = None
    """`index` with both components from products of different replicates: the one to read where `paired`."""
    theta: float | None = None
    """s2_I / s2_E."""
    theta_ci: tuple[float, float] | None = None
    """95 %, for a random interaction."""
    theta_fixed_ci: tuple[float, float] | None = None
    """95 %, for these backbones and optimizers and no others."""
    omega2: float | None = None
    epsilon2: float | None = None
    eta2: float | None = None
    partial_eta2: float | None = None
    f: float | None = None
    p_f: float | None = None
    """Too small where cells differ in variance: `p_wild` is the one to report."""
    p_wild: float | None = None
    ammi: tuple[float, ...] | None = None
    """Shares of the components of the interaction, largest first."""
    ammi_scores: ComponentScores | None = None
    ammi_above_noise: int | None = None
    """Components whose singular value is above what noise alone reaches; None where nothing is replicated."""
    ecovalence: Carried | None = None
    muir: MuirSplit | None = None
    tukey: TukeyTest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherScales:
    """The same on other scales."""

    logit: ScaleCoupling | None
    """None where a score is no accuracy."""
    rank: ScaleCoupling
    winsorised: ScaleCoupling
    cells_winsorised: int
    """Cells with a score that the floor raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupling(ScaleCoupling):
    """The coupling in one response, in percentage points and on other scales."""

    response: str | None = None
    paired: bool | None = None
    """Whether a replicate is the same design points or seeds in every cell. What those have in common then counts as
    noise in f, theta and omega2, which are too small, and in p_f and p_wild, which are too large."""
    influence: Influence | None = None
    """Who carries it, and what is left without them."""
    scales: OtherScales | None = None

    @property
    def index_to_read(self) -> float | None:
        """`index_cross_seed` where `paired`, else `index`."""
        return self.index_cross_seed if self.paired else self.index


@dataclass(frozen=True, slots=True, kw_only=True)
class CouplingSection(Coupling):
    """The headline response, and every response by its name."""

    by_response: Mapping[str, Coupling] = field(default_factory=dict)
