"""The page's charts as files for papers and slides: SVG, PDF and PNG, without a browser or a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import vl_convert

from orchestrator.analysis.page.document import VEGA_LITE
from orchestrator.analysis.page.theme import CONFIG, FIGURE_FONT, FIGURE_INK
from orchestrator.analysis.page.whole_files import write_whole
from orchestrator.errors import UsageError

PNG_SCALE = 2
"""Pixels of a PNG for each of the page's."""

_SVG = "http://www.w3.org/2000/svg"


def draw(chart: Mapping[str, Any]) -> dict[str, bytes]:
    """One chart, in the light theme, by file name suffix.

    Args:
        chart: A Vega-Lite specification. What a reader would click keeps its first state.
    """
    config = {**CONFIG, "background": "white", "font": FIGURE_FONT}
    svg = vl_convert.vegalite_to_svg(dict(chart), vl_version=VEGA_LITE, config=config, allowed_base_urls=[])
    svg = _for_print(svg, title=str(chart["description"]))
    return {
        "svg": svg.encode(),
        "pdf": vl_convert.svg_to_pdf(svg),
        "png": vl_convert.svg_to_png(svg, scale=PNG_SCALE),
    }


def write_figures(charts: Mapping[str, Mapping[str, Any]], folder: Path) -> tuple[Path, ...]:
    """Writes each chart as `NAME.svg`, `NAME.pdf` and `NAME.png`.

    Args:
        charts: Specifications by name; see `Section` for what a name may be.
        folder: An existing one. Files of these names are replaced whole or not at all; others stay.

    Raises:
        UsageError: A file cannot be written.
    """
    files = {
        folder / f"{name}.{suffix}": content
        for name, chart in charts.items()
        for suffix, content in draw(chart).items()
    }
    try:
        write_whole(files)
    except OSError as error:
        raise UsageError(
            f"figures cannot be written into {folder}: {error.strerror}; choose another folder with --figures"
        ) from error
    return tuple(files)


def _for_print(svg: str, title: str) -> str:
    """Says in plain SVG what only browsers understand, and gives the picture its name."""
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)  # noqa: S314 - drawn just now, not fetched
    for element in root.iter():
        for paint in ("fill", "stroke"):
            # Outside a page many programs do not know the page's colour.
            if element.get(paint) == "currentColor":
                element.set(paint, FIGURE_INK)
    name = ElementTree.Element(f"{{{_SVG}}}title")
    name.text = title
    root.insert(0, name)
    return ElementTree.tostring(root, encoding="unicode")
