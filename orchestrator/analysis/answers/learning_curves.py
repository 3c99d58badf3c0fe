"""Learning curves, thinned so that a page of 400 cells stays light."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.curves import Curve
from orchestrator.store.schema import TrialRow

CURVE_POINTS = 48_000
"""Points of all learning curves of a page together."""
FEWEST_EPOCHS = 12
"""Points that every learning curve keeps, if it has them; single repetitions go before that."""


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
