"""Everything that a sweep's trials say, as one record: what `bocb analyze` prints and the page draws."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.analysis.answers.budget import CouplingByBudget, coupling_by_budget
from orchestrator.analysis.answers.cells import CellAnswer, cell_answers
from orchestrator.analysis.answers.contrasts import ContrastAnswer, contrast_answer
from orchestrator.analysis.answers.coupling import coupling_section
from orchestrator.analysis.answers.coupling_records import CouplingSection
from orchestrator.analysis.answers.failures import FailureAnswer, failure_answer
from orchestrator.analysis.answers.optimizers import OptimizerSensitivity, optimizer_sensitivities
from orchestrator.analysis.answers.paper_way import paper_way
from orchestrator.analysis.answers.paper_way_records import PaperWay
from orchestrator.analysis.answers.ranks import RankAnswer, rank_answer
from orchestrator.analysis.answers.regret import RegretAnswer, regret_answer
from orchestrator.analysis.answers.robustness import robustness
from orchestrator.analysis.answers.robustness_records import Robustness
from orchestrator.analysis.answers.sensitivity import sensitivity
from orchestrator.analysis.answers.sensitivity_records import CellSensitivity
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.roles import trials_of_role
from orchestrator.analysis.trials.score_table import Exclusion
from orchestrator.analysis.trials.score_tables import score_tables
from orchestrator.analysis.trials.sweep_data import SweepData

UNIT = "percentage points"


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The answers about one sweep; accuracies in percentage points, rank 1 is best, None is undefined."""

    sweep: str
    unit: str
    seed: int
    """Of every random draw: the same seed gives the same numbers."""
    trials_planned: int | None
    trials_ended: int
    response: str | None
    """Of the headline: what `coupling`, `ranks`, `regret` and `contrasts` are about; None without two backbones and
    two optimizers that have results."""
    cells: tuple[CellAnswer, ...]
    failures: FailureAnswer
    coupling: CouplingSection
    coupling_by_budget: CouplingByBudget
    """C(n): the coupling that is left when every cell is tuned with n points of the shared design."""
    ranks: RankAnswer | None
    regret: RegretAnswer | None
    contrasts: ContrastAnswer | None
    sensitivity: tuple[CellSensitivity, ...]
    optimizers: tuple[OptimizerSensitivity, ...]
    robustness: Robustness
    excluded: tuple[Exclusion, ...]


def analyse(data: SweepData, *, seed: int = 0) -> Analysis:
    """The answers about one sweep, whether it has ended or not.

    Args:
        data: See `load_sweep`.
        seed: Of resampling and of the random sets of design points.
    """
    trials, grid = data.trials, data.facts.grid
    tables = score_tables(trials, grid=grid, rng=_stream(seed, "score tables"))
    head = tables.headline
    sensitive = sensitivity(trials, grid=grid, rng=_stream(seed, "sensitivity"))
    design = trials_of_role(trials, "design").trials
    widths = {
        CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer): cell.lr_width
        for cell in sensitive.cells
        if cell.lr_width is not None
    }
    return Analysis(
        sweep=data.sweep,
        unit=UNIT,
        seed=seed,
        trials_planned=data.planned,
        trials_ended=len(trials),
        response=head.response if head else None,
        cells=cell_answers(tables.tables),
        failures=failure_answer(trials, grid=grid, rng=_stream(seed, "failures")),
        coupling=coupling_section(tables, seed=seed),
        coupling_by_budget=coupling_by_budget(design, grid=grid, rng=_stream(seed, "budget")),
        ranks=rank_answer(head) if head else None,
        regret=regret_answer(head, rng=_stream(seed, "regret")) if head else None,
        contrasts=contrast_answer(head, rng=_stream(seed, "contrasts")) if head else None,
        sensitivity=sensitive.cells,
        optimizers=optimizer_sensitivities(design, sensitive.cells, grid=grid, rng=_stream(seed, "optimizers")),
        robustness=robustness(
            trials, tables, grid=grid, lr_widths=widths, layers=data.layers, corruptions=data.corruptions
        ),
        excluded=(*tables.excluded, *_superseded(data.superseded), *_only_in(sensitive.excluded, tables.excluded)),
    )


def analyse_as_paper(data: SweepData) -> PaperWay | None:
    """One sweep by the paper's own statistics; None without two backbones and two optimizers that have results."""
    tables = score_tables(data.trials, grid=data.facts.grid, rng=_stream(0, "score tables"))
    return paper_way(data.trials, tables)


def _stream(seed: int, section: str) -> np.random.Generator:
    """A generator of its own for each section, so that a change of one moves no number of another."""
    return np.random.default_rng([seed, zlib.crc32(section.encode())])


def _superseded(count: int) -> tuple[Exclusion, ...]:
    why = "the spec no longer has them, or their setting is no longer among the best of its cell"
    return (Exclusion(response="all", what="superseded trials", count=count, why=why),) if count else ()


def _only_in(found: Sequence[Exclusion], known: Sequence[Exclusion]) -> tuple[Exclusion, ...]:
    said = {(one.what, one.count) for one in known}
    return tuple(one for one in found if (one.what, one.count) not in said)
