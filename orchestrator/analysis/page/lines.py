"""Lines and points of small multiples as ready paths: one mark for a whole line, however many points it has.

The library draws each of its own lines by a data flow, and each of its points by several objects: seconds for the
curves of 400 cells. Here a line, or all points of one cell, is one symbol whose outline is computed beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

PATH = "path"
"""Field of a record that holds its outline."""
UNIT = 4
"""Size of a symbol whose outline is in pixels: Vega scales outlines by half the root of the size."""
ROOM = 0.04
"""Share of the range of all values that is left free at each end of an axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What one axis shows, from end to end."""

    low: float
    high: float
    base: int | None = None
    """Of a logarithmic axis; both ends are positive then."""

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        low, high, at = (math.log(end) if self.base else end for end in (self.low, self.high, value))
        return (at - low) / (high - low)

    def scale(self) -> alt.Scale:
        """The same for the library."""
        kind: dict[str, Any] = {"type": "log", "base": self.base} if self.base else {"zero": False}
        return alt.Scale(domain=[self.low, self.high], nice=False, **kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A panel of `width` by `height` pixels and what its axes span."""

    x: Span
    y: Span
    width: int
    height: int

    def pixels(self, xs: Sequence[float], ys: Sequence[float | None]) -> list[tuple[float, float] | None]:
        """Points from the panel's lower left corner, right and down; None where there is no value."""
        return [
            None if y is None else (round(self.width * self.x.place(x), 1), round(-self.height * self.y.place(y), 1))
            for x, y in zip(xs, ys, strict=True)
        ]


def span_of(values: Iterable[float | None], *, room: float = 0.0, base: int | None = None) -> Span:
    """The range of some values, with a share `room` of it left free at both ends; never empty."""
    known = [value for value in values if value is not None]
    if not base:
        low, high = min(known), max(known)
        more = room * (high - low) or (1.0 if low == high else 0.0)
        return Span(low=low - more, high=high + more)
    low, high = math.log10(min(known)), math.log10(max(known))
    more = room * (high - low) or (0.3 if low == high else 0.0)
    return Span(low=float(f"{10 ** (low - more):.4g}"), high=float(f"{10 ** (high + more):.4g}"), base=base)


def line(frame: Frame, xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """The outline of a line, with a gap where a value is missing."""
    parts, joined = [], False
    for point in frame.pixels(xs, ys):
        if point is not None:
            parts.append(f"{'L' if joined else 'M'}{point[0]:g},{point[1]:g}")
        joined = point is not None
    return "".join(parts)


def area(frame: Frame, xs: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
    """The outline of what lies between two lines."""
    return line(frame, [*xs, *reversed(xs)], [*low, *reversed(high)]) + "Z"


def knots(frame: Frame, xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """A small square on every point of a line, to be drawn with it where there are few."""
    return "".join(f"M{x - 1.5:g},{y - 1.5:g}h3v3h-3Z" for x, y in filter(None, frame.pixels(xs, ys)))


def dots(frame: Frame, xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """Points that are as large as their stroke is wide; with round caps, circles."""
    # Of no length at all, some programs draw nothing.
    return "".join(f"M{x:g},{y:g}h.01" for x, y in filter(None, frame.pixels(xs, ys)))


def crosses(frame: Frame, xs: Sequence[float], ys: Sequence[float | None]) -> str:
    """Crosses seven pixels wide."""
    return "".join(f"M{x - 3.5:g},{y:g}h7m-3.5,-3.5v7" for x, y in filter(None, frame.pixels(xs, ys)))


def strokes(frame: Frame, chart: alt.Chart, *, x: alt.Axis, y: alt.Axis, **mark: Any) -> alt.Chart:
    """Draws the outlines in the field `path` as lines.

    To fade some use `strokeOpacity`: an opacity of the whole mark makes paper a layer of each of them.
    """
    return _encoded(frame, chart.mark_point(filled=False, size=UNIT, opacity=1, clip=True, aria=False, **mark), x, y)


def fills(frame: Frame, chart: alt.Chart, *, x: alt.Axis, y: alt.Axis, **mark: Any) -> alt.Chart:
    """Draws the outlines in the field `path` filled."""
    return _encoded(
        frame, chart.mark_point(filled=True, strokeWidth=0, size=UNIT, opacity=1, clip=True, aria=False, **mark), x, y
    )


def _encoded(frame: Frame, chart: alt.Chart, x: alt.Axis, y: alt.Axis) -> alt.Chart:
    # Every outline starts from the panel's lower left corner.
    encoded: alt.Chart = chart.encode(
        x=alt.XDatum(frame.x.low, type="quantitative", scale=frame.x.scale(), axis=x),
        y=alt.YDatum(frame.y.low, type="quantitative", scale=frame.y.scale(), axis=y),
        shape=alt.Shape(f"{PATH}:N", scale=None, legend=None),
    )
    return encoded


def nearest(x: str, y: str, shown: Mapping[str, str]) -> dict[str, Any]:
    """Asks the page to show the nearest point of a plot, wherever in a panel the pointer is.

    Args:
        x: Field of the records that has the points' places on the horizontal axis: a number, or one for each point.
        y: The same on the vertical axis.
        shown: Fields to show by their headings; of a list, the entry of the nearest point.
    """
    return {"nearest": {"x": x, "y": y, "shown": list(shown.items())}}
