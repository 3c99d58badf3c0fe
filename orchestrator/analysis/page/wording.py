"""How numbers and findings are put into words: one place, so that plots, tables and sentences agree."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any

from orchestrator.analysis.answers.summary import RowSummary
from orchestrator.analysis.counted import listed
from orchestrator.analysis.statistics.intervals import Estimate
from orchestrator.analysis.trials.counts import Counts
from orchestrator.analysis.trials.headline import Headline, Source

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

SOURCE_LONG = {
    Source.CONFIRM: "mean of the confirm trials",
    Source.IMPORTED: "as imported",
    Source.SEARCH: "best design or tune trial, not confirmed",
    Source.DEFAULT: "mean of the default trials, nothing tuned here",
}
_UNSHOWABLE = re.compile(
    "[\u202a-\u202e\u2066-\u2069]"  # turn the direction of what follows: numbers would read backwards
    "|[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"  # no XML may hold them; NUL ends vl-convert's process
)
STATE_WORDS = {"COMPLETE": "complete", "DIVERGED": "diverged", "PRUNED": "pruned", "FAIL": "failed"}


def visible(text: str) -> str:
    """The text with a sign for each character that cannot be shown or would change how its surroundings are."""
    return text if text.isprintable() else _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def visible_strings(value: Any) -> Any:
    """A JSON value with all of its strings as `visible` has them."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list | tuple):
        return [visible_strings(item) for item in value]
    if isinstance(value, dict):
        return {visible_strings(key): visible_strings(item) for key, item in value.items()}
    return value


def short(name: str, letters: int = 26) -> str:
    """A name as a label: of a long one both ends, as names of one kind often begin alike."""
    if len(name) <= letters:
        return name
    kept = letters - 1
    return f"{name[: kept - kept // 2]}{ELLIPSIS}{name[-(kept // 2) :]}"


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.7831 as "78.31"; the unit stands in the heading or after it."""
    return NOTHING if fraction is None or math.isnan(fraction) else f"{100 * fraction:.{digits}f}"


def points(fraction: float | None, digits: int = 2) -> str:
    """A difference of accuracies in percentage points, with a real minus sign: -0.031 as "-3.10"."""
    if fraction is None:
        return NOTHING
    text = f"{abs(100 * fraction):.{digits}f}"
    return f"{MINUS}{text}" if fraction < 0 and float(text) else text


def signed(value: float | None, digits: int = 2) -> str:
    """A difference in percentage points, with its sign: 3.1 as "+3.10"."""
    if value is None:
        return NOTHING
    text = f"{abs(value):.{digits}f}"
    return text if not float(text) else f"{'+' if value > 0 else MINUS}{text}"


def residual(value: float | None, p_adjusted: float | None) -> str:
    """What a cell has beyond its row and column, with how sure that is."""
    if value is None:
        return "not known"
    sure = "" if p_adjusted is None else f" (adjusted p {p_relation(p_adjusted)})"
    return f"{signed(value)} points{sure}"


def share(value: float | None) -> str:
    """A share of a whole in percent: 0.397 as "40 %"."""
    if value is None:
        return NOTHING
    return f"{100 * value:.0f} %" if value >= 0.0995 else f"{100 * value:.1f} %"


def p_value(value: float | None) -> str:
    """A p-value to two digits; below 0.0001 it says no more than that."""
    if value is None:
        return NOTHING
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def p_relation(value: float) -> str:
    """A p-value as it follows its name: "= 0.03" or "< 0.0001"."""
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def span(ends: tuple[float, float] | None, digits: int = 2) -> str:
    """An interval: "[0.10, 2.30]"; nothing without one."""
    if ends is None:
        return ""
    low, high = (f"{end:.{digits}f}".replace("-", MINUS) for end in ends)
    return f"[{low}, {high}]"


def accuracy(estimate: Estimate) -> str:
    """The mean in percent, with its interval where it has one."""
    mean = f"{percent(estimate.mean)} %"
    if estimate.low is None or estimate.high is None:
        return mean
    return f"{mean} [{percent(estimate.low)}, {percent(estimate.high)}]"


def sample(headline: Headline) -> str:
    """What a headline's n stands for."""
    if headline.source is Source.SEARCH:
        return f"best of {headline.candidates}"
    return f"n = {headline.estimate.n}"


def evidence(headline: Headline) -> str:
    """What stands behind a headline, in a few words."""
    parts = [sample(headline)]
    if headline.diverged:
        parts.append(f"{headline.diverged} diverged")
    if headline.estimate.low is None:
        parts.append("no interval")
    return ", ".join(parts)


def counts_in_words(counts: Counts) -> str:
    """Counts by state, those that are zero left out."""
    parts = [f"{number:,} {STATE_WORDS[state]}" for state, number in counts.by_state() if number]
    return ", ".join(parts) or "none"


def leader(row: RowSummary) -> str:
    """Which optimizer came first on a backbone; several where they are equal."""
    if not row.ranking:
        return "no optimizer has a score yet"
    tied = [cell.key.optimizer for cell in row.ranking if cell.gap == 0]
    if len(row.ranking) == 1:
        return f"only {tied[0]} has a score so far"
    return tied[0] if len(tied) == 1 else f"{listed(tied)} share the first place"


def moment(when: datetime | None) -> str:
    """A time of the store, to the minute."""
    return NOTHING if when is None else f"{when:%Y-%m-%d %H:%M} UTC"


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter."""
    minutes = seconds / 60
    if seconds < 120:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes:.0f} min"
    if minutes < 48 * 60:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 60 / 24:.1f} days"


def number(value: float | None, digits: int = 2) -> str:
    """A number that is already in the unit of its heading, with a real minus sign."""
    if value is None:
        return NOTHING
    text = f"{abs(value):.{digits}f}"
    return f"{MINUS}{text}" if value < 0 and float(text) else text
