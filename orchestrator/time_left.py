"""How long a sweep will still take: one estimate for who watches it run and for who asks from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

RATE_TRIALS = 50
"""The estimate follows from the newest so many ends."""


def seconds_left(ends: Sequence[float], running_for: float, missing: int) -> float | None:
    """Trials missing times the mean time between the newest ends of the driver at work.

    What was before the driver counts not at all: a sweep that lay still over a weekend is no slower for it.

    Args:
        ends: How many seconds ago trials ended, in any order; those of earlier drivers may be among them.
        running_for: How many seconds ago the driver began.
        missing: Trials that have still to end.

    Returns:
        None where nothing is missing or nothing has ended yet.
    """
    own = sorted(age for age in ends if age <= running_for)
    if not own or missing <= 0:
        return None
    if len(own) > RATE_TRIALS:
        return missing * own[RATE_TRIALS] / RATE_TRIALS
    return missing * running_for / len(own)
