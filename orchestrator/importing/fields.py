"""The fields of one row of results, each proven: what is wrong is refused with the line that it stands on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from orchestrator.errors import UsageError

STATES = ("COMPLETE", "DIVERGED", "FAIL")
"""States that a result from elsewhere may have; COMPLETE where the file does not say."""
NAME_LENGTH = 100
_MISSING = frozenset(
    {"", "nan", "na", "n/a", "null", "none", "-", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the training of one row ended."""

    state: str
    score: float | None
    """A fraction; chance for DIVERGED, None for FAIL."""
    reason: str | None = None
    """Why it is not COMPLETE."""


def outcome_of(where: str, given: str, value: float | None, classes: int | None) -> Outcome:
    """What a row's state and accuracy say together.

    Args:
        where: File and line, for messages.
        given: The state as the file has it; empty where it has none.
        value: The accuracy as a fraction; None where the row has none.
        classes: Number of classes; None where the user did not say.

    Raises:
        UsageError: There is no such state, or the two contradict each other.
    """
    state = given.upper() or "COMPLETE"
    if state not in STATES:
        raise UsageError(f"{where}: state {given[:50]!r} is not accepted; give {', '.join(STATES)} or nothing")
    if state == "DIVERGED":
        if classes is None:
            raise UsageError(
                f"{where}: a diverged result scores chance, which the file does not say; give --classes N for 1/N"
            )
        return Outcome(state=state, score=1 / classes, reason=f"diverged, says {where}")
    if state == "FAIL":
        if value is not None:
            raise UsageError(
                f"{where}: state FAIL means that there is no result, and top1 has one; remove one of them"
            )
        return Outcome(state=state, score=None, reason=f"failed, says {where}")
    if value is None:
        return Outcome(state="FAIL", score=None, reason=f"no value in {where}")
    return Outcome(state=state, score=value)


def accuracy_of(where: str, given: str, *, percent: bool, decimal_comma: bool) -> float | None:
    """An accuracy as a fraction; None where there is none.

    Args:
        where: File and line, for messages.
        given: The field as the file has it.
        percent: Whether the file has percentages.
        decimal_comma: Whether a comma in a number may stand for the decimal point.

    Raises:
        UsageError: It is no number, or none that an accuracy can be.
    """
    text = given.casefold()
    if text in _MISSING:
        return None
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if text.endswith("%"):
        raise UsageError(
            f"{where}: top1 {given[:50]!r} has a percent sign; write the number alone and give --percent"
        )
    try:
        value = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        value = None
    if value is None:
        raise UsageError(f"{where}: top1 {given[:50]!r} is not a number; leave it empty where there is no result")
    if value > 1 and value <= 100 and not percent:
        raise UsageError(f"{where}: top1 {given[:50]} is above 1; give --percent if the accuracies are percentages")
    if not 0 <= value <= (100 if percent else 1):
        accepted = "0 to 100" if percent else "0 to 1, or with --percent 0 to 100"
        raise UsageError(f"{where}: top1 {given[:50]} is not an accuracy; {accepted} is accepted")
    # By decimals, so that 66.76 % is the number nearest to 0.6676 and not its neighbour.
    return abs(float(value / 100 if percent else value))


def seed_of(where: str, given: str) -> int:
    """A seed.

    Raises:
        UsageError: It is no integer that 64 bits hold.
    """
    if not _INTEGER.fullmatch(given) or not -(2**63) <= int(given) < 2**63:
        raise UsageError(f"{where}: seed {given[:50]!r} is not accepted; give an integer below 2**63 in every row")
    return int(given)


def checked_name(what: str, given: str) -> str:
    """A name as it was given.

    Raises:
        UsageError: It is empty, too long, not printable, or a path, and so hardly a name.
    """
    if not given:
        raise UsageError(f"{what} is empty; give a name")
    if len(given) > NAME_LENGTH or not given.isprintable():
        raise UsageError(
            f"{what} {given[:50]!r} is not accepted; a name has at most {NAME_LENGTH} printable characters"
        )
    if given[0] in "/~." or "\\" in given or ".." in given.split("/"):
        raise UsageError(f"{what} {given!r} looks like a path; give a name")
    return given
