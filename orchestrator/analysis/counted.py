"""A number and its noun, as every sentence of the analysis has them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 cell", "1,200 cells"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
