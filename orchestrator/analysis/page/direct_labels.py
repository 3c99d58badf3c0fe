"""Names beside points, so that no reader must match colours: each on the side where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LETTER, LINE = 6.6, 13
"""Pixels of a letter and of a line at 12 px."""
GAP = 9
"""Pixels between a point and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a name stands, relative to its point."""

    dx: float
    dy: float
    align: Literal["left", "right"]
    """The end of the name that is anchored."""


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)


def place_names(
    names: Sequence[str], x: Sequence[float], y: Sequence[float], *, width: float, height: float
) -> list[Placed]:
    """The place of each name with the least overlap with points, other names and the frame, one name after another.

    Args:
        names: What stands beside the points.
        x: Pixels from the left.
        y: Pixels from the top.
        width: Of the frame.
        height: Of the frame.
    """
    taken = [_Box(a - 5, b - 5, a + 5, b + 5) for a, b in zip(x, y, strict=True)]
    placed = []
    for name, a, b in zip(names, x, y, strict=True):
        options = [
            Placed(dx=side * GAP, dy=rise, align="left" if side > 0 else "right")
            for rise in (0, -LINE, LINE, -2 * LINE, 2 * LINE)
            for side in (1, -1)
        ]
        boxes = [_box(option, len(name) * LETTER, a, b) for option in options]
        costs = [sum(box.overlap(other) for other in taken) + _outside(box, width, height) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        placed.append(options[best])
    return placed


def _box(place: Placed, length: float, x: float, y: float) -> _Box:
    left = x + place.dx if place.align == "left" else x + place.dx - length
    return _Box(left, y + place.dy - LINE / 2, left + length, y + place.dy + LINE / 2)


def _outside(box: _Box, width: float, height: float) -> float:
    beyond = max(0.0, -box.left) + max(0.0, box.right - width) + max(0.0, -box.top) + max(0.0, box.bottom - height)
    return LINE * beyond
