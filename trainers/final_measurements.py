"""What is measured of a network once, after its last epoch, beside its accuracy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStatistics:
    """One weight of a trained network as a matrix W; see `trainers.weight_statistics` for every definition.

    A number is None where it is undefined, and all are where a weight is not finite.
    """

    layer: str
    """Name of the parameter, as in the network's state."""
    position: int
    """Place among the network's weights, in the order of their definition, from 0."""
    kind: str
    """Class of the module that holds it."""
    rows: int
    """The weight's first dimension: outputs."""
    columns: int
    """The product of the others: inputs, times the places of a kernel."""
    alpha: float | None = None
    """Exponent of the power law in the tail of the eigenvalue density of W'W; None with fewer than 50 eigenvalues."""
    alpha_xmin: float | None = None
    """The smallest eigenvalue of that tail."""
    alpha_ks: float | None = None
    """Kolmogorov-Smirnov distance between the tail and the power law."""
    tail: int | None = None
    """Eigenvalues in the tail."""
    entropy: float | None = None
    """Of the values, in nats."""
    l2_norm: float | None = None
    """Frobenius norm."""
    pca_energy: float | None = None
    """Share of the variance in the largest tenth of the principal components."""
    stable_rank: float | None = None
    """Squared Frobenius norm over squared spectral norm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionScore:
    """How well a trained network does on the test part spoilt in one way; see `trainers.corruptions.catalogue`."""

    corruption: str
    severity: int
    """1 to 5."""
    top1: float
    """Accuracy as a fraction."""
    loss: float
    """Cross-entropy in nats."""
