"""The one place where what happened to an attempt becomes a state of its trial, or another attempt.

Rules:
- A loss that is not finite ends a trial at once: DIVERGED.
- After the whole budget, an accuracy that cannot be told from guessing is DIVERGED too: not above chance by more
  than two standard deviations of a guesser's accuracy on as many images. It is judged only at the end, because some
  networks (AlexNet, VGG) sit at chance for epochs and then learn.
- DIVERGED is a result: its score is chance.
- A trial whose code raised is tried again `ERROR_ATTEMPTS` times in all, then it is FAIL.
- A worker that died is not the trial's fault: the trial goes on from its last checkpoint. A trial that lost
  `LOST_ATTEMPTS` workers in a row without a finished epoch in between is FAIL, so that one which kills its workers
  cannot occupy a cluster for ever.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.messages import Ending, EndingKind
from trainers.measurement import Measurement, ScoreRule, score_of
from trainers.trainer import Resolved

ERROR_ATTEMPTS = 2
LOST_ATTEMPTS = 5


class State(StrEnum):
    """States of a trial that ended."""

    COMPLETE = "COMPLETE"
    DIVERGED = "DIVERGED"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class Outcome(StrEnum):
    """How an attempt ended without ending its trial."""

    RUNNING = "RUNNING"
    ERROR = "ERROR"
    LOST = "LOST"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from the end of an attempt. `state` is None where the trial runs again."""

    outcome: str
    state: State | None
    reason: str | None = None
    score: float | None = None


def judge(
    ending: Ending,
    history: Sequence[Measurement],
    resolved: Resolved | None,
    *,
    rule: ScoreRule,
    scored_samples: int,
    errors_before: int,
) -> Verdict:
    """The verdict on an attempt that ended by itself.

    Args:
        ending: What its worker said last.
        history: The trial's measurements, epoch by epoch.
        resolved: What was built, if it could be built.
        rule: Which number of the history is the score.
        scored_samples: Images that the score is measured on.
        errors_before: Attempts of this trial that raised before this one.
    """
    if ending.kind is EndingKind.RAISED or resolved is None:
        reason = f"{ending.exception}: {ending.message}"[:500]
        if errors_before + 1 < ERROR_ATTEMPTS:
            return Verdict(outcome=Outcome.ERROR, state=None, reason=reason)
        return Verdict(outcome=State.FAIL, state=State.FAIL, reason=f"error: {reason}")
    chance = 1 / resolved.classes
    if ending.kind is EndingKind.NOT_FINITE:
        return _diverged(f"loss not finite in epoch {history[-1].epoch}", chance)
    if history[-1].val_top1 <= chance + 2 * math.sqrt(chance * (1 - chance) / scored_samples):
        return _diverged(f"stuck at chance: accuracy {history[-1].val_top1:.3f} after the last epoch", chance)
    return Verdict(outcome=State.COMPLETE, state=State.COMPLETE, score=score_of(history, rule))


def judge_loss(reason: str, lost_in_a_row: int) -> Verdict:
    """The verdict on an attempt whose worker died.

    Args:
        reason: What is known about the death.
        lost_in_a_row: Attempts, this one included, that were lost since the trial last finished an epoch.
    """
    if lost_in_a_row < LOST_ATTEMPTS:
        return Verdict(outcome=Outcome.LOST, state=None, reason=reason)
    return Verdict(
        outcome=State.FAIL, state=State.FAIL, reason=f"lost: {lost_in_a_row} workers in a row died ({reason})"
    )


def _diverged(reason: str, chance: float) -> Verdict:
    return Verdict(outcome=State.DIVERGED, state=State.DIVERGED, reason=reason, score=chance)
