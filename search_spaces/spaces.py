"""Search spaces on the unit cube: one coordinate per hyper-parameter, mapped to its range.

Designs and samplers work on coordinates in [0, 1], the same in every cell; only this module knows what a
coordinate means for an optimizer. So common design points stay common whatever the ranges are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from search_spaces.errors import UserError, unknown_name

ZERO_ATOM = 1 / 8
"""Share of a `zero_or_log` coordinate that means exactly 0."""


class Scale(StrEnum):
    """How a coordinate is spread over its range."""

    LINEAR = "linear"
    LOG = "log"
    LOG1M = "log1m"
    """Logarithmic in 1 - value: for momenta and betas."""
    ZERO_OR_LOG = "zero_or_log"
    """Exactly 0 below `ZERO_ATOM`, logarithmic above it: for weight decay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One hyper-parameter's range.

    Raises:
        UserError: The range is empty, not finite, or impossible on its scale.
    """

    name: str
    low: float
    high: float
    scale: Scale = Scale.LOG

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UserError(
                f"the range of {self.name} must have low < high, both finite; got {self.low} and {self.high}"
            )
        if self.scale in (Scale.LOG, Scale.ZERO_OR_LOG) and self.low <= 0:
            raise UserError(f"the range of {self.name} is logarithmic, so low must be above 0; got {self.low}")
        if self.scale is Scale.LOG1M and not (self.low >= 0 and self.high < 1):
            raise UserError(f"the range of {self.name} must lie in [0, 1); got {self.low} to {self.high}")

    def value_at(self, coordinate: float) -> float:
        """The hyper-parameter's value at a coordinate in [0, 1]."""
        if not 0 <= coordinate <= 1:
            raise ValueError(f"a coordinate lies in [0, 1]; got {coordinate} for {self.name}")
        match self.scale:
            case Scale.LINEAR:
                return self.low + coordinate * (self.high - self.low)
            case Scale.LOG:
                return self._logarithmic(self.low, self.high, coordinate)
            case Scale.LOG1M:
                return 1 - self._logarithmic(1 - self.low, 1 - self.high, coordinate)
            case Scale.ZERO_OR_LOG:
                if coordinate < ZERO_ATOM:
                    return 0.0
                return self._logarithmic(self.low, self.high, (coordinate - ZERO_ATOM) / (1 - ZERO_ATOM))

    @staticmethod
    def _logarithmic(low: float, high: float, share: float) -> float:
        return float(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """The dimensions that are searched for one optimizer, in the order of their coordinates."""

    dimensions: tuple[Dimension, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions, in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    def values_at(self, point: Mapping[str, float]) -> dict[str, float]:
        """Hyper-parameter values at a point of the unit cube (one coordinate per dimension name)."""
        return {dimension.name: dimension.value_at(point[dimension.name]) for dimension in self.dimensions}


def dimension_from_spec(name: str, value: object, *, scale: Scale = Scale.LOG) -> Dimension:
    """The dimension a spec writes as `[low, high]` or as `{low, high, scale}`.

    Args:
        name: The hyper-parameter.
        value: What the spec says.
        scale: The scale where the spec gives none.

    Raises:
        UserError: The value has neither form, or its range is impossible.
    """
    fields = dict(zip(("low", "high"), value, strict=False)) if isinstance(value, list | tuple) else value
    if not isinstance(fields, Mapping) or not _is_range(fields, value):
        raise UserError(
            f"the range of {name} must be [low, high] or {{low = ..., high = ..., scale = ...}}; got {value!r}"
        )
    given = fields.get("scale", scale)
    if given not in tuple(Scale):
        raise unknown_name("scale", str(given), tuple(Scale))
    for key in fields:
        if key not in ("low", "high", "scale"):
            raise unknown_name(f"key in the range of {name}", str(key), ("low", "high", "scale"))
    return Dimension(name=name, low=float(fields["low"]), high=float(fields["high"]), scale=Scale(given))


def _is_range(fields: Mapping[str, object], value: object) -> bool:
    if isinstance(value, list | tuple) and len(value) != 2:
        return False
    ends = (fields.get("low"), fields.get("high"))
    return all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends)
