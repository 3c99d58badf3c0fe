"""Table 1 of the paper as an array, under the catalogue's names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.backbones import full_name, get_backbone
from search_spaces.optimizers import full_optimizer_name, get_optimizer
from tests import score_examples


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
    top1, backbones, optimizers = score_examples.paper_table()
    return PaperTable(
        backbones=tuple(full_name(name) for name in backbones),
        optimizers=tuple(full_optimizer_name(name) for name in optimizers),
        top1=top1,
    )
