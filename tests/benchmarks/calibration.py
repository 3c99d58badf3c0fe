"""Rates of every estimate on sweeps with a planted truth: how often intervals cover, tests reject, claims are false.

`make calibrate` measures them and keeps the table (some 8 minutes on one core); the test suite does so in short.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.coupling_rates import SIGMAS, coupling_rates, statistics_rates
from tests.benchmarks.decision_rates import claim_rates, gain_rates, map_rates
from tests.benchmarks.divergence_rates import interval_rates, level_rates
from tests.benchmarks.machine import machine
from tests.benchmarks.planted_landscapes import SPREADS
from tests.benchmarks.planted_tables import NOISES, Plant
from tests.benchmarks.rates import STANDARD_ERRORS, Rate, table_of
from tests.benchmarks.trainer_rates import trainer_rates
from tests.benchmarks.tuning_rates import budget_rates, curve_rates, sharing_rates

PACKAGES = ("numpy", "scipy", "opda")
SEED = 20_000
"""Other than the test suite's, so that the two are independent."""
SIZES = ((6, 5), (20, 20))

INTRODUCTION = f"""\
Sweeps with a planted truth go through the analysis, and what it says is compared with that truth. A line is **off**
where it misses by more than {STANDARD_ERRORS:g} standard errors of the simulation. In brackets: a true value that an
estimate is not claimed to meet on average. "above" stands where a statistic is known to fail, and is seen to.
Lines marked (statistics) call the statistics themselves, on more tables. Scores are in percentage points, and the
noise of a cell has a standard deviation of 1 unless the line says otherwise."""

LIMITS = """\
## Limits that these rates show

- `p_wild` is not exact: where a few cells hold nearly all the noise, or in tables of a dozen cells of very unequal
  noise, it rejects in up to 8 % of null sweeps at a nominal 5 %. Where one cell of 16 does, it rejects in 10 to 13 %,
  and sees little of an interaction. `p_f` rejects in 10 to 35 %.
- Claims and the residual map borrow variance from other cells. An unstable cell whose few replicates agree by chance
  is not recognised: with five cells of tenfold noise among 400 and three replicates, about every ninth null sweep has
  a false claim and a false cell in the map; with two replicates nearly every second has such a cell. The false share
  of discoveries among true ones, and the lead's interval, keep their levels.
- The coupling gain is about 0 where nothing differs, and below 0 without coupling where optimizers differ a little:
  to choose for each backbone by few replicates then costs more than it is worth. Its interval covers 92 to 94 %.
- `index` is a ratio cut at 0: too high on average in small tables where the interaction is small beside the noise.
- C(n) from a Sobol design of 16 points comes out a quarter too small at the worst n, of 32 an eighth, of 64 less:
  neighbours differ by the landscape too, and by most where trials diverge. Its interval may then miss the truth.
- A tuning curve from a Sobol design is a little too high (0.1 points here); its bands are wider than they say.
- Firth's standard errors take the trials of a cell as independent: where they end alike, 1.96 of them cover far less.
- The learning rate of the best bin is as exact as its bins are wide: a fifth of a decade off here. `lr_width` comes
  out a quarter too narrow where noise is as large as the regret it allows: the best of all is picked for its luck,
  and the best of a bin is seldom tuned in everything else.
"""


def coupling_part(share: float) -> list[Rate]:
    """Planted interaction and none, in whole and holed tables, and noise of every kind."""
    rates = []
    for rows, columns in SIZES:
        is_small = rows < 10
        for sigma in SIGMAS:
            plant = Plant(rows=rows, columns=columns, interaction=sigma)
            rates += coupling_rates(plant, times(100 if is_small else 8, share), SEED)
            rates += statistics_rates(plant, times(2000 if is_small else 500, share), SEED + 1)
        for layout in ("missing", "unequal"):
            for sigma in (0.0, 0.5):
                plant = Plant(rows=rows, columns=columns, interaction=sigma, layout=layout)  # type: ignore[arg-type]
                rates += coupling_rates(plant, times(60 if is_small else 4, share), SEED + 2)
                rates += statistics_rates(plant, times(600 if is_small else 150, share), SEED + 3)
    for rows, columns, replicates in ((4, 4, 5), (6, 5, 3), (20, 20, 3), (20, 20, 5)):
        for noise in NOISES[1:]:
            plant = Plant(rows=rows, columns=columns, replicates=replicates, noise=noise)
            rates += statistics_rates(plant, times(1000, share), SEED + 4)
    for replicates in (2, 3):
        for sigma in (0.0, 1.0):
            plant = Plant(rows=4, columns=4, replicates=replicates, noise="one", interaction=sigma)
            rates += statistics_rates(plant, times(1000, share), SEED + 14)
    return rates


def decision_part(share: float) -> list[Rate]:
    """Gain, leads, claims and residual maps."""
    rates = []
    for optimizer, sigma in ((0.0, 0.0), (1.0, 0.0), (0.0, 0.5), (1.0, 1.0)):
        plant = Plant(rows=20, columns=20, optimizer=optimizer, interaction=sigma)
        rates += gain_rates(plant, times(1000, share), SEED + 5)
    for effect in (0.0, 1.0):
        for noise in NOISES:
            for rows, columns in SIZES:
                plant = Plant(rows=rows, columns=columns, optimizer=effect, interaction=effect, noise=noise)
                rates += claim_rates(plant, times(300, share), SEED + 6)
    for noise in NOISES:
        for size in ((6, 5, 3), (10, 10, 3), (20, 20, 3), (20, 20, 2)):
            rates += map_rates(size, noise, times(400, share), SEED + 7)
    return rates


def tuning_part(share: float) -> list[Rate]:
    """Tuning curves, volumes, sharing, and C(n)."""
    rates = []
    for spread in SPREADS:
        for noise in (0.1, 0.5):
            rates += curve_rates(times(400, share), 32, spread, noise, SEED + 8)
    rates += sharing_rates(times(100, share), 0.5, SEED + 9)
    for points in (16, 32, 64):
        for coupling in (0.0, 1.0):
            rates += budget_rates((8, 6), times(60, share), points, coupling, 0.5, SEED + 10)
    return rates


def divergence_part(share: float) -> list[Rate]:
    """Divergence."""
    rates = []
    for probability in (0.02, 0.1, 0.5):
        rates += interval_rates(probability, times(600, share), SEED + 11)
    for alike, backbones in ((0.0, 0.0), (2.0, 0.0), (0.0, 1.0)):
        rates += level_rates(times(200, share), SEED + 12, alike=alike, backbones=backbones)
    return rates


def trainer_part(share: float) -> list[Rate]:
    """The synthetic trainer."""
    return trainer_rates(times(12, share), SEED + 13)


PARTS: tuple[tuple[str, Callable[[float], list[Rate]]], ...] = (
    ("Coupling", coupling_part),
    ("Gain, leads, claims and the residual map", decision_part),
    ("Sensitivity to tuning, and coupling against budget", tuning_part),
    ("Divergence", divergence_part),
    ("Whole sweeps of the synthetic trainer", trainer_part),
)


def times(number: int, share: float) -> int:
    """So many sweeps, or a share of them."""
    return max(2, round(number * share))


def page(parts: Sequence[tuple[str, Sequence[Rate]]], seconds: float) -> str:
    """The measured rates as Markdown."""
    every = [one for _, rates in parts for one in rates]
    judged, off = sum(one.rule != "shown" for one in every), sum(one.is_off for one in every)
    lines = [
        "# How often the analysis is right", "",
        f"Made by `make calibrate` in {seconds / 60:.0f} minutes on one core. {machine(PACKAGES)}.", "",
        INTRODUCTION, "",
        f"Judged: {judged} rates, of which off: {off}. Only shown: {len(every) - judged}.", "",
        LIMITS,
    ]  # fmt: skip
    for title, rates in parts:
        lines += [f"## {title}", "", *table_of(rates), ""]
    return "\n".join(lines)


def main() -> None:
    """Measures everything and prints the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="Of the sweeps that the kept table rests on.")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    began = time.monotonic()
    parts = [(title, part(options.share)) for title, part in PARTS]
    text = page(parts, time.monotonic() - began)
    print(text)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
