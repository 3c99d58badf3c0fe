"""Accuracy under corrupted images: error against a reference, and the drop at matched clean accuracy.

A network that is better on clean images is mostly better on corrupted ones too. The mean corruption error therefore
ranks much as clean accuracy does; the relative one and the drop at matched clean accuracy take that out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.replicates import is_constant, tied


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionError:
    """Errors of one network under c corruptions, in % of those of a reference: 100 is as bad as the reference."""

    mce: float | None
    """Mean corruption error: mean of `by_corruption`; None where one of those is."""
    relative_mce: float | None
    """The same of what corruption adds to the clean error; None where it adds nothing to the reference's."""
    by_corruption: tuple[float | None, ...]
    """Shape (c,): None where the reference makes no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedDrop:
    """Loss of accuracy by corruption with the differences in clean accuracy allowed for, in the unit of the input."""

    slope: float
    """How much the drop changes with one unit of clean accuracy, by least squares over the networks."""
    clean: float
    """The clean accuracy that drops are matched at: the mean."""
    adjusted: tuple[float | None, ...]
    """Shape (n,): drop of each network at that clean accuracy; None where it has no result."""
    r_squared: float | None
    """Share of the drops' variance that clean accuracy explains; None if all drops are equal."""
    n: int


def corruption_error(
    errors: NDArray[np.float64],
    reference: NDArray[np.float64],
    *,
    clean: float | None = None,
    reference_clean: float | None = None,
) -> CorruptionError:
    """Mean corruption error and its relative form (Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.1).

    Each corruption's errors are summed over severities before the ratio to the reference is taken, and the ratios
    are averaged over corruptions.

    Args:
        errors: Shape (c, s): error rates under c corruptions at s severities; fractions or %.
        reference: Shape (c, s): those of the reference, in the same unit.
        clean: Error rate on clean images; without it there is no relative form.
        reference_clean: That of the reference.

    Raises:
        ValueError: The shapes differ, there is nothing in them, or a number is missing.
    """
    if errors.ndim != 2 or errors.shape != reference.shape or not errors.size:
        raise ValueError(f"both must have shape (corruptions, severities); got {errors.shape} and {reference.shape}")
    if not (np.isfinite(errors).all() and np.isfinite(reference).all()):
        raise ValueError("a corruption error needs every corruption at every severity")
    plain = _ratios(errors.sum(axis=1), reference.sum(axis=1))
    relative: tuple[float | None, ...] = (None,)
    if clean is not None and reference_clean is not None:
        relative = _ratios((errors - clean).sum(axis=1), (reference - reference_clean).sum(axis=1))
    return CorruptionError(mce=_mean(plain), relative_mce=_mean(relative), by_corruption=plain)


def _ratios(own: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(100 * a / b if b > 0 else None for a, b in zip(own.tolist(), other.tolist(), strict=True))


def _mean(ratios: tuple[float | None, ...]) -> float | None:
    known = [ratio for ratio in ratios if ratio is not None]
    return sum(known) / len(known) if len(known) == len(ratios) else None


def matched_drop(clean: NDArray[np.float64], corrupted: NDArray[np.float64]) -> MatchedDrop | None:
    """The drop in accuracy of each network as if all had the same clean accuracy.

    The drop, clean less corrupted accuracy, is regressed on clean accuracy; what is adjusted is its residual plus the
    fitted drop at the mean. Accuracies near 0 or 100 % bend the line: compare networks of similar accuracy.

    Args:
        clean: Shape (n,): accuracy on clean images; NaN where there is none.
        corrupted: Shape (n,): mean accuracy over corruptions and severities.

    Returns:
        None with fewer than three networks, or if all have the same clean accuracy.

    Raises:
        ValueError: The vectors differ in shape.
    """
    if clean.ndim != 1 or clean.shape != corrupted.shape:
        raise ValueError(f"both must be vectors of one length; got {clean.shape} and {corrupted.shape}")
    there = np.isfinite(clean) & np.isfinite(corrupted)
    x = clean[there]
    if x.size < 3 or is_constant(x):
        return None
    drop = x - corrupted[there]
    centred = x - x.mean()
    slope = float(centred @ drop / (centred @ centred))
    adjusted = drop - slope * centred
    total = float(((drop - drop.mean()) ** 2).sum())
    rest = float(((adjusted - drop.mean()) ** 2).sum())
    found = iter(adjusted.tolist())
    return MatchedDrop(
        slope=slope,
        clean=float(x.mean()),
        adjusted=tuple(next(found) if known else None for known in there.tolist()),
        r_squared=1 - rest / total if np.ptp(tied(drop, scale=x)) > 0 else None,
        n=x.size,
    )
