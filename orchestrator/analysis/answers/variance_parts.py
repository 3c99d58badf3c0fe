"""What a result's variance is made of: the same shares for the terminal and the page."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.analysis.answers.coupling_records import ScaleCoupling

BACKBONE, OPTIMIZER, INTERACTION, NOISE = "backbone", "optimizer", "interaction", "noise"
INTERACTION_AND_NOISE = "interaction and noise"
"""Where nothing is replicated the two cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceParts:
    """Shares of the sum of the parts; None is undefined."""

    backbone: float | None = None
    optimizer: float | None = None
    interaction: float | None = None
    """With the noise in it where `noise` is None."""
    noise: float | None = None

    def named(self) -> tuple[tuple[str, float], ...]:
        """(name, share) of the parts there are, in the order in which they are drawn."""
        mixed = INTERACTION if self.noise is not None else INTERACTION_AND_NOISE
        parts = (
            (BACKBONE, self.backbone), (OPTIMIZER, self.optimizer), (mixed, self.interaction), (NOISE, self.noise)
        )  # fmt: skip
        return tuple((name, value) for name, value in parts if value is not None)


def variance_parts(one: ScaleCoupling) -> VarianceParts:
    """Variance components by the method of moments, or sums of squares where nothing is replicated.

    Sums of squares of the interaction hold noise even where there are replicates, 30 % of the total without any
    coupling in a 20 x 20 table of three: components do not. Negative components count as 0. Nothing is defined where
    all results are equal, nor where replicates give the noise but too few cells the other components.
    """
    if one.variance is None:
        return VarianceParts()
    squares = one.variance
    if one.noise_separated:
        values = [one.sigma2_backbone, one.sigma2_optimizer, one.sigma2_interaction, one.sigma2_error]
    else:
        values = [squares.backbone, squares.optimizer, squares.interaction, squares.error]
    kept = [None if value is None else max(0.0, value) for value in values]
    total = sum(value for value in kept if value is not None)
    if not total or kept[0] is None:
        return VarianceParts()
    backbone, optimizer, interaction, noise = (None if value is None else value / total for value in kept)
    return VarianceParts(backbone=backbone, optimizer=optimizer, interaction=interaction, noise=noise)
