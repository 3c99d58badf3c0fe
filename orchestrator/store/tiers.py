"""Which compacted files a compaction rewrites, so that a row is rewritten few times and files stay few.

Files fall into tiers by their number of rows, each `FANOUT` times the one below. A new file takes all files of its
tier and of those below with it as soon as there are `FANOUT` of them together, so that a tier never holds `FANOUT`
files and a row is rewritten once per tier: both grow with the logarithm of the table.
"""

from __future__ import annotations

from collections.abc import Mapping

FANOUT = 4


def files_to_merge(rows: Mapping[str, int], new_rows: int, *, limit: int) -> list[str]:
    """Names of the files to merge with rows that are about to be written.

    Args:
        rows: Rows of each compacted file.
        new_rows: How many rows are about to be written.
        limit: Merged files hold at most so many rows, for a merge's time and memory are to have a bound.
    """
    chosen: list[str] = []
    total = new_rows
    while True:
        ceiling = _tier_ceiling(total)
        fitting = []
        for name in sorted(rows, key=lambda name: (rows[name], name)):
            if name not in chosen and rows[name] < ceiling and total + rows[name] <= limit:
                fitting.append(name)
                total += rows[name]
        if len(fitting) < FANOUT - 1:
            return chosen
        chosen += fitting


def _tier_ceiling(rows: int) -> int:
    """The number of rows at which the next tier begins."""
    ceiling = FANOUT
    while ceiling <= rows:
        ceiling *= FANOUT
    return ceiling
