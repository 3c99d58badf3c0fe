"""One measured rate beside what it should be, with the Monte-Carlo error that a comparison has to allow for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, stdtrit

Rule = Literal["equals", "at most", "at least", "above", "below", "shown"]
"""`above` and `below` are for what is known to fail, and must be seen to; `shown` is judged by nothing."""

STANDARD_ERRORS = 4.0
"""A rate may miss by so many: with a few hundred rates in a table, one in 16,000 is no chance finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A mean over simulated sweeps."""

    what: str
    where: str
    value: float
    rule: Rule
    wanted: float | None
    error: float
    """Monte-Carlo standard error of `value`."""
    tables: int
    """Simulated sweeps, or cells, that are independent."""

    @property
    def is_off(self) -> bool:
        """Whether it misses what is wanted by more than chance explains."""
        if self.wanted is None:
            return False
        # Student's quantile: the error of a few sweeps is itself uncertain.
        allowed = float(stdtrit(max(1, self.tables - 1), ndtr(STANDARD_ERRORS))) * self.error + 1e-9
        difference = self.value - self.wanted
        return {
            "equals": abs(difference) > allowed,
            "at most": difference > allowed,
            "at least": difference < -allowed,
            "above": difference <= allowed,
            "below": difference >= -allowed,
            "shown": False,
        }[self.rule]

    def __str__(self) -> str:
        wanted = "" if self.wanted is None else f" ({self.rule} {self.wanted:.4g})"
        return f"{self.what}, {self.where}: {self.value:.4g} +- {self.error:.2g}{wanted}, n = {self.tables}"


def rate(what: str, where: str, values: ArrayLike, rule: Rule, wanted: float | None) -> Rate:
    """The mean of values of independent simulated sweeps.

    For yes and no the error is the binomial one at the wanted rate, or the observed spread if that is larger: a few
    sweeps that all agree have no spread, which says nothing. A share of many parts of one sweep, which are not
    independent, comes as one value per sweep.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    spread = float(array.std(ddof=1)) if array.size > 1 else 0.0
    is_share = wanted is not None and 0 < wanted < 1 and bool(np.isin(array, (0.0, 1.0)).all())
    if is_share and wanted is not None:
        spread = max(spread, float(np.sqrt(wanted * (1 - wanted))))
    error = spread / float(np.sqrt(max(array.size, 1)))
    return Rate(
        what=what, where=where, value=float(array.mean()), rule=rule, wanted=wanted, error=error, tables=array.size
    )


def table_of(rates: Sequence[Rate]) -> list[str]:
    """Lines of a Markdown table."""
    head = [
        "| what | where | measured | wanted | standard error | sweeps | |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    return head + [_line(one) for one in rates]


def _line(one: Rate) -> str:
    wanted = "" if one.wanted is None else f"{one.wanted:.3g}"
    words = {"equals": wanted, "shown": f"({wanted})" if wanted else ""}.get(one.rule, f"{one.rule} {wanted}")
    verdict = "**off**" if one.is_off else "" if one.rule == "shown" else "ok"
    return f"| {one.what} | {one.where} | {one.value:.4g} | {words} | {one.error:.2g} | {one.tables} | {verdict} |"
