"""Tables of scores for the tests of the statistics: the paper's, and random ones with planted effects."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAPER = Path(__file__).parent / "fixtures" / "paper" / "table1_cifar100_top1.csv"


def paper_table() -> tuple[NDArray[np.float64], tuple[str, ...], tuple[str, ...]]:
    """Top-1 in points of shape (20, 20), with the names of its rows and columns."""
    with PAPER.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    backbones = tuple(dict.fromkeys(row["backbone"] for row in rows))
    optimizers = tuple(dict.fromkeys(row["optimizer"] for row in rows))
    table = np.full((len(backbones), len(optimizers)), np.nan)
    for row in rows:
        table[backbones.index(row["backbone"]), optimizers.index(row["optimizer"])] = float(row["top1"])
    return table, backbones, optimizers


def planted(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    *,
    backbone: float = 3.0,
    optimizer: float = 2.0,
    interaction: float = 1.0,
    noise: float | NDArray[np.float64] = 1.0,
) -> NDArray[np.float64]:
    """Normal effects of these standard deviations around 70; `noise` may be one for each cell, shape (a, b)."""
    a, b, _ = shape
    effects = (
        backbone * rng.normal(size=(a, 1)) + optimizer * rng.normal(size=b) + interaction * rng.normal(size=(a, b))
    )
    return 70 + effects[:, :, np.newaxis] + rng.normal(size=shape) * np.broadcast_to(noise, (a, b))[:, :, np.newaxis]


def with_holes(rng: np.random.Generator, scores: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Scores with this share of the replicates missing."""
    return np.where(rng.uniform(size=scores.shape) < share, np.nan, scores)
