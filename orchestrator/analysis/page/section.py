"""A part of the page: a heading, what to see, and plots that its HTML names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import altair as alt

from orchestrator.analysis.page import wording
from orchestrator.analysis.page.theme import LABEL_LIMIT

_CHART_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LETTERS = {"axis": 7.2, "legend": 7.2, "header": 8.6}
"""Pixels of a letter in labels, rather too many."""
Chart = alt.Chart | alt.LayerChart | alt.FacetChart


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """HTML, with an element `data-chart="NAME"` for each of its charts."""

    html: str = ""
    charts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Vega-Lite specifications by name: small letters, digits and hyphens, as a name is an element's ID in the page
    and a file's name among the figures."""

    def __post_init__(self) -> None:
        wrong = [name for name in self.charts if not _CHART_NAME.fullmatch(name)]
        assert not wrong, f"{wrong} cannot name charts"  # noqa: S101 - no name from outside may come so far


def section(
    title: str, caption: str, content: str = "", charts: Mapping[str, Mapping[str, Any]] | None = None
) -> Section:
    """A part with a heading.

    Args:
        title: Plain text.
        caption: Plain text: how to read what follows.
        content: HTML.
        charts: Vega-Lite specifications by the names in the content.
    """
    html = f'<section><h2>{escape(title)}</h2><p class="caption">{escape(caption)}</p>{content}</section>'
    return Section(html=html, charts=charts or {})


def plot(name: str) -> str:
    """The place of a chart in the HTML."""
    return f'<div class="plot" data-chart="{escape(name)}"></div>'


def spec(chart: Chart, description: str) -> dict[str, Any]:
    """A chart as a Vega-Lite specification, with what a screen reader says of it."""
    drawn = _shortened(wording.visible_strings(chart.to_dict()))
    return {**drawn, "description": description, "config": {}}


def _shortened(part: Any) -> Any:
    """A specification whose labels keep both ends of names that are too long for them."""
    if isinstance(part, list):
        return [_shortened(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: item if key in ("data", "datasets") else _shortened(item) for key, item in part.items()}
    if found.get("type") == "nominal":
        for guide in LETTERS.keys() & found.keys():
            if found[guide] is not None:
                letters = int(found[guide].get("labelLimit", LABEL_LIMIT) / LETTERS[guide])
                found[guide] = {"labelExpr": _both_ends(letters)} | found[guide]
    return found


def _both_ends(letters: int) -> str:
    """The same as `wording.short`, for the library."""
    kept = letters - 1
    ends = f"slice(datum.label, 0, {kept - kept // 2}) + '{wording.ELLIPSIS}' + slice(datum.label, -{kept // 2})"
    return f"length(datum.label) > {letters} ? {ends} : datum.label"
