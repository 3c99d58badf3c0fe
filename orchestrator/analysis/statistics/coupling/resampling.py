"""Inference on the interaction that holds when cells differ in variance: wild bootstrap and cross-seed estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.analysis.statistics.coupling.additive import AdditiveSpace, additive_space
from orchestrator.analysis.statistics.replicates import as_scores, cell_means, rounding_floor, without_empty

DRAWS = 1999
"""With these, p is a multiple of 1/2000."""

_BLOCK = 4_000_000
"""Numbers drawn at once: 32 MB. Part of what a seed gives, so not to be tuned to the machine."""


def wild_bootstrap_p(scores: ArrayLike, rng: np.random.Generator, *, draws: int = DRAWS) -> float | None:
    """The p-value of no interaction where cells may differ in variance: about valid then, as that of F is not.

    By simulation at a nominal 5 % with three or five replicates: 2 to 5 % of null tables are rejected where all cells
    have noise of one size, 3 to 6 % where standard deviations spread from 0.1 to 3, and up to 8 % where five of 400
    cells hold nearly all the noise; F rejects 5, 10 to 17 and up to 35 %.

    One noisy cell among few misleads it both ways, because F and F* hold that noise in full. Of null tables of 4 x 4
    cells, one with ten times the standard deviation of the others, it rejects 10, 13 and 7 % with two, three and five
    replicates; there it finds a cell that is 10 of the others' standard deviations behind in 32, 44 and 46 %, and in
    98 to 100 % where all are alike. Statistics in which each cell counts by its own noise see more (Johansen 1980,
    Biometrika 67, 85, by parametric bootstrap: 94 % with three replicates) but want normal noise: where it is
    exponential and cells differ in it, they reject 13 to 18 % of null tables of 4 x 4 cells with three and five
    replicates, and 28 to 97 % of 20 x 20. The F approximation of Brunner, Dette & Munk (1997, J. American Statistical
    Association 92, 1494) has about the level and the power of this test.

    Each residual from its cell mean, times sqrt(n / (n - 1)) for the n replicates of its cell, gets a random sign; F
    is computed anew from these alone, since the additive part does not enter it (Wu 1986, Annals of Statistics 14,
    1261; Rademacher signs: Davidson & Flachaire 2008, J. Econometrics 146, 162). p = (1 + draws with F* >= F) / (1 +
    draws).

    A cell with a single replicate has no residual, and its noise would be missing from F* and not from F: such cells
    are left out of both, so that the test is on the cells with two replicates or more.

    Args:
        scores: Shape (a, b, r); NaN where there is no result. Replicates of a cell are independent.
        rng: Draws the signs.
        draws: Their number.

    Returns:
        None where there is nothing to test: no replicates, no spread among them, or too few connected cells.
    """
    array = as_scores(scores)
    several = np.isfinite(array).sum(axis=2) >= 2
    if not several.any():
        return None
    array, _ = without_empty(np.where(several[:, :, np.newaxis], array, np.nan))
    cells = cell_means(array)
    space = additive_space(cells.counts)
    if space is None or not space.df_residual:
        return None
    counts = cells.counts[space.observed][:, np.newaxis]
    within = array[space.observed] - cells.means[space.observed][:, np.newaxis]
    error = float(np.nansum(within**2))
    if error <= rounding_floor(array):
        return None
    vector = space.vector(cells.means - float(np.nanmean(array)))
    interaction = float((space.residual(vector) ** 2).sum())
    residuals = np.nan_to_num(within * np.sqrt(counts / (counts - 1)))
    exceeding = _count_exceeding(space, residuals, interaction / error, rng, draws)
    return (1 + exceeding) / (1 + draws)


def _count_exceeding(
    space: AdditiveSpace, residuals: NDArray[np.float64], ratio: float, rng: np.random.Generator, draws: int
) -> int:
    """Draws in which SS_I* / SS_E* is at least `ratio`: the degrees of freedom are the same in all of them.

    Args:
        space: Of the m cells.
        residuals: Shape (m, r); 0 where there is no replicate.
        ratio: Of the data.
        rng: Draws the signs.
        draws: Their number.
    """
    basis = space.additive
    total = float((residuals**2).sum())
    block = max(1, _BLOCK // residuals.size)
    exceeding = 0
    for start in range(0, draws, block):
        shape = (min(block, draws - start), *residuals.shape)
        signs = rng.integers(0, 2, size=shape, dtype=np.int8) * np.int8(2) - np.int8(1)
        vectors = np.einsum("dmr,mr->dm", signs, residuals) / space.root
        between = (vectors**2).sum(axis=1)
        interaction = between - ((vectors @ basis) ** 2).sum(axis=1)
        # Products, not a ratio: every replicate of every cell may agree in a small table, and 0 / 0 is no F.
        exceeding += int((interaction >= ratio * (total - between)).sum())
    return exceeding


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossSeedComponents:
    """Variance components from pairs of replicates, in the squared unit of the scores; negative ones stay."""

    interaction: float | None
    """s2_I; None where no degrees of freedom are left for it."""
    optimizer: float | None
    """s2_B; None as well where a cell is missing, because column means are then not comparable."""


def cross_seed_components(scores: ArrayLike) -> CrossSeedComponents | None:
    """Variance components that are unbiased whatever the variances of the cells, from products of two replicates.

    s2_I is the mean over pairs k != l of <I_k, I_l> / df_I, I_k the doubly centred table of replicate k (a
    U-statistic: Hoeffding 1948, Annals of Mathematical Statistics 19, 293). s2_B + s2_I / a is that of <B_k, B_l> /
    (b - 1), B_k the centred column means. Noise is independent between replicates, so products of two carry none of
    it.

    Replicates may share what they are made of across cells, as the points of a design do. An effect that a replicate
    has on all cells, on a backbone or on an optimizer alike is then in the error of the analysis of variance, which
    makes its s2_I too small and its tests conservative; here it is centred away.

    Args:
        scores: Shape (a, b, r); replicate k is the same seed, or the same points, in every cell. Replicates that
            miss a cell which others have are left out, because their tables are not comparable.

    Returns:
        None with fewer than two complete replicates, or where row and column effects are not defined.
    """
    array = as_scores(scores)
    there = np.isfinite(array)
    observed = there.any(axis=2)
    complete = there[observed].all(axis=0)
    space = additive_space(observed)
    if space is None or int(complete.sum()) < 2:
        return None
    tables = np.moveaxis(array[:, :, complete], 2, 0) - float(np.nanmean(array))
    interaction = optimizer = None
    if space.df_residual:
        interaction = _mean_product(space.residual(space.vector(tables))) / space.df_residual
        if observed.all():
            rows, columns = observed.shape
            effects = tables.mean(axis=1) - tables.mean(axis=(1, 2))[:, np.newaxis]
            optimizer = _mean_product(effects) / (columns - 1) - interaction / rows
    return CrossSeedComponents(interaction=interaction, optimizer=optimizer)


def _mean_product(vectors: NDArray[np.float64]) -> float:
    """Mean inner product of two different rows of shape (r, m)."""
    number = len(vectors)
    pairs = float((vectors.sum(axis=0) ** 2).sum() - (vectors**2).sum())
    return pairs / (number * (number - 1))
