"""Columns of the paper's tables under its own names; where they come from is in fixtures/README.md."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "fixtures" / "paper"
SETTINGS = Path(__file__).parent.parent / "search_spaces" / "paper_settings.csv"


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def grid(rows: list[dict[str, str]], column: str) -> NDArray[np.str_]:
    """One column as a table (backbones, optimizers), both in the order of the file, in which no pair is missing."""
    backbones, optimizers = (list(dict.fromkeys(row[name] for row in rows)) for name in ("backbone", "optimizer"))
    found = {(row["backbone"], row["optimizer"]): row[column] for row in rows}
    return np.array([[found[backbone, optimizer] for optimizer in optimizers] for backbone in backbones])
