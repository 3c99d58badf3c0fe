"""The paper's tables that tests compare with; where they come from is in fixtures/README.md."""

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


def table1() -> NDArray[np.float64]:
    """Table 1: top-1 accuracy in %, shape (20, 20)."""
    return grid(read(FOLDER / "table1_cifar100_top1.csv"), "top1").astype(np.float64)
