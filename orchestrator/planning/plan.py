"""What a spec asks for: cells, the trials of each, and an identity for every one of them before anything runs.

`default` and `design` trials follow from the spec alone; `tune` trials from the design and the tune trials before
them, or from the spec alone where they are the paper's grid; `confirm` trials from the best of both. How many there
are of each is known in advance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache

from orchestrator.errors import SpecError
from orchestrator.planning.spec import ProtocolSection, Spec
from search_spaces.backbones import BackboneInfo
from search_spaces.optimizers import HpValue, OptimizerInfo
from search_spaces.paper_settings import PaperSetting, paper_grid, paper_setting
from search_spaces.recipes import Recipe
from trainers.config import DataConfig, TrainOn, TrialConfig
from trainers.seeds import stream_seed

DESIGN_DIMENSIONS = 8
"""Coordinates drawn for every design point. Fixed, so that adding an optimizer to a sweep moves no point."""


class Role(StrEnum):
    """Why a trial exists."""

    DEFAULT = "default"
    DESIGN = "design"
    TUNE = "tune"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One (backbone, recipe, optimizer) with everything resolved."""

    backbone: BackboneInfo
    image_size: int
    """Side of the images that the network sees, in pixels."""
    recipe: Recipe
    optimizer: OptimizerInfo
    key: str
    """Readable, unique in the sweep, and safe in a file name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """One trial that is to run, with its setting decided."""

    trial_id: str
    cell: Cell
    role: Role
    number: int
    replicate: int
    seed: int
    hp: Mapping[str, HpValue]
    hp_source: str
    point: Mapping[str, float] | None = None
    """None where the setting is not a point of the search space: a default, a setting of the paper."""
    repeats: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked spec with its cells."""

    spec: Spec
    cells: tuple[Cell, ...]
    data: DataConfig

    @property
    def protocol(self) -> ProtocolSection:
        """The roles and their sizes."""
        return self.spec.protocol

    @property
    def backbones(self) -> dict[str, BackboneInfo]:
        """The networks of the cells by name."""
        return {cell.backbone.name: cell.backbone for cell in self.cells}

    @property
    def optimizers(self) -> dict[str, OptimizerInfo]:
        """The optimizers of the cells by name."""
        return {cell.optimizer.name: cell.optimizer for cell in self.cells}

    def trials_by_role(self) -> dict[str, int]:
        """Trials of the whole sweep by role."""
        protocol, cells = self.protocol, len(self.cells)
        return {
            Role.DEFAULT: cells * protocol.default.seeds,
            Role.DESIGN: cells * protocol.design.points * protocol.design.seeds,
            Role.TUNE: cells * protocol.tune.trials,
            Role.CONFIRM: cells * self.confirmed_settings * protocol.confirm.seeds,
        }

    @property
    def confirmed_settings(self) -> int:
        """Settings that confirm repeats in each cell."""
        return min(self.protocol.confirm.top, self.protocol.design.points + self.protocol.tune.trials)

    @property
    def trials(self) -> int:
        """Trials of the whole sweep."""
        return sum(self.trials_by_role().values())

    @property
    def epochs(self) -> int:
        """Epochs of the whole sweep, if none is pruned or diverges."""
        return self.trials * self.spec.training.epochs

    def data_of(self, cell: Cell) -> DataConfig:
        """The images as the cell's network sees them."""
        return replace(self.data, image_size=cell.image_size)

    def config_of(self, trial: PlannedTrial) -> TrialConfig:
        """What a worker needs to run a trial."""
        training = self.spec.training
        train_on = self.protocol.confirm.train_on if trial.role is Role.CONFIRM else TrainOn.TRAIN
        return TrialConfig(
            backbone=trial.cell.backbone,
            optimizer=trial.cell.optimizer,
            hp=trial.hp,
            recipe=trial.cell.recipe,
            data=self.data_of(trial.cell),
            epochs=training.epochs,
            batch_size=training.batch_size,
            seed=trial.seed,
            precision=training.precision,
            train_on=train_on,
            threads=self.spec.resources.cpus_per_trial,
        )


def safe_name(name: str) -> str:
    """A name as part of a trial id: unchanged where it is safe, else made safe and marked with its hash."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
        return name
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:50]
    return f"{cleaned}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def cell_key(backbone: str, recipe: str, optimizer: str) -> str:
    """The key of a cell: readable, unique in a sweep, and safe in a file name."""
    return ".".join(safe_name(name) for name in (backbone, recipe, optimizer))


def default_trials(plan: Plan, cell: Cell) -> list[PlannedTrial]:
    """The cell's trials at the setting that the spec gives it, one for each seed."""
    hp, source = cell.optimizer.defaults, "default"
    if plan.protocol.default.setting == "paper":
        setting = paper_setting(cell.backbone.name, cell.optimizer.name)
        hp, source = hp_of(cell.optimizer, setting), setting.source
    return [
        PlannedTrial(
            trial_id=f"{cell.key}.default-s{replicate}",
            cell=cell,
            role=Role.DEFAULT,
            number=0,
            replicate=replicate,
            seed=stream_seed(plan.spec.sweep.seed, cell.key, "default", replicate),
            hp=hp,
            hp_source=source,
        )
        for replicate in range(plan.protocol.default.seeds)
    ]


def design_trials(plan: Plan, cell: Cell) -> list[PlannedTrial]:
    """The cell's share of the common design: the same points and the same seeds in every cell."""
    sweep_seed, design = plan.spec.sweep.seed, plan.protocol.design
    names = cell.optimizer.space.names
    trials = []
    for number, coordinates in enumerate(design_points(sweep_seed, design.points)):
        point = dict(zip(names, coordinates, strict=False))
        trials += [
            PlannedTrial(
                trial_id=f"{cell.key}.design-{number:03d}-s{replicate}",
                cell=cell,
                role=Role.DESIGN,
                number=number,
                replicate=replicate,
                seed=stream_seed(sweep_seed, "design", number, replicate),
                hp=hp_at(cell.optimizer, point),
                hp_source="design",
                point=point,
            )
            for replicate in range(design.seeds)
        ]
    return trials


def tune_trial(plan: Plan, cell: Cell, number: int, point: Mapping[str, float]) -> PlannedTrial:
    """The cell's tune trial of that number, at the point its study asked for."""
    return _tune_trial(plan, cell, number, hp=hp_at(cell.optimizer, point), hp_source="tune", point=point)


def grid_trial(plan: Plan, cell: Cell, number: int) -> PlannedTrial:
    """The cell's tune trial of that number, at a setting of the paper's grid: it has no point of the unit cube.

    Raises:
        UserError: The paper has no setting for the pair.
    """
    setting = paper_grid(cell.backbone.name, cell.optimizer.name)[number]
    source = "paper-grid" if setting.source == "paper" else setting.source
    return _tune_trial(plan, cell, number, hp=hp_of(cell.optimizer, setting), hp_source=source, point=None)


def _tune_trial(
    plan: Plan,
    cell: Cell,
    number: int,
    *,
    hp: Mapping[str, HpValue],
    hp_source: str,
    point: Mapping[str, float] | None,
) -> PlannedTrial:
    return PlannedTrial(
        trial_id=f"{cell.key}.tune-{number:03d}",
        cell=cell,
        role=Role.TUNE,
        number=number,
        replicate=0,
        seed=stream_seed(plan.spec.sweep.seed, cell.key, "tune", number),
        hp=hp,
        hp_source=hp_source,
        point=point,
    )


def confirm_trials(plan: Plan, winner: PlannedTrial, rank: int) -> list[PlannedTrial]:
    """Repetitions of a winning setting with fresh seeds; each is named after the trial it repeats.

    Args:
        plan: The plan.
        winner: The first replicate of the winning setting.
        rank: 0 for the cell's best setting.
    """
    cell = winner.cell
    repeated = winner.trial_id.removeprefix(f"{cell.key}.").removesuffix("-s0")
    return [
        replace(
            winner,
            trial_id=f"{cell.key}.confirm-{repeated}-s{replicate}",
            role=Role.CONFIRM,
            number=rank,
            replicate=replicate,
            seed=stream_seed(plan.spec.sweep.seed, cell.key, "confirm", repeated, replicate),
            repeats=winner.trial_id,
        )
        for replicate in range(plan.protocol.confirm.seeds)
    ]


def hp_at(optimizer: OptimizerInfo, point: Mapping[str, float]) -> dict[str, HpValue]:
    """Every hyper-parameter of an optimizer at a point of its space; what is not searched keeps its default."""
    return {**optimizer.defaults, **optimizer.space.values_at(point)}


def hp_of(optimizer: OptimizerInfo, setting: PaperSetting) -> dict[str, HpValue]:
    """Every hyper-parameter of an optimizer at a setting of the paper; all but its two keep their default."""
    return {**optimizer.defaults, "lr": setting.lr, "weight_decay": setting.weight_decay}


@cache
def design_points(sweep_seed: int, count: int) -> tuple[tuple[float, ...], ...]:
    """A scrambled Sobol design: `count` points of `DESIGN_DIMENSIONS` coordinates in [0, 1).

    A longer design of the same seed starts with the shorter one, so that points can be added to a sweep.
    Source: Sobol sequence with Owen's scrambling (Owen 1998), as in `scipy.stats.qmc.Sobol`.
    """
    if count == 0:
        return ()
    # Deferred: `status` counts trials and must not wait for scipy.
    from scipy.stats import qmc

    sampler = qmc.Sobol(DESIGN_DIMENSIONS, scramble=True, rng=stream_seed(sweep_seed, "design points"))
    return tuple(tuple(float(value) for value in row) for row in sampler.random(count))


def check_dimensions(optimizer: OptimizerInfo) -> None:
    """Refuses an optimizer with more searched dimensions than a design point has coordinates."""
    if len(optimizer.space.names) > DESIGN_DIMENSIONS:
        raise SpecError(
            f"{optimizer.name} searches {len(optimizer.space.names)} hyper-parameters; "
            f"a design has {DESIGN_DIMENSIONS} coordinates"
        )
