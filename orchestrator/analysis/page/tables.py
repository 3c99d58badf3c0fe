"""Tables of the page: beside every plot the same numbers, for those who cannot see it or want to copy from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from orchestrator.analysis.page import wording
from orchestrator.analysis.page.document import json_text

LONG = 500
"""Rows from which a table would make the page slow to open."""


def table(caption: str, text: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of plain strings, all escaped.

    Args:
        caption: What it shows.
        text: Headings of the first columns, aligned left.
        numbers: Headings of the remaining columns, aligned right.
        rows: As many strings each as there are headings; the first one is the row's heading. Of more than `LONG` rows
            the page gets the strings alone, and makes rows of them when the table is first seen.
    """
    rows = list(rows)
    head = [f'<th scope="col">{escape(name)}</th>' for name in text]
    head += [f'<th scope="col" class="number">{escape(name)}</th>' for name in numbers]
    late = ""
    if len(rows) > LONG:
        late = f'<script type="application/json" class="rows">{json_text(wording.visible_strings(rows))}</script>'
    kinds = ["<td>"] * len(text) + ['<td class="number">'] * len(numbers)
    body = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"{kind}{escape(value)}</td>" for kind, value in zip(kinds[1:], rest, strict=True))
        + "</tr>"
        for first, *rest in ([] if late else rows)
    ]
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{''.join(head)}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>{late}"
    )


def folded(summary: str, content: str) -> str:
    """A table that opens on a click."""
    return (
        f'<details class="table"><summary>{escape(summary)}</summary>'
        f'<div class="scroll" role="region" aria-label="{escape(summary)}" tabindex="0">{content}</div></details>'
    )


def shown(summary: str, content: str) -> str:
    """A table that stands open on the page, and scrolls where there is no room for it."""
    return f'<div class="scroll" role="region" aria-label="{escape(summary)}" tabindex="0">{content}</div>'
