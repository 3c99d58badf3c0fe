"""A part of the page: a heading, what to see, and plots that its HTML names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import altair as alt

from orchestrator.analysis.page import wording

_CHART_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
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
    return {**wording.visible_strings(chart.to_dict()), "description": description, "config": {}}
