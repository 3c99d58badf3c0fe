"""Scores of the shared design against the learning rate, thinned so that a page of 400 cells stays light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.results import results
from orchestrator.store.schema import TrialRow

RESPONSE_POINTS = 6_400
"""Points of all learning-rate responses of a page together."""


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
