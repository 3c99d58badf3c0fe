"""Colours and sizes of the plots.

Text and lines of the plots are `currentColor`, so that one drawing follows the page into dark mode and onto paper.
Palettes are colour-blind safe: viridis for accuracy, from orange to purple for residuals. Those of optimizers, of
states and of parts are as far apart as can be for normal, protan and deutan eyes among colours that stand out (3 : 1
and more) from white and from the dark page alike.
"""

from __future__ import annotations

from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
FIGURE_FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif"
"""Of figures in files. vl-convert carries Liberation Sans, whose widths are Arial's: labels fit on any machine."""
FIGURE_INK = "#1c2330"
PAGE_WIDTH = 1120
"""Pixels that a plot may take: what a laptop of 1280 leaves."""
LABEL_LIMIT = 170
"""Pixels that a label may take."""

OPTIMIZER_COLOURS = ("#6485ff", "#bc370b", "#21a67a", "#2c6f6f", "#5959c8", "#e9640b", "#0090b1")
OPTIMIZER_DASHES: tuple[list[int], ...] = ([], [6, 3], [2, 2], [8, 2, 2, 2])
STATE_COLOURS = {"COMPLETE": "#4070ae", "DIVERGED": "#c18a00", "PRUNED": "#919191", "FAIL": "#c8191e"}
RESIDUAL_COLOURS = ["#7f3b08", "#c2700f", "#eda552", "#f8d9b0", "#f7f6f4", "#cfd3ea", "#9a92c9", "#6650a0", "#2d004b"]
PART_COLOURS = {
    "backbone": "#21a0ad",
    "optimizer": "#6477db",
    "interaction": "#bd3615",
    "interaction and noise": "#a79058",
    "noise": "#6d6f70",
}
"""Parts of the variance."""
CHOICE_COLOURS = {"best": OPTIMIZER_COLOURS[0], "generalist": PART_COLOURS["interaction"]}
"""The best optimizer of a backbone, and the best single one."""
LIGHT_INK, DARK_INK = "#ffffff", "#050608"
"""Ink on coloured squares: on any colour one of the two has a contrast of 4.5 : 1."""

_LINE = "currentColor"

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _LINE,
        "titleColor": _LINE,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titleOpacity": 0.75,
        "labelOpacity": 0.9,
        "gridColor": _LINE,
        "gridOpacity": 0.12,
        "domainColor": _LINE,
        "domainOpacity": 0.35,
        "tickColor": _LINE,
        "tickOpacity": 0.35,
        "labelLimit": LABEL_LIMIT,
    },
    "legend": {
        "labelColor": _LINE,
        "titleColor": _LINE,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelLimit": LABEL_LIMIT,
    },
    "header": {"labelColor": _LINE, "labelFontSize": 12, "labelFontWeight": 600, "labelPadding": 4, "title": None},
    "title": {"color": _LINE},
}
"""Vega-Lite configuration that all plots share."""


def text_width(names: list[str], limit: int = LABEL_LIMIT) -> int:
    """Pixels that the longest of some labels takes at 11 px, at most `limit`."""
    return min(limit, round(6.4 * max((len(name) for name in names), default=0)) + 8)


def clamp(value: float, low: int, high: int) -> int:
    """The nearest whole number of pixels between two bounds."""
    return int(max(low, min(high, value)))
