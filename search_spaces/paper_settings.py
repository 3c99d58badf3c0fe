"""The settings that the BOCB paper tuned on CIFAR-100, what follows for its other backbones, and its grid.

`paper_settings.csv` holds the paper's tuned values: a copy of its supplement's tables (arXiv 2410.06373; authors'
LaTeX, github.com/tianshijing/ScalingOpt), with names and numbers as printed. They were found with batches of 100
and 200 epochs. Fourteen of the paper's twenty backbones are there, and ResNet-101 twice: as such and with the DeiT
recipe.

A setting of one of the other six is *inferred*, for each optimizer, from the tuned ones of the same recipe (Table A1
of the paper):

- learning rate: their median; of an even number the lower of the two middle ones, so that it is one that was tuned;
- weight decay: the commonest one; of equally common ones the one commonest for that optimizer over all fourteen
  backbones, and of those the smallest.

For LARS, Sophia, RAdam, AdaBound and Adafactor the paper's released code computes something else than the published
algorithm. If the values were tuned with that code they belong to the `_released` form; both forms are given the same.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Literal

from search_spaces.errors import UserError
from search_spaces.paper_names import PAPER20, SHORT_NAMES
from search_spaces.paper_recipes import PAPER_FAMILY
from search_spaces.published_optimizers import SHORT_NAMES as OPTIMIZER_NAMES

WEIGHT_DECAYS = (0.0, 1e-8, 1e-6, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1)
"""Every weight decay that the paper's tuning ended at, in order; its grids are made of neighbours in this list."""
GRID_SIDE = 5
"""Learning rates, and weight decays, of the paper's grid."""
GRID_SIZE = GRID_SIDE**2
_LADDER = (Decimal(1), Decimal(2), Decimal(5))
_AROUND_A_POWER = tuple(map(Decimal, ("0.2", "0.5", "1", "2", "5")))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSetting:
    """A learning rate and a weight decay for one backbone and optimizer."""

    lr: float
    weight_decay: float
    source: Literal["paper", "inferred"]
    """Whether the paper tuned them, or they follow from those of other backbones."""


def paper_setting(backbone: str, optimizer: str) -> PaperSetting:
    """The paper's tuned setting of a pair or, for a backbone it published none for, the inferred one.

    Args:
        backbone: One of the paper's twenty, or resnet101.
        optimizer: One of the paper's twenty; `NAME_released` has the setting of `NAME`.

    Raises:
        UserError: The paper has no setting for the pair, and none can be inferred.
    """
    published = optimizer.removesuffix("_released")
    tuned = _tuned()
    if published not in {name for _, name in tuned}:
        known = ", ".join(dict.fromkeys(name for _, name in tuned))
        raise UserError(f"the paper tuned no setting of optimizer {optimizer}; it has settings for {known}")
    if (backbone, published) in tuned:
        lr, weight_decay = tuned[backbone, published]
        return PaperSetting(lr=lr, weight_decay=weight_decay, source="paper")
    if backbone not in PAPER20:
        raise UserError(
            f"the paper tuned no setting for backbone {backbone}; it has settings for resnet101 and the backbones of "
            f"paper20: {', '.join(PAPER20)}"
        )
    return _inferred(backbone, published)


def paper_grid(backbone: str, optimizer: str) -> tuple[PaperSetting, ...]:
    """The paper's own search for a pair: five learning rates by five weight decays around its setting.

    The learning rates are neighbours on the ladder 1, 2, 5, 10, 20, 50, ..., two below the tuned one and two above; a
    tuned one that is not on the ladder, such as 1.2, is multiplied by 1/5, 1/2, 1, 2 and 5. The weight decays are
    neighbours in `WEIGHT_DECAYS`, two below and two above, moved inwards where the list ends.

    The order is outwards from the tuned setting, which is the first: by the larger of the two distances in steps (the
    first nine are the 3 x 3 grid around it, if it is in the middle), then by their sum, then lower rates and lower
    decays first. So a shorter search is the beginning of a longer one. `source` is that of the setting in the middle.

    Raises:
        UserError: See `paper_setting`.
    """
    centre = paper_setting(backbone, optimizer)
    rates, decays = _rates_around(centre.lr), _decays_around(centre.weight_decay)
    middle = (rates.index(centre.lr), decays.index(centre.weight_decay))

    def place(cell: tuple[int, int]) -> tuple[int, int, int, int]:
        steps = (abs(cell[0] - middle[0]), abs(cell[1] - middle[1]))
        return max(steps), sum(steps), *cell

    cells = sorted(((row, column) for row in range(GRID_SIDE) for column in range(GRID_SIDE)), key=place)
    return tuple(
        PaperSetting(lr=rates[row], weight_decay=decays[column], source=centre.source) for row, column in cells
    )


@cache
def _tuned() -> Mapping[tuple[str, str], tuple[float, float]]:
    """Learning rate and weight decay by (backbone, optimizer), in our names; ResNet-101 with its own recipe."""
    text = files("search_spaces").joinpath("paper_settings.csv").read_text(encoding="utf-8")
    return {
        (SHORT_NAMES[row["backbone"]], OPTIMIZER_NAMES[row["optimizer"]]): (
            float(row["lr"]),
            float(row["weight_decay"]),
        )
        for row in csv.DictReader(text.splitlines())
        if row["backbone"] in SHORT_NAMES
    }


def _inferred(backbone: str, optimizer: str) -> PaperSetting:
    tuned = {member: _tuned()[member, optimizer] for member in PAPER20 if (member, optimizer) in _tuned()}
    related = [setting for member, setting in tuned.items() if PAPER_FAMILY[member] == PAPER_FAMILY[backbone]]
    return PaperSetting(
        lr=statistics.median_low([lr for lr, _ in related]),
        weight_decay=_commonest(
            [weight_decay for _, weight_decay in related], among=[weight_decay for _, weight_decay in tuned.values()]
        ),
        source="inferred",
    )


def _commonest(values: Sequence[float], among: Sequence[float]) -> float:
    return min(values, key=lambda value: (-values.count(value), -among.count(value), value))


def _rates_around(lr: float) -> list[float]:
    centre = Decimal(repr(lr))
    power = Decimal(10) ** centre.adjusted()
    mantissa = centre / power
    if mantissa not in _LADDER:
        return [float(centre * factor) for factor in _AROUND_A_POWER]
    ladder = [power * scale * step for scale in (Decimal("0.1"), Decimal(1), Decimal(10)) for step in _LADDER]
    middle = ladder.index(centre)
    return [float(rate) for rate in ladder[middle - 2 : middle + 3]]


def _decays_around(weight_decay: float) -> tuple[float, ...]:
    middle = WEIGHT_DECAYS.index(weight_decay)
    first = min(max(middle - GRID_SIDE // 2, 0), len(WEIGHT_DECAYS) - GRID_SIDE)
    return WEIGHT_DECAYS[first : first + GRID_SIDE]
