"""Two sweeps side by side, say a paper's table and one's own: how far apart their cells are, and what they agree on.

Differences are the second sweep minus the first, in percentage points, and of cells that both have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.answers.comparison_records import (
    BackboneDifference,
    CellDifference,
    CellName,
    Comparison,
    Couplings,
    OptimizerDifference,
    Side,
    SideCoupling,
    Summary,
)
from orchestrator.analysis.answers.coupling import coupling_of
from orchestrator.analysis.statistics.correlation import pearson
from orchestrator.analysis.statistics.paired_tables import (
    OrderAgreement,
    mean_difference,
    order_agreement,
    welch_differences,
)
from orchestrator.analysis.statistics.replicates import tied
from orchestrator.analysis.trials.cells import RowKey
from orchestrator.analysis.trials.matched_tables import MatchedTables, match_tables
from orchestrator.analysis.trials.score_table import DEFAULT, ROLE_OF, ScoreTable
from orchestrator.analysis.trials.score_tables import score_tables
from orchestrator.analysis.trials.sweep_data import SweepData
from orchestrator.errors import UsageError
from orchestrator.store.schema import TrialRow

NOT_RECORDED = "not recorded"


def compare_sweeps(first: SweepData, second: SweepData, *, seed: int = 0) -> Comparison:
    """Compares the headline responses of two sweeps, cell by cell: see `match_tables`.

    Args:
        first: A sweep.
        second: Another one.
        seed: Of the bootstrap of each sweep's coupling.

    Raises:
        UsageError: One of them has no result to compare, or they have no cell in common.
    """
    tables = _response(first), _response(second)
    matched = match_tables(*tables)
    if not matched.has_cells:
        raise UsageError(
            f"sweeps {first.sweep} and {second.sweep} have no cell in common: {_names(first.sweep, tables[0])}; "
            f"{_names(second.sweep, tables[1])}"
        )
    sides = _side(first, tables[0]), _side(second, tables[1])
    order = order_agreement(matched.a.means, matched.b.means)
    cells, backbones = _cells(matched), _backbones(matched, order)
    return Comparison(
        a=sides[0],
        b=sides[1],
        warnings=_warnings(*sides),
        summary=_summary(matched, order, backbones),
        coupling=Couplings(a=_coupling(matched.a, seed), b=_coupling(matched.b, seed)),
        backbones=backbones,
        optimizers=_optimizers(matched),
        cells=cells,
        only_a=_only(tables[0], {(cell.backbone, cell.recipe_a, cell.optimizer) for cell in cells}),
        only_b=_only(tables[1], {(cell.backbone, cell.recipe_b, cell.optimizer) for cell in cells}),
    )


def _response(sweep: SweepData) -> ScoreTable:
    # The generator draws design points, whose responses are not compared.
    tables = score_tables(sweep.trials, grid=sweep.facts.grid, rng=np.random.default_rng(0))
    scored = {table.response: table for table in tables.tables if np.isfinite(table.scores).any()}
    chosen = tables.headline or next((scored[name] for name in ROLE_OF if name in scored), None)
    if chosen is None:
        raise UsageError(
            f"sweep {sweep.sweep} has no result to compare: it needs confirm, default or imported trials with a score"
        )
    return chosen


def _cells(matched: MatchedTables) -> tuple[CellDifference, ...]:
    a, b = matched.a, matched.b
    welch = welch_differences(a.scores, b.scores)
    means, counts = (a.means, b.means), [np.isfinite(table.scores).sum(axis=2) for table in (a, b)]
    return tuple(
        CellDifference(
            backbone=a.rows[row].backbone,
            recipe_a=a.rows[row].recipe,
            recipe_b=b.rows[row].recipe,
            optimizer=a.optimizers[column],
            mean_a=float(means[0][row, column]),
            mean_b=float(means[1][row, column]),
            n_a=int(counts[0][row, column]),
            n_b=int(counts[1][row, column]),
            difference=float(welch.difference[row, column]),
            low=_known(welch.low[row, column]),
            high=_known(welch.high[row, column]),
        )
        for row, column in zip(*np.nonzero(np.isfinite(welch.difference)), strict=True)
    )


def _backbones(matched: MatchedTables, order: OrderAgreement) -> tuple[BackboneDifference, ...]:
    rows = zip(matched.a.rows, matched.a.means, matched.b.means, order.kendall, strict=True)
    found = [_backbone(key, first, second, matched.a.optimizers, kendall) for key, first, second, kendall in rows]
    return tuple(one for one in found if one is not None)


def _backbone(
    key: RowKey,
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    optimizers: Sequence[str],
    kendall: float | None,
) -> BackboneDifference | None:
    """One row of the two tables; None where they have nothing in common there."""
    difference = mean_difference(second - first)
    if difference is None:
        return None
    best_a, best_b = _best(first, optimizers), _best(second, optimizers)
    return BackboneDifference(
        backbone=key.label,
        difference=difference,
        kendall=kendall,
        best_a=best_a,
        best_b=best_b,
        same_best=bool(set(best_a) & set(best_b)),
        lost_a=_lost(first, optimizers, best_b),
        lost_b=_lost(second, optimizers, best_a),
    )


def _best(means: NDArray[np.float64], optimizers: Sequence[str]) -> tuple[str, ...]:
    """Several where they are equal but for the order of summation."""
    means = tied(means)
    return tuple(name for name, mean in zip(optimizers, means, strict=True) if mean == np.nanmax(means))


def _lost(means: NDArray[np.float64], optimizers: Sequence[str], chosen: Sequence[str]) -> float:
    """Points that the best of the chosen is below the best of all."""
    known = dict(zip(optimizers, means, strict=True))
    return float(np.nanmax(means) - max(known[name] for name in chosen))


def _optimizers(matched: MatchedTables) -> tuple[OptimizerDifference, ...]:
    columns = zip(matched.a.optimizers, (matched.b.means - matched.a.means).T, strict=True)
    found = [(name, mean_difference(differences)) for name, differences in columns]
    return tuple(OptimizerDifference(optimizer=name, difference=mean) for name, mean in found if mean is not None)


def _summary(matched: MatchedTables, order: OrderAgreement, backbones: Sequence[BackboneDifference]) -> Summary:
    over_cells = mean_difference(matched.b.means - matched.a.means)
    over_backbones = mean_difference(np.array([row.difference.mean for row in backbones]))
    assert over_cells is not None, "a cell in common was asked for"  # noqa: S101 - our own invariant
    assert over_backbones is not None, "as above"  # noqa: S101 - our own invariant
    several = [row for row in backbones if row.difference.n > 1]
    return Summary(
        over_cells=over_cells,
        over_backbones=over_backbones,
        correlation=pearson(matched.a.means, matched.b.means),
        spearman_of_mean_ranks=order.spearman_of_mean_ranks,
        ranked_backbones=order.rows,
        mean_kendall=order.mean_kendall,
        same_best=sum(row.same_best for row in several),
        compared_best=len(several),
    )


def _coupling(table: ScoreTable, seed: int) -> SideCoupling:
    found = coupling_of(table, seed=seed)
    return SideCoupling(
        share=found.share,
        index=found.index,
        noise_separated=found.noise_separated,
        omega2=found.omega2,
        p_wild=found.p_wild,
        note=found.note,
    )


def _only(table: ScoreTable, common: set[tuple[str, str, str]]) -> tuple[CellName, ...]:
    """Cells with a score that the other sweep has none for."""
    return tuple(
        CellName(backbone=row.backbone, recipe=row.recipe, optimizer=optimizer)
        for place, row in enumerate(table.rows)
        for column, optimizer in enumerate(table.optimizers)
        if np.isfinite(table.scores[place, column]).any() and (row.backbone, row.recipe, optimizer) not in common
    )


def _side(sweep: SweepData, table: ScoreTable) -> Side:
    trials = [trial for trial in sweep.trials if trial.role == ROLE_OF[table.response]]
    return Side(
        sweep=sweep.sweep,
        response=table.response,
        cells=int(np.isfinite(table.scores).any(axis=2).sum()),
        dataset=_listed(trials, lambda trial: trial.dataset),
        epochs=_listed(trials, lambda trial: str(trial.epochs_planned or NOT_RECORDED)),
        recipe=_listed(trials, lambda trial: trial.recipe),
        score_rule=_listed(trials, lambda trial: trial.score_rule),
    )


def _listed(trials: Sequence[TrialRow], read: Callable[[TrialRow], str]) -> str:
    return ", ".join(sorted({read(trial) for trial in trials}))


def _warnings(first: Side, second: Side) -> tuple[str, ...]:
    """What should be equal and is not."""
    rows = (
        ("The data sets", first.dataset, second.dataset),
        ("The epochs", first.epochs, second.epochs),
        ("The recipes", first.recipe, second.recipe),
        ("The rules of the score", first.score_rule, second.score_rule),
    )
    said = [
        f"{what} differ: {one} in {first.sweep}, {other} in {second.sweep}."
        for what, one, other in rows
        if one != other
    ]
    if (first.response == DEFAULT) != (second.response == DEFAULT):
        untuned = first if first.response == DEFAULT else second
        said.append(f"In {untuned.sweep} nothing was tuned: its numbers are those of default settings.")
    return tuple(said)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _names(sweep: str, table: ScoreTable) -> str:
    backbones = ", ".join(dict.fromkeys(row.backbone for row in table.rows))
    return f"{sweep} has {backbones[:120]} with {', '.join(table.optimizers)[:120]}"
