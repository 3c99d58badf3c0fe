"""Two-way analysis of variance with replicates: how much of a table is backbone, optimizer, interaction and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtrc

from orchestrator.analysis.statistics.coupling.additive import AdditiveSpace, additive_space
from orchestrator.analysis.statistics.replicates import as_scores, cell_means, rounding_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMeanSquares:
    """Coefficients of the variance components in the expected mean squares of the random-effects model.

    E[MS_I] = s2_E + i * s2_I; E[MS_B] = s2_E + b_i * s2_I + b * s2_B; E[MS_A] = s2_E + a_i * s2_I + a * s2_A (A the
    backbones, B the optimizers). Balanced: i = b_i = a_i = r, b = (backbones) r, a = (optimizers) r. Otherwise exact
    for the type-II sums of squares (Henderson's method III; Searle, Casella & McCulloch 1992, Variance Components,
    5.5). None where a mean square has no degrees of freedom.
    """

    interaction: float | None
    optimizer: float
    interaction_in_optimizer: float
    backbone: float
    interaction_in_backbone: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoWayAnova:
    """The analysis of variance of y_ijk = mean + backbone_i + optimizer_j + interaction_ij + error_ijk.

    Sums of squares are over all replicates, in the squared unit of the scores. Balanced tables: the classical ones.
    Otherwise type II: each main effect beyond the other, the interaction beyond both (it is the same in types I to
    III).
    """

    n_observations: int
    n_replicates: float
    """Harmonic mean over the observed cells; the common number where they are equal."""
    is_balanced: bool
    """Every cell is there, with equally many replicates: the sums of squares then add up to the total."""
    ss_backbone: float
    ss_optimizer: float
    ss_interaction: float | None
    """Includes the noise where nothing is replicated; None where no degrees of freedom are left for it."""
    ss_error: float | None
    """None where no cell has two replicates."""
    ss_total: float
    """About the mean of all observations."""
    df_backbone: int
    df_optimizer: int
    df_interaction: int
    df_error: int
    ms_backbone: float
    ms_optimizer: float
    ms_interaction: float | None
    ms_error: float | None
    f: float | None
    """MS_I / MS_E; None without replicates, and where replicates do not differ at all."""
    p_f: float | None
    """Upper tail of F with (df_interaction, df_error): too small where cells differ in variance."""
    eta2: float | None
    """SS_I / SS_total. Grows with the noise: .30 on average in a 20 x 20 x 3 table of pure noise."""
    partial_eta2: float | None
    """SS_I / (SS_I + SS_E)."""
    omega2: float | None
    """(SS_I - df_I MS_E) / (SS_total + MS_E) (Hays 1963): 0 on average without interaction, hence negative at
    times."""
    epsilon2: float | None
    """(SS_I - df_I MS_E) / SS_total (Kelley 1935)."""
    expected: ExpectedMeanSquares


def two_way_anova(scores: ArrayLike) -> TwoWayAnova | None:
    """The two-way analysis of variance of scores.

    Args:
        scores: Shape (a, b, r), or (a, b) without replicates; NaN where there is no result. Cells may have different
            numbers of replicates or none.

    Returns:
        None where row and column effects are not defined: fewer than two rows or columns, one of them without any
        score, or cells that fall into parts with nothing in common.

    Raises:
        ValueError: Another shape, or an infinite score.
    """
    array = as_scores(scores)
    cells = cell_means(array)
    if (space := additive_space(cells.counts)) is None:
        return None
    # Sums of squares are about the mean; taking it out first keeps digits that squares of 70 would cost.
    centre = float(np.nanmean(array))
    floor = rounding_floor(array)
    vector = space.vector(cells.means - centre)
    within = array - cells.means[:, :, np.newaxis]

    def squares(values: NDArray[np.float64]) -> float:
        total = float(np.nansum(values**2))
        return 0.0 if total <= floor else total

    return _anova(
        space,
        cells.counts,
        backbone=squares(vector @ space.rows_given_columns),
        optimizer=squares(vector @ space.columns_given_rows),
        interaction=squares(space.residual(vector)) if space.df_residual else None,
        error=squares(within),
        total=squares(array - centre),
        harmonic=cells.harmonic_count,
    )


def _anova(
    space: AdditiveSpace, counts: NDArray[np.int64], *, backbone: float, optimizer: float, interaction: float | None,
    error: float, total: float, harmonic: float,
) -> TwoWayAnova:  # fmt: skip
    df_backbone, df_optimizer = space.rows.shape[1] - 1, space.columns.shape[1] - 1
    df_interaction, df_error = space.df_residual, int(counts.sum() - space.root.size)
    ms_interaction = None if interaction is None else interaction / df_interaction
    ms_error = error / df_error if df_error else None
    f = None if ms_interaction is None or not ms_error else ms_interaction / ms_error
    beyond_noise = None if ms_error is None or interaction is None else interaction - df_interaction * ms_error
    return TwoWayAnova(
        n_observations=int(counts.sum()),
        n_replicates=harmonic,
        is_balanced=bool((counts == counts.flat[0]).all()),
        ss_backbone=backbone,
        ss_optimizer=optimizer,
        ss_interaction=interaction,
        ss_error=error if df_error else None,
        ss_total=total,
        df_backbone=df_backbone,
        df_optimizer=df_optimizer,
        df_interaction=df_interaction,
        df_error=df_error,
        ms_backbone=backbone / df_backbone,
        ms_optimizer=optimizer / df_optimizer,
        ms_interaction=ms_interaction,
        ms_error=ms_error,
        f=f,
        p_f=None if f is None else float(fdtrc(df_interaction, df_error, f)),
        eta2=None if interaction is None else _ratio(interaction, total),
        partial_eta2=_ratio(interaction, interaction + error) if df_error and interaction is not None else None,
        omega2=None if beyond_noise is None else _ratio(beyond_noise, total + (ms_error or 0.0)),
        epsilon2=None if beyond_noise is None else _ratio(beyond_noise, total),
        expected=_expected_mean_squares(space),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _expected_mean_squares(space: AdditiveSpace) -> ExpectedMeanSquares:
    """E[z'Pz] for z = root * (effects of cells) is the trace of P times the covariance of z; P = QQ'."""
    counts = space.root**2

    def own(basis: NDArray[np.float64], groups: NDArray[np.float64]) -> float:
        # The indicators of a factor, times root, are its orthonormal columns times the root of each group's count.
        loads = basis.T @ groups * np.sqrt((groups != 0).T.astype(np.float64) @ counts)
        return float((loads**2).sum() / basis.shape[1])

    def interaction_in(basis: NDArray[np.float64]) -> float:
        return float(counts @ (basis**2).sum(axis=1))

    optimizer, backbone = space.columns_given_rows, space.rows_given_columns
    left = float(counts.sum()) - interaction_in(space.additive)
    return ExpectedMeanSquares(
        interaction=left / space.df_residual if space.df_residual else None,
        optimizer=own(optimizer, space.columns),
        interaction_in_optimizer=interaction_in(optimizer) / optimizer.shape[1],
        backbone=own(backbone, space.rows),
        interaction_in_backbone=interaction_in(backbone) / backbone.shape[1],
    )
