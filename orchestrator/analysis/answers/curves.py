"""Learning curves and learning-rate responses, chosen and thinned so that a page of 400 cells stays light."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.analysis.answers.summary import CellKey, first_setting, results
from orchestrator.store.schema import TrialRow

CURVE_POINTS = 48_000
"""Points of all learning curves of a page together."""
RESPONSE_POINTS = 6_400
"""Points of all learning-rate responses of a page together."""
FEWEST_EPOCHS = 12
"""Points that every learning curve keeps, if it has them; single repetitions go before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Validation accuracy after each epoch of one trial: equally long, epochs ascending, accuracies may be NaN."""

    trial_id: str
    epochs: tuple[int, ...]
    val_top1: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveLine:
    """One line of the plot: one trial, or the mean over trials of one setting."""

    key: CellKey
    role: str
    is_mean: bool
    name: str
    repetitions: int
    epochs: tuple[int, ...]
    val_top1: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveSet:
    """The lines to draw, and how many of what there is were left out to keep the page light."""

    lines: tuple[CurveLine, ...]
    epoch_step: int
    """1 if every epoch is drawn; k if every k-th is (and always the last)."""
    only_means: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsePoint:
    """One design trial: the learning rate it had and the score it got."""

    key: CellKey
    number: int
    trial_id: str
    state: str
    lr: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSet:
    """Design trials to draw: the first `shown` points of the common design, out of `designed`."""

    points: tuple[ResponsePoint, ...]
    shown: int
    designed: int


def trials_to_draw(trials: Sequence[TrialRow]) -> dict[CellKey, tuple[TrialRow, ...]]:
    """For each cell the trials of one setting, by seed.

    The setting is that of the cell's headline (`headline_of`): the first confirmed one; without confirm trials the
    best design or tune trial; without these the default setting.
    """
    by_cell: dict[CellKey, list[TrialRow]] = defaultdict(list)
    for trial in trials:
        by_cell[CellKey(backbone=trial.backbone, recipe=trial.recipe, optimizer=trial.optimizer)].append(trial)
    chosen = {key: _trials_of_headline(found) for key, found in by_cell.items()}
    return {key: drawn for key, drawn in chosen.items() if drawn}


def _trials_of_headline(trials: list[TrialRow]) -> tuple[TrialRow, ...]:
    found = results(first_setting(trials, "confirm"), "confirm")
    if not found and (searched := results(trials, "design", "tune")):
        found = [max(searched, key=lambda pair: pair[1])]
    found = found or results(first_setting(trials, "default"), "default")
    return tuple(sorted((trial for trial, _ in found), key=lambda trial: trial.trial_id))


def curve_set(
    drawn: Mapping[CellKey, Sequence[TrialRow]], curves: Sequence[Curve], *, budget: int = CURVE_POINTS
) -> CurveSet:
    """The lines of the learning-curve plot.

    Args:
        drawn: Trials of one setting for each cell: see `trials_to_draw`.
        curves: Their curves; trials without one are left out.
        budget: Points of all lines together. Epochs are thinned first, then the single repetitions go.
    """
    known = {curve.trial_id: curve for curve in curves if curve.epochs}
    lines = [line for key, trials in drawn.items() for line in _lines_of_cell(key, trials, known)]
    longest = max((line.epochs[-1] for line in lines), default=0)
    only_means = len(lines) * min(longest, FEWEST_EPOCHS) > budget
    if only_means:
        lines = [line for line in lines if line.is_mean]
    points = sum(len(line.epochs) for line in lines)
    step = max(1, min(math.ceil(points / budget), longest // FEWEST_EPOCHS))
    return CurveSet(lines=tuple(_thinned(line, step) for line in lines), epoch_step=step, only_means=only_means)


def _lines_of_cell(key: CellKey, trials: Sequence[TrialRow], known: Mapping[str, Curve]) -> list[CurveLine]:
    found = [(trial, known[trial.trial_id]) for trial in trials if trial.trial_id in known]
    if not found:
        return []
    role = found[0][0].role
    seeds = [
        CurveLine(
            key=key,
            role=role,
            is_mean=False,
            name=curve.trial_id,
            repetitions=1,
            epochs=curve.epochs,
            val_top1=curve.val_top1,
        )
        for _, curve in found
    ]
    # A mean over the survivors would jump up where a diverged repetition ends: it ends with the shortest.
    shared = set.intersection(*(set(curve.epochs) for _, curve in found))
    kept = [[value for epoch, value in zip(c.epochs, c.val_top1, strict=True) if epoch in shared] for _, c in found]
    mean = CurveLine(
        key=key,
        role=role,
        is_mean=True,
        name=f"mean of {len(found)}" if len(found) > 1 else found[0][1].trial_id,
        repetitions=len(found),
        epochs=tuple(sorted(shared)),
        val_top1=tuple(math.fsum(values) / len(found) for values in zip(*kept, strict=True)),
    )
    return ([*seeds, mean] if len(seeds) > 1 else [mean]) if shared else seeds


def _thinned(line: CurveLine, step: int) -> CurveLine:
    last = len(line.epochs) - 1
    keep = [index for index, epoch in enumerate(line.epochs) if index in (0, last) or epoch % step == 0]
    return CurveLine(
        key=line.key,
        role=line.role,
        is_mean=line.is_mean,
        name=line.name,
        repetitions=line.repetitions,
        epochs=tuple(line.epochs[index] for index in keep),
        val_top1=tuple(line.val_top1[index] for index in keep),
    )


def response_set(trials: Sequence[TrialRow], *, budget: int = RESPONSE_POINTS) -> ResponseSet:
    """Design trials with a learning rate and a score.

    Every cell has the same design, and a Sobol design's first points are themselves spread evenly: a budget that is
    too small keeps the first points, the same in every cell.
    """
    scored = [(trial, score) for trial, score in results(trials, "design") if trial.hp_lr and trial.hp_lr > 0]
    numbers = sorted({trial.number for trial, _ in scored})
    shown = len(numbers)
    while shown > 1 and sum(trial.number < shown for trial, _ in scored) > budget:
        shown //= 2
    points = [
        ResponsePoint(
            key=CellKey(backbone=trial.backbone, recipe=trial.recipe, optimizer=trial.optimizer),
            number=trial.number,
            trial_id=trial.trial_id,
            state=trial.state,
            lr=trial.hp_lr or 0.0,
            score=score,
        )
        for trial, score in scored
        if shown == len(numbers) or trial.number < shown
    ]
    return ResponseSet(points=tuple(points), shown=shown, designed=len(numbers))
