"""Table 1 of the paper as an array, under the catalogue's names."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.backbones import full_name, get_backbone
from search_spaces.optimizers import full_optimizer_name, get_optimizer

PATH = Path(__file__).parent / "fixtures" / "paper" / "table1_cifar100_top1.csv"


@dataclass(frozen=True)
class PaperTable:
    """20 x 20 accuracies in percent."""

    backbones: tuple[str, ...]
    optimizers: tuple[str, ...]
    top1: NDArray[np.float64]

    @property
    def families(self) -> list[str]:
        return [get_backbone(name).family for name in self.backbones]

    @property
    def eras(self) -> list[str]:
        """Two groups: the 7 backbones of the families primary and classical, and the 13 modern ones."""
        return ["modern" if family == "modern" else "classical" for family in self.families]

    @property
    def categories(self) -> list[str]:
        return [get_optimizer(name).category for name in self.optimizers]


def paper_table() -> PaperTable:
    with PATH.open(encoding="utf-8") as file:
        cells = [
            (full_name(r["backbone"]), full_optimizer_name(r["optimizer"]), float(r["top1"]))
            for r in csv.DictReader(file)
        ]
    backbones = tuple(dict.fromkeys(cell[0] for cell in cells))
    optimizers = tuple(dict.fromkeys(cell[1] for cell in cells))
    top1 = np.full((len(backbones), len(optimizers)), np.nan)
    for backbone, optimizer, value in cells:
        top1[backbones.index(backbone), optimizers.index(optimizer)] = value
    return PaperTable(backbones=backbones, optimizers=optimizers, top1=top1)
