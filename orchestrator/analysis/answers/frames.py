"""The answers about results that are in a data frame and in no store: the analysis for a notebook."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from orchestrator.analysis.answers.analysis import Analysis, analyse
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.score_table import IMPORTED
from orchestrator.analysis.trials.spec_facts import SpecFacts
from orchestrator.analysis.trials.sweep_data import SweepData
from orchestrator.errors import UsageError
from orchestrator.store.schema import TrialRow
from search_spaces.errors import unknown_name

UNKNOWN = "unknown"
"""Recipe and data set where the frame names none."""

_NEVER = datetime(1970, 1, 1)  # noqa: DTZ001 - the store's times are UTC without a zone


class Frame(Protocol):
    """What pandas and polars have in common: columns by name."""

    @property
    def columns(self) -> Iterable[str]:
        """Their names."""

    def __getitem__(self, name: str, /) -> Iterable[object]:
        """The values of one of them."""


def analyse_frame(
    frame: Frame,
    *,
    backbone: str = "backbone",
    optimizer: str = "optimizer",
    score: str = "score",
    seed: str | None = None,
    recipe: str | None = None,
    percent: bool = False,
    random_seed: int = 0,
) -> Analysis:
    """Analyses a data frame with a row for each result: what `bocb analyze` says of an imported table.

    Args:
        frame: Of pandas or polars, or a mapping of columns in their manner. NaN and None are results that are
            missing; a training that diverged is a result, and its score is chance.
        backbone: The column with names of networks. Families are known of names in the catalogue (`bocb list
            backbones`), as are categories of optimizers; other names are analysed without.
        optimizer: The column with names of optimizers.
        score: The column with accuracies.
        seed: The column that says which results belong together across cells; without it the results of a cell are
            repetitions in their order.
        recipe: The column with recipes: several of one backbone are rows of their own.
        percent: Accuracies are 0 to 100, not 0 to 1.
        random_seed: Of resampling.

    Raises:
        UsageError: A column is not there, a score is no accuracy, or a seed occurs twice in a cell.
    """
    columns = _columns(frame, [backbone, optimizer, score, *(name for name in (seed, recipe) if name is not None)])
    length = len(columns[score])
    recipes = columns[recipe] if recipe is not None else [UNKNOWN] * length
    keys = [
        CellKey(backbone=_name(network, row), recipe=_name(how, row), optimizer=_name(method, row))
        for row, (network, how, method) in enumerate(zip(columns[backbone], recipes, columns[optimizer], strict=True))
    ]
    replicates = _replicates(keys, None if seed is None else columns[seed])
    scores = [_fraction(value, row, percent=percent) for row, value in enumerate(columns[score])]
    trials = tuple(map(_trial, keys, replicates, scores))
    facts = SpecFacts(grid=tuple(dict.fromkeys(keys)))
    data = SweepData(sweep="frame", planned=length, facts=facts, trials=trials, superseded=0)
    return analyse(data, seed=random_seed)


def _columns(frame: Frame, names: Sequence[str]) -> Mapping[str, list[object]]:
    known = [str(name) for name in (frame if isinstance(frame, Mapping) else frame.columns)]
    for name in names:
        if name not in known:
            raise UsageError(str(unknown_name("column", name, known)))
    found = {name: list(frame[name]) for name in names}
    if not found[names[0]]:
        raise UsageError("the frame has no rows")
    return found


def _name(value: object, row: int) -> str:
    if _is_missing(value) or not str(value):
        raise UsageError(f"row {row}: a name is missing")
    return str(value)


def _replicates(keys: Sequence[CellKey], seeds: Sequence[object] | None) -> list[int]:
    """Which repetition each row is, from 0."""
    places = {} if seeds is None else {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
    seen: dict[CellKey, set[int]] = defaultdict(set)
    replicates = []
    for row, key in enumerate(keys):
        replicate = len(seen[key]) if seeds is None else places[seeds[row]]
        if replicate in seen[key]:
            raise UsageError(
                f"row {row}: {key.backbone} with {key.optimizer} and this seed is there already; keep one"
            )
        seen[key].add(replicate)
        replicates.append(replicate)
    return replicates


def _fraction(value: object, row: int, *, percent: bool) -> float | None:
    """An accuracy as a fraction; None where it is missing."""
    if _is_missing(value):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever float takes
    except (TypeError, ValueError):
        raise UsageError(f"row {row}: the score {value!r} is not a number") from None
    highest = 100 if percent else 1
    if not 0 <= number <= highest:
        hint = "" if percent else "; give percent=True if accuracies are 0 to 100"
        raise UsageError(f"row {row}: the score {number:g} is not an accuracy from 0 to {highest}{hint}")
    return number / highest


def _is_missing(value: object) -> bool:
    # By its text: that pandas' own NA is unequal to itself is neither true nor false.
    return value is None or str(value) in ("nan", "<NA>")


def _trial(key: CellKey, replicate: int, score: float | None) -> TrialRow:
    return TrialRow(
        sweep="frame", trial_id=f"{key.backbone}.{key.recipe}.{key.optimizer}.{replicate}", backbone=key.backbone,
        recipe=key.recipe, optimizer=key.optimizer, dataset=UNKNOWN, batch_size=0, role=IMPORTED, number=0,
        replicate=replicate, seed=replicate, state="FAIL" if score is None else "COMPLETE", score=score,
        score_rule="as given", epochs_done=0, epochs_planned=0, hp="{}", hp_source=IMPORTED, attempt=0,
        driver_epoch=0, started_at=_NEVER, ended_at=_NEVER, wall_seconds=0.0, code_version="", recipe_sha256="",
    )  # fmt: skip
