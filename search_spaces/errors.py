"""The mistakes of a user that the lower packages can detect, as one exception with one clear sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What was wrong, the value received, what is accepted, and the next step, in one sentence."""


class DataError(UserError):
    """A file of a data set is missing, damaged or holds something else."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a catalogue; close names come first.

    Args:
        kind: What the name was meant to be, in the singular ("backbone").
        name: The value received.
        known: Every accepted name.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
    return UserError(f"unknown {kind} {name!r}; {hint}")
