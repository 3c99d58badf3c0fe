"""What a trainer says after each epoch, and the scores that follow from a history of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One epoch's numbers. Accuracies are fractions in [0, 1], losses in nats, durations in seconds.

    The `val_` numbers are of the part that the trial selects on: the validation part, or the test part
    where the spec says so. A loss that is not finite ends the trial as diverged.
    """

    epoch: int
    """Epochs trained so far: the first measurement has 1."""
    train_loss: float
    val_loss: float
    val_top1: float
    val_top5: float | None
    lr: float
    """Learning rate of the epoch's last step."""
    grad_norm: float | None
    """Mean over the epoch's steps of the gradient's L2 norm, before clipping."""
    seconds: float
    """Wall time of training and evaluating this epoch."""
    val_loss_raw: float | None = None
    """Where the recipe averages the weights, `val_` numbers are those of the average, and these of the weights."""
    val_top1_raw: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether the losses are finite: the only rule that ends a trial early as diverged."""
        return math.isfinite(self.train_loss) and math.isfinite(self.val_loss)


class ScoreRule(StrEnum):
    """Which number of a history is a trial's score."""

    FINAL = "final"
    BEST = "best"
    MEDIAN10 = "median10"
    """Median of the last ten epochs."""


def score_of(history: Sequence[Measurement], rule: ScoreRule) -> float:
    """The score of a history of at least one measurement, by a rule: an accuracy in [0, 1]."""
    accuracies = [measurement.val_top1 for measurement in history]
    match rule:
        case ScoreRule.FINAL:
            return accuracies[-1]
        case ScoreRule.BEST:
            return max(accuracies)
        case ScoreRule.MEDIAN10:
            return statistics.median(accuracies[-10:])
