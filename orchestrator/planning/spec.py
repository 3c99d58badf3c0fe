"""A sweep's spec: the TOML that a user writes, checked as a whole before anything starts.

Unknown keys are refused, and every mistake becomes one sentence that names the place, the value and what is accepted.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from orchestrator.errors import SpecError, StoreError
from orchestrator.planning.evaluation_section import EvaluationSection
from orchestrator.planning.sections import Count, Name, NameList, Positive, Positive64, Section
from orchestrator.planning.spec_errors import sentence_of
from orchestrator.planning.training_section import TrainingSection
from search_spaces.errors import UserError
from search_spaces.optimizers import HpValue, full_optimizer_name
from search_spaces.paper_settings import GRID_SIZE
from search_spaces.spaces import Scale
from trainers.config import TrainOn, Validation


class SweepSection(Section):
    """[sweep]: its name in the store, and the seed that every random number follows from."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    seed: Annotated[int, Field(ge=0, lt=2**48)] = 0


class GridSection(Section):
    """[grid]: which cells there are."""

    backbones: NameList
    optimizers: NameList
    recipes: list[Name] | None = None
    """None takes the data set's usual recipe."""
    exclude: list[Annotated[list[Name], Field(min_length=2, max_length=2)]] = Field(default_factory=list)


class DataSection(Section):
    """[data]: which images, and which part a score is measured on."""

    name: Name
    path: str | None = None
    image_size: Annotated[int, Field(ge=4, le=1024)] | None = None
    validation: Annotated[Validation, Field(strict=False)] = Validation.SPLIT
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    max_bad_samples: Count = 0
    """Samples that an epoch may skip because they are damaged, where images are decoded while a trial trains."""


class DefaultProtocol(Section):
    """[protocol.default]: one setting of each pair that is given, not searched."""

    seeds: Count = 3
    setting: Literal["published", "paper"] = "published"
    """The optimizer's published default; or learning rate and weight decay as the paper tuned them for the pair."""


class DesignProtocol(Section):
    """[protocol.design]: the shared Sobol design; `points` is a power of two."""

    points: Count = 16
    seeds: Positive = 1

    @model_validator(mode="after")
    def _power_of_two(self) -> DesignProtocol:
        if self.points & (self.points - 1):
            raise ValueError(
                f"points must be a power of two (Sobol designs are balanced only then); got {self.points}"
            )
        return self


class TuneProtocol(Section):
    """[protocol.tune]: the search in each cell, by a sampler of Optuna or over the paper's grid."""

    trials: Count = 8
    batch: Positive = 1
    warm_start: Count | None = None
    """Design points whose results the sampler is given; None gives all."""
    sampler: Literal["tpe", "gp", "random", "paper-grid"] = "tpe"
    pruner: Literal["none", "median"] = "none"

    @property
    def is_grid(self) -> bool:
        """Whether the settings are known before any trial has run."""
        return self.sampler == "paper-grid"

    @model_validator(mode="after")
    def _fits_the_grid(self) -> TuneProtocol:
        if self.is_grid and self.trials > GRID_SIZE:
            raise ValueError(f"the paper's grid has {GRID_SIZE} settings for each pair; got trials = {self.trials}")
        if self.is_grid and self.warm_start is not None:
            raise ValueError("sampler = 'paper-grid' learns from no trial; leave out warm_start")
        return self

    @model_validator(mode="after")
    def _pruning_is_sequential(self) -> TuneProtocol:
        if self.pruner != "none" and self.batch != 1:
            raise ValueError(
                f"pruner = {self.pruner!r} needs batch = 1, so that what is pruned does not depend on timing; "
                f"got batch = {self.batch}"
            )
        return self


class ConfirmProtocol(Section):
    """[protocol.confirm]: the best settings of a cell again, with fresh seeds."""

    top: Count = 2
    seeds: Positive = 3
    train_on: Annotated[TrainOn, Field(strict=False)] = TrainOn.TRAIN


class ProtocolSection(Section):
    """[protocol]: which roles are run. A role that is not named is not run."""

    default: DefaultProtocol = DefaultProtocol(seeds=0)
    design: DesignProtocol = DesignProtocol(points=0)
    tune: TuneProtocol = TuneProtocol(trials=0)
    confirm: ConfirmProtocol = ConfirmProtocol(top=0)

    @model_validator(mode="after")
    def _confirm_repeats_something(self) -> ProtocolSection:
        if self.confirm.top and not (self.design.points or self.tune.trials):
            raise ValueError("confirm repeats the best design and tune trials, so it needs one of these roles")
        if not (self.default.seeds or self.design.points or self.tune.trials):
            raise ValueError("no role has a trial; set seeds, points or trials of at least one")
        if self.tune.warm_start is not None and self.tune.warm_start > self.design.points:
            raise ValueError(
                f"tune.warm_start = {self.tune.warm_start} design points are more than design.points = "
                f"{self.design.points}"
            )
        return self


FULL_PROTOCOL = ProtocolSection(
    default=DefaultProtocol(), design=DesignProtocol(), tune=TuneProtocol(), confirm=ConfirmProtocol()
)
"""What a spec without [protocol] runs: 33 trials per cell."""


class ResourcesSection(Section):
    """[resources]: what one trial gets, and how many run at once."""

    gpus_per_trial: Annotated[float, Field(ge=0, le=1)] | Annotated[int, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    cpus_per_trial: Positive = 1
    max_concurrent: Positive | None = None
    max_gpu_hours: Annotated[float, Field(gt=0)] | Annotated[int, Field(gt=0)] | None = None
    hang_seconds: Annotated[float, Field(gt=0)] | Annotated[int, Field(gt=0)] = 3600
    """A trial that says nothing for so long is killed; it must be above the longest epoch."""

    @model_validator(mode="after")
    def _packable(self) -> ResourcesSection:
        if self.gpus_per_trial != "auto" and self.gpus_per_trial not in (0, 1, 0.5, 0.25, 0.125):
            raise ValueError(f"gpus_per_trial must be 1, 1/2, 1/4, 1/8 or 0; got {self.gpus_per_trial}")
        return self


class CheckpointsSection(Section):
    """[checkpoints]: how often a running trial is saved, and what is kept of ended ones."""

    interval_seconds: Annotated[float, Field(ge=0)] | Annotated[int, Field(ge=0)] = 60
    keep: Literal["none", "confirm", "all"] = "none"
    """Of trials that are COMPLETE; the checkpoint of one that FAILs is always kept, for a retry."""
    max_bytes: Positive64 | None = None
    """What checkpoints of running trials and those of `keep` may take; a sweep that could need more does not start.
    Those of failed or waiting trials come on top."""


class RangeTable(Section):
    """A range written out as a table: low, high and, where it is not the built-in one, the scale."""

    low: float | int
    high: float | int
    scale: Annotated[Scale, Field(strict=False)] | None = None


Range = Annotated[list[float | int], Field(min_length=2, max_length=2)] | RangeTable


class OptimizerSection(Section):
    """[optimizers.NAME]: an optimizer of the user's own; its ranges stand in [search_spaces.NAME]."""

    class_: Annotated[str, Field(alias="class", pattern=r"^[\w.]+:\w+$")]
    args: dict[str, HpValue] = Field(default_factory=dict)


class Spec(Section):
    """A whole sweep. Equal specs have equal digests; see `canonical_json`."""

    sweep: SweepSection
    grid: GridSection
    data: DataSection
    training: TrainingSection
    protocol: ProtocolSection = FULL_PROTOCOL
    resources: ResourcesSection = ResourcesSection()
    checkpoints: CheckpointsSection = CheckpointsSection()
    evaluation: EvaluationSection = EvaluationSection()
    search_spaces: dict[Name, dict[Name, Range]] = Field(default_factory=dict)
    optimizers: dict[Name, OptimizerSection] = Field(default_factory=dict)

    @field_validator("search_spaces")
    @classmethod
    def _by_full_name(cls, tables: dict[str, dict[str, Range]]) -> dict[str, dict[str, Range]]:
        """The tables by the catalogue's names, so that a short name and the full one say the same."""
        full = [full_optimizer_name(name) for name in tables]
        for name in full:
            if full.count(name) > 1:
                raise UserError(f"[search_spaces.{name}] is there twice, once by its short name; leave one of them")
        return dict(zip(full, tables.values(), strict=True))

    def canonical_json(self) -> str:
        """The spec as JSON with every default filled in and keys sorted: what the store records."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))

    def digest(self) -> str:
        """SHA-256 of `canonical_json`."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def load_spec(path: Path) -> Spec:
    """Reads a spec from a TOML file (or, named `.json`, from what the store records).

    A relative `data.path` is taken from the file's folder.

    Raises:
        SpecError: The file cannot be read, is not TOML, or says something that is not accepted.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise SpecError(f"there is no spec file {path}; `bocb list sweeps` shows the ones that come along") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"the spec file {path} cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise SpecError(f"{path} is not TOML: {error}") from None
    return parse_spec(tables, folder=path.parent, source=str(path))


def parse_spec(tables: dict[str, Any], *, folder: Path | None = None, source: str = "the spec") -> Spec:
    """Checks a spec given as nested tables.

    Args:
        tables: What the TOML says.
        folder: Where a relative `data.path` starts; None leaves it as it is.
        source: How error messages call the spec.

    Raises:
        SpecError: Something in it is not accepted.
    """
    try:
        spec = Spec.model_validate(tables)
    except ValidationError as error:
        raise SpecError(f"{source}: {sentence_of(error, Spec)}") from None
    except UserError as error:
        raise SpecError(f"{source}: {error}") from None
    if folder is None or spec.data.path is None:
        return spec
    absolute = _absolute(spec.data.path, folder, source)
    return spec.model_copy(update={"data": spec.data.model_copy(update={"path": absolute})})


def _absolute(path: str, folder: Path, source: str) -> str:
    """A data folder with `~` and environment variables filled in; a relative one starts at the spec's folder.

    The URI of an object store stays as it is.
    """
    expanded = os.path.expandvars(path)
    if "$" in expanded:
        raise SpecError(f"{source}: data.path = {path!r} names an environment variable that is not set")
    if "://" in expanded:
        if "@" in expanded.partition("://")[2].partition("/")[0]:
            raise SpecError(
                f"{source}: data.path holds credentials, and the spec is kept in the store; give them as the object"
                " store's own environment variables"
            )
        return expanded
    try:
        absolute = (folder / Path(expanded).expanduser()).resolve()
        absolute.exists()  # refuses what cannot be a path at all
    except (OSError, RuntimeError, ValueError) as error:
        raise SpecError(f"{source}: data.path = {path[:100]!r} cannot be a folder: {error}") from None
    return str(absolute)


def spec_from_record(canonical_json: str) -> Spec:
    """The spec that a store recorded.

    Raises:
        StoreError: The record is damaged, or of a version that this one does not read.
    """
    try:
        tables = json.loads(canonical_json)
        if isinstance(tables.get("training"), dict):
            # A field that was not set says nothing, also where this version does not know it.
            tables["training"] = {key: value for key, value in tables["training"].items() if value is not None}
        return parse_spec(tables, source="the recorded spec")
    except (ValueError, AttributeError, SpecError) as error:
        raise StoreError(f"the recorded spec cannot be read: {error}") from None
