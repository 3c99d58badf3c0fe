"""Variance components of a table and the coupling index: how large the interaction is once the noise is taken out."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import chdtri, fdtri, ncfdtr

from orchestrator.analysis.statistics.coupling.anova import TwoWayAnova
from orchestrator.analysis.statistics.intervals import TAILS, Interval

_LARGEST_F = 1e5
"""Beyond this the noncentral F is taken at its limit, a scaled inverse chi-square, which is within 3e-6 of it; for
larger ones its series is NaN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceComponents:
    """Estimates by the method of moments, in the squared unit of the scores; negative ones are reported as they are.

    For balanced tables they are those of restricted maximum likelihood, as long as none is negative. None where
    nothing is replicated (interaction and noise are one), except for `index`.
    """

    interaction: float | None
    """s2_I = (MS_I - MS_E) / r."""
    optimizer: float | None
    """s2_B = (MS_B - MS_I) / (r backbones), by random-effects expected mean squares."""
    backbone: float | None
    """s2_A = (MS_A - MS_I) / (r optimizers)."""
    error: float | None
    """s2_E = MS_E."""
    index: float | None
    """s2_I / (s2_B + s2_I), each at least 0: the share of the variance due to optimizers that depends on the
    backbone. Without replicates SS_I / (SS_B + SS_I), noise included. None where both are 0."""
    is_noise_separated: bool
    """Whether replicates allow the noise to be taken out of `index`."""
    theta: float | None
    """s2_I / s2_E; None where replicates do not differ."""
    theta_ci: Interval | None
    """For a random interaction, from F / (1 + r theta) ~ F(df_I, df_E) (Searle, Casella & McCulloch 1992).
    Exact for normal noise of equal variance in balanced tables; otherwise r is the coefficient of s2_I in E[MS_I]
    and the interval is approximate. A bootstrap of seeds is no substitute: it never covers with few seeds."""
    theta_fixed_ci: Interval | None
    """The same ratio for these very cells and no others (fixed interaction): (sum of r I_ij^2 / df_I) / (r s2_E), by
    inverting the noncentral F (Steiger 2004, Psychological Methods 9, 164). Ends are at least 0."""


def variance_components(anova: TwoWayAnova) -> VarianceComponents:
    """Solves the expected mean squares of an analysis of variance for the components."""
    expected = anova.expected
    if anova.ms_error is None:
        return _unreplicated(anova)
    interaction = optimizer = backbone = None
    if anova.ms_interaction is not None and expected.interaction is not None:
        interaction = (anova.ms_interaction - anova.ms_error) / expected.interaction
        rest = anova.ms_optimizer - anova.ms_error - expected.interaction_in_optimizer * interaction
        optimizer = rest / expected.optimizer
        rest = anova.ms_backbone - anova.ms_error - expected.interaction_in_backbone * interaction
        backbone = rest / expected.backbone
    theta = None
    if anova.f is not None and expected.interaction is not None:
        theta = (anova.f - 1) / expected.interaction
    return VarianceComponents(
        interaction=interaction,
        optimizer=optimizer,
        backbone=backbone,
        error=anova.ms_error,
        index=coupling_index(interaction, optimizer),
        is_noise_separated=True,
        theta=theta,
        theta_ci=_theta_interval(anova),
        theta_fixed_ci=_fixed_interval(anova),
    )


def coupling_index(interaction: float | None, optimizer: float | None) -> float | None:
    """I / (B + I) of two variances or sums of squares, each cut at 0; None where both are 0 or one is undefined."""
    if interaction is None or optimizer is None:
        return None
    interaction, optimizer = max(0.0, interaction), max(0.0, optimizer)
    return interaction / (interaction + optimizer) if interaction + optimizer > 0 else None


def _unreplicated(anova: TwoWayAnova) -> VarianceComponents:
    return VarianceComponents(
        interaction=None,
        optimizer=None,
        backbone=None,
        error=None,
        index=coupling_index(anova.ss_interaction, anova.ss_optimizer),
        is_noise_separated=False,
        theta=None,
        theta_ci=None,
        theta_fixed_ci=None,
    )


def _theta_interval(anova: TwoWayAnova) -> Interval | None:
    if anova.f is None or anova.expected.interaction is None:
        return None
    lower, upper = (float(fdtri(anova.df_interaction, anova.df_error, tail)) for tail in TAILS)
    r = anova.expected.interaction
    return Interval(low=(anova.f / upper - 1) / r, high=(anova.f / lower - 1) / r)


def _fixed_interval(anova: TwoWayAnova) -> Interval | None:
    if anova.f is None or anova.expected.interaction is None:
        return None
    scale = anova.df_interaction * anova.expected.interaction
    high, low = (_noncentrality(anova, tail) for tail in TAILS)
    return Interval(low=low / scale, high=high / scale)


def _noncentrality(anova: TwoWayAnova, probability: float) -> float:
    """The noncentrality at which the observed F is this quantile; 0 where even 0 is too large."""
    assert anova.f is not None  # noqa: S101 - our own invariant

    def excess(noncentrality: float) -> float:
        return float(ncfdtr(anova.df_interaction, anova.df_error, noncentrality, anova.f)) - probability

    if excess(0.0) <= 0:
        return 0.0
    if anova.f > _LARGEST_F:
        # The numerator is then all noncentrality, and only the noise is uncertain.
        return float(anova.df_interaction * (anova.f * chdtri(anova.df_error, probability) / anova.df_error - 1))
    high = max(1.0, anova.df_interaction * anova.f)
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=1e-10, rtol=1e-10))
