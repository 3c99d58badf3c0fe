"""Which trials have their learning curve drawn, and what is read of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.analysis.trials.cells import CellKey, by_cell
from orchestrator.analysis.trials.headline import headline_of
from orchestrator.store.schema import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Validation accuracy after each epoch of one trial: equally long, epochs ascending, accuracies may be NaN."""

    trial_id: str
    epochs: tuple[int, ...]
    val_top1: tuple[float, ...]


def trials_to_draw(trials: Sequence[TrialRow]) -> dict[CellKey, tuple[TrialRow, ...]]:
    """For each cell the trials that its headline is made of (see `headline_of`), in the order of their ids."""
    headlines = {key: headline_of(found) for key, found in by_cell(trials).items()}
    return {
        key: tuple(sorted(headline.trials, key=lambda trial: trial.trial_id))
        for key, headline in headlines.items()
        if headline is not None
    }
