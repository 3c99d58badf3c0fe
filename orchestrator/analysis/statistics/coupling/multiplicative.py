"""What the interaction in a table of means looks like: its components, who carries it, and whether it re-ranks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from orchestrator.analysis.statistics.coupling.additive import AdditiveFit, additive_fit
from orchestrator.analysis.statistics.replicates import rounding_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ammi:
    """Additive main effects and multiplicative interaction: the singular value decomposition of the interaction.

    Gauch 1988, Biometrics 44, 705. The c components are those a doubly centred table can have: min(a, b) - 1.
    """

    singular_values: NDArray[np.float64]
    """Shape (c,), largest first, in the unit of the scores."""
    shares: NDArray[np.float64]
    """Shape (c,): of the interaction's sum of squares; they sum to 1."""
    row_scores: NDArray[np.float64]
    """Shape (a, c): left singular vectors times the root of the singular value (symmetric biplot)."""
    column_scores: NDArray[np.float64]
    """Shape (b, c). A row and a column with scores of one sign do better together than the sum of their effects.
    Signs are chosen so that the column with the largest score of a component has a positive one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ecovalence:
    """Wricke's ecovalence (1962): the part of the interaction that each row and each column carries.

    In the squared unit of the scores, on cell means: both sum to SS_I / r. Missing cells add nothing.
    """

    rows: NDArray[np.float64]
    """Shape (a,)."""
    columns: NDArray[np.float64]
    """Shape (b,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MuirSplit:
    """Muir, Nyquist & Xu 1992 (Theor. Appl. Genetics 84, 193): two ways to disagree, as shares that sum to 1."""

    scale: float
    """Optimizers spread more on some backbones than on others, in the same order."""
    reranking: float
    """Optimizers correlate less than perfectly between backbones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TukeyTest:
    """Tukey's one degree of freedom for nonadditivity."""

    f: float
    """With (1, df_I - 1) degrees of freedom."""
    p: float


def ammi(fit: AdditiveFit) -> Ammi | None:
    """Decomposes the residuals of the additive fit; missing cells are imputed by that fit, so they are 0.

    Returns:
        None where there is no interaction at all.
    """
    interaction = fit.interaction
    if not _has_interaction(fit):
        return None
    left, values, right = np.linalg.svd(interaction, full_matrices=False)
    number = min(interaction.shape) - 1
    left, values, right = left[:, :number], values[:number], right[:number].T
    largest = np.abs(right).argmax(axis=0)
    signs = np.where(right[largest, np.arange(number)] < 0, -1.0, 1.0)
    return Ammi(
        singular_values=values,
        shares=values**2 / (values**2).sum(),
        row_scores=left * signs * np.sqrt(values),
        column_scores=right * signs * np.sqrt(values),
    )


def noise_edge(error_variance: float, replicates: float, shape: tuple[int, int]) -> float:
    """The singular value that means of pure noise reach, about: sqrt(s2_E / r) (sqrt(a - 1) + sqrt(b - 1)).

    The edge of the spectrum of a random matrix (Geman 1980, Annals of Probability 8, 252); double centring costs a
    row and a column. Components above it stand out from the noise, the others may be nothing else; the largest of
    noise alone is above it in about one table of eight.
    """
    a, b = shape
    return math.sqrt(error_variance / replicates) * (math.sqrt(a - 1) + math.sqrt(b - 1))


def ecovalence(fit: AdditiveFit) -> Ecovalence:
    """Sums the squared interaction of each row and each column."""
    squares = fit.interaction**2 if _has_interaction(fit) else np.zeros_like(fit.fitted)
    return Ecovalence(rows=squares.sum(axis=1), columns=squares.sum(axis=0))


def muir_split(fit: AdditiveFit) -> MuirSplit | None:
    """Splits the interaction into heterogeneous scale and re-ranking; missing cells are imputed by the additive fit.

    SS_I = (G - 1)/E * sum over pairs of backbones of (s - s')^2 + 2 s s' (1 - r), for G optimizers and E backbones, s
    the standard deviation (divisor G - 1) over the optimizers of a backbone and r the correlation of two.

    Returns:
        None where there is no interaction at all.
    """
    if not _has_interaction(fit):
        return None
    covariance = np.cov(fit.fitted + fit.interaction)
    spread = np.sqrt(np.diag(covariance))
    # Covariances and not correlations: a backbone on which all optimizers are equal has no correlation.
    scale = float(((spread[:, np.newaxis] - spread) ** 2).sum())
    reranking = float(2 * (np.outer(spread, spread) - covariance).sum())
    return MuirSplit(scale=scale / (scale + reranking), reranking=reranking / (scale + reranking))


def tukey_test(fit: AdditiveFit) -> TukeyTest | None:
    """Tests for an interaction of the form row effect times column effect (Tukey 1949, Biometrics 5, 232).

    It sees that form and no other: on the table of Li et al. F = .03, p = .86, although the interaction is 40 % of
    the sum of squares. A large p is no sign of additivity; a small one says that a transformation such as logit may
    remove a part. With missing cells the product is first made orthogonal to the additive model, as Tukey's argument
    needs.

    Returns:
        None where it is not defined: no row or column effects, no residual beside it, or fewer than 2 degrees of
        freedom.
    """
    observed = np.isfinite(fit.residuals)
    product = np.outer(fit.row_effects, fit.column_effects)
    table = np.where(observed, product, np.nan)
    if fit.df_residual < 2 or not _has_interaction(fit):
        return None
    # Equal rows, as with ranks, have effects of 1e-16: the product of rounding with anything is no interaction.
    floor = rounding_floor(fit.fitted + fit.interaction)
    if min(float((fit.row_effects**2).sum()), float((fit.column_effects**2).sum())) <= floor:
        return None
    centred = _beyond_additive(table)
    length = float((centred**2).sum())
    if length <= rounding_floor(product):
        return None
    nonadditive = float((fit.interaction * centred).sum()) ** 2 / length
    rest = float((fit.interaction**2).sum()) - nonadditive
    if rest <= floor:
        return None
    f = nonadditive / (rest / (fit.df_residual - 1))
    return TukeyTest(f=f, p=float(fdtrc(1, fit.df_residual - 1, f)))


def _beyond_additive(table: NDArray[np.float64]) -> NDArray[np.float64]:
    fit = additive_fit(table)
    assert fit is not None  # noqa: S101 - the same cells have been fitted before
    return fit.interaction


def _has_interaction(fit: AdditiveFit) -> bool:
    """Whether the residuals are more than rounding."""
    return fit.df_residual > 0 and float((fit.interaction**2).sum()) > rounding_floor(fit.fitted + fit.interaction)
