"""How much the results of one setting vary from seed to seed: by cell, by backbone and by optimizer."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.statistics.robustness.log_variance import FTest, RelativeSpread
from orchestrator.analysis.statistics.robustness.seed_variance import CellSpread, SeedVariance, seed_variance
from orchestrator.analysis.trials.cells import RowKey
from orchestrator.analysis.trials.score_table import ROLE_OF, ScoreTable, ScoreTables


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadOfSide:
    """Seed-to-seed spread of one backbone or optimizer."""

    name: str
    """The backbone, with the recipe where the sweep has several, or the optimizer."""
    sd: float
    """Pooled over its cells, in points; seeds that diverged count at chance."""
    df: int
    median_sd: float
    """Of its cells: not carried by the few in which a seed diverged."""
    cells: int
    """Cells with at least two seeds."""
    relative: RelativeSpread | None
    """Beside the others, in the cells in which no seed diverged; None where those do not allow a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadOfCell:
    """Seed-to-seed spread of one cell, in points."""

    backbone: str
    recipe: str
    optimizer: str
    spread: CellSpread


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadTests:
    """Pooled spread, and whether it is the same everywhere."""

    pooled_sd: float | None
    pooled_df: int
    median_sd: float | None
    """Of the cells."""
    brown_forsythe: FTest | None
    """All cells alike? With few seeds it hardly ever rejects, whatever is true."""
    backbones: FTest | None
    """Backbones alike? By the two-way analysis of log variances, which holds its level with few seeds."""
    optimizers: FTest | None
    dispersion: float | None
    """Of that analysis: 1 if spread is a backbone's times an optimizer's and results are normal, above it if not."""
    cells: int
    """Cells behind that analysis."""
    dropped_constant: int
    """Cells left out of it because all their results are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedAnswer:
    """Seed variance of the most trustworthy response that has repetitions."""

    response: str
    tests: SpreadTests
    tests_without_diverged: SpreadTests
    """The same without the cells in which a seed diverged: a mixture of chance and success is no noise."""
    cells: tuple[SpreadOfCell, ...]
    backbones: tuple[SpreadOfSide | None, ...]
    """In the order of the response's rows."""
    optimizers: tuple[SpreadOfSide | None, ...]

    def of_backbone(self, row: RowKey) -> SpreadOfSide | None:
        """That of one row; None if it has no cell with two seeds."""
        rows = list(dict.fromkeys((cell.backbone, cell.recipe) for cell in self.cells))
        key = (row.backbone, row.recipe)
        return self.backbones[rows.index(key)] if key in rows else None

    def of_optimizer(self, name: str) -> SpreadOfSide | None:
        """That of one optimizer; None if it has no cell with two seeds."""
        names = list(dict.fromkeys(cell.optimizer for cell in self.cells))
        return self.optimizers[names.index(name)] if name in names else None


def seed_answer(tables: ScoreTables) -> SeedAnswer | None:
    """The seed variance of the first of confirmed, imported and default that has two seeds in some cell."""
    for response in ROLE_OF:
        for table in tables.tables:
            if table.response == response and bool((np.isfinite(table.scores).sum(axis=2) > 1).any()):
                return _answer(table)
    return None


def _answer(table: ScoreTable) -> SeedAnswer:
    found = seed_variance(table.scores)
    steady = seed_variance(np.where(table.diverged[:, :, None] > 0, np.nan, table.scores))
    anova = steady.log_variance
    columns = list(zip(*found.cells, strict=True))
    return SeedAnswer(
        response=table.response,
        tests=_tests(found),
        tests_without_diverged=_tests(steady),
        cells=tuple(
            SpreadOfCell(backbone=row.backbone, recipe=row.recipe, optimizer=name, spread=spread)
            for row, spreads in zip(table.rows, found.cells, strict=True)
            for name, spread in zip(table.optimizers, spreads, strict=True)
        ),
        backbones=tuple(
            _side(row.label, found.cells[i], anova.by_row[i] if anova else None) for i, row in enumerate(table.rows)
        ),
        optimizers=tuple(
            _side(name, columns[i], anova.by_column[i] if anova else None) for i, name in enumerate(table.optimizers)
        ),
    )


def _tests(found: SeedVariance) -> SpreadTests:
    anova = found.log_variance
    return SpreadTests(
        pooled_sd=found.pooled_sd,
        pooled_df=found.pooled_df,
        median_sd=found.median_sd,
        brown_forsythe=found.brown_forsythe,
        backbones=anova.rows if anova else None,
        optimizers=anova.columns if anova else None,
        dispersion=anova.dispersion if anova else None,
        cells=anova.cells if anova else 0,
        dropped_constant=anova.dropped_constant if anova else 0,
    )


def _side(name: str, cells: tuple[CellSpread, ...], relative: RelativeSpread | None) -> SpreadOfSide | None:
    known = [(cell.n - 1, cell.sd) for cell in cells if cell.sd is not None]
    if not known:
        return None
    df = sum(number for number, _ in known)
    pooled = math.sqrt(math.fsum(number * sd**2 for number, sd in known) / df)
    median = statistics.median(sd for _, sd in known)
    return SpreadOfSide(name=name, sd=pooled, df=df, median_sd=median, cells=len(known), relative=relative)
