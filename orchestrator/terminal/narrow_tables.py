"""Tables that fit a terminal of 80 columns: no lines between columns, none empty, headings of one word a line."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NONE = "-"


def narrow_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, legend: Sequence[str] = ()
) -> RenderableType:
    """A table with its title above and what its columns mean below; nothing where there are no rows.

    Args:
        title: One line.
        columns: Headings.
        rows: A value for each column; None is undefined and shows as a dash, and a column that is undefined
            throughout is left out.
        legend: Sentences that explain columns. One that begins with a column's heading and a colon is left out with
            that column.
    """
    if not rows:
        return Group()
    kept = [place for place in range(len(columns)) if any(row[place] is not None for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for place in kept:
        texts = [str(row[place]) for row in rows if row[place] is not None]
        is_number = all(_is_number(text) for text in texts)
        table.add_column(
            "\n".join(columns[place].split()),
            justify="right" if is_number else "left",
            # Where room is short names are folded: a name may be continued on a further line, a number may not.
            min_width=max(map(len, texts)) if is_number else None,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(NONE if row[place] is None else str(row[place]) for place in kept))
    left_out = tuple(f"{name}:" for place, name in enumerate(columns) if place not in kept)
    explained = [sentence for sentence in legend if not sentence.startswith(left_out)] if left_out else list(legend)
    return Group(Text(""), Text(title, style="bold"), table, *(Text(sentence) for sentence in explained))


def bullets(sentences: Sequence[str]) -> RenderableType:
    """Sentences as a list whose further lines are indented."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    for sentence in sentences:
        grid.add_row("-", sentence)
    return Padding(grid, 0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
