"""The one place where what happened to an attempt becomes a state of its trial, or another attempt.

Rules:
- A loss that is not finite ends a trial at once: DIVERGED.
- After the whole budget, an accuracy that cannot be told from guessing is DIVERGED too: not above chance by more
  than two standard deviations of a guesser's accuracy on as many images. It is judged only at the end, because some
  networks (AlexNet, VGG) sit at chance for epochs and then learn.
- DIVERGED is a result: its score is chance.
- A trial whose code raised, or whose data could not be read, is tried again `ERROR_ATTEMPTS` times in all, then FAIL.
- A trial that ran out of memory begins anew with micro-batches half as large, down to `SMALLEST_MICRO_BATCH` images;
  the batch that the optimizer sees stays the same.
- A worker that died is not the trial's fault: the trial goes on from its last checkpoint. A trial that lost
  `LOST_ATTEMPTS` workers in a row without coming further than before is FAIL, so that one which kills its workers
  cannot occupy a cluster for ever. Workers whose node was lost or preempted are not counted, nor those that died with
  their driver: who kills a driver ten times says nothing of its trials. A trial that takes down its driver each time
  is therefore run again with each new driver.
- A trial that says nothing for `resources.hang_seconds` is killed and tried `HANG_ATTEMPTS` times in all, then FAIL.

The reason of a FAIL begins with its kind (error, data, oom, lost, hang): what `bocb resume --retry KIND` selects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.worker.messages import Ending, EndingKind
from trainers.measurement import Measurement, ScoreRule, score_of
from trainers.trainer import Resolved

ERROR_ATTEMPTS = 2
LOST_ATTEMPTS = 5
HANG_ATTEMPTS = 2
SMALLEST_MICRO_BATCH = 2
"""BatchNorm cannot train on a single image."""

RETRY_ALL = "all"
FAILURE_KINDS = ("error", "data", "oom", "lost", "hang")
DAMAGED = "damaged"
"""First word of the reason of a trial that `bocb verify --mend` marked: the next run trains it again."""


def failure_kind(reason: str | None) -> str:
    """The kind of a failed trial's failure, as `--retry` names it: the first word of its reason."""
    return (reason or "error").partition(":")[0]


class State(StrEnum):
    """States of a trial that ended."""

    COMPLETE = "COMPLETE"
    DIVERGED = "DIVERGED"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


class Outcome(StrEnum):
    """Where an attempt is that has not ended its trial: RUNNING, or ended in a way that lets the trial run again."""

    RUNNING = "RUNNING"
    ERROR = "ERROR"
    OOM = "OOM"
    HANG = "HANG"
    LOST = "LOST"
    STOPPED = "STOPPED"


class Loss(StrEnum):
    """Why an attempt ended without a word from its worker."""

    WORKER = "worker died"
    NODE = "node lost"
    PREEMPTED = "preempted"
    HANG = "hang"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from the end of an attempt. `state` is None where the trial runs again."""

    outcome: str
    state: State | None
    reason: str | None = None
    score: float | None = None


@dataclass(slots=True, kw_only=True)
class TrialRecord:
    """What a trial's earlier attempts leave to the next one: all but their number starts anew when the trial ends."""

    attempts: int = 0
    """Attempts so far, those before an end included."""
    errors: int = 0
    hangs: int = 0
    lost_in_a_row: int = 0
    """Workers that died since the trial came further than ever; `note` only ends the count."""
    most_epochs: int = 0
    """How far it ever came."""
    micro_batch: int | None = None
    """Images per forward and backward pass of the next attempt; None for the whole batch."""

    def reach(self, epochs: int, restored: int) -> None:
        """Takes into account how far an attempt came, from where: to repeat epochs is no progress."""
        if epochs > max(self.most_epochs, restored):
            self.lost_in_a_row = 0
        self.most_epochs = max(self.most_epochs, epochs)

    def note(self, outcome: str, micro_batch: int | None, batch_size: int) -> None:
        """Takes the end of an attempt into account.

        Args:
            outcome: How it ended, as the store has it.
            micro_batch: What it ran with.
            batch_size: Images per optimizer step.
        """
        if outcome in list(State):
            self.errors = self.hangs = self.lost_in_a_row = self.most_epochs = 0
            self.micro_batch = None
        self.errors += outcome == Outcome.ERROR
        self.hangs += outcome == Outcome.HANG
        if outcome == Outcome.OOM:
            self.micro_batch = (micro_batch or batch_size) // 2
            self.most_epochs = 0


def judge(
    ending: Ending,
    history: Sequence[Measurement],
    resolved: Resolved | None,
    record: TrialRecord,
    *,
    rule: ScoreRule,
    scored_samples: int,
    batch_size: int,
) -> Verdict:
    """The verdict on an attempt that ended by itself.

    Args:
        ending: What its worker said last.
        history: The trial's measurements, epoch by epoch.
        resolved: What was built, if it could be built.
        record: What the attempts before it left.
        rule: Which number of the history is the score.
        scored_samples: Images that the score is measured on.
        batch_size: Images per optimizer step.
    """
    match ending.kind:
        case EndingKind.RAISED:
            return _judge_error("error", f"{ending.exception}: {ending.message}", record)
        case EndingKind.BAD_DATA:
            return _judge_error("data", ending.message or "", record)
        case EndingKind.OUT_OF_MEMORY:
            return _judge_memory(ending, record.micro_batch or batch_size)
    if resolved is None:
        raise ValueError("an attempt that trained says what was built")
    chance = 1 / resolved.classes
    if ending.kind is EndingKind.NOT_FINITE:
        return _diverged(f"loss not finite in epoch {history[-1].epoch}", chance)
    if history[-1].val_top1 <= chance + 2 * math.sqrt(chance * (1 - chance) / scored_samples):
        return _diverged(f"stuck at chance: accuracy {history[-1].val_top1:.3f} after the last epoch", chance)
    return Verdict(outcome=State.COMPLETE, state=State.COMPLETE, score=score_of(history, rule))


def judge_loss(loss: Loss, record: TrialRecord, detail: str = "") -> Verdict:
    """The verdict on an attempt that ended without a word from its worker.

    Args:
        loss: Why.
        record: What the attempts before it left; `lost_in_a_row` counts this one already.
        detail: What else is known.
    """
    reason = f"{loss}: {detail}" if detail else str(loss)
    if loss is Loss.HANG:
        if record.hangs + 1 < HANG_ATTEMPTS:
            return Verdict(outcome=Outcome.HANG, state=None, reason=reason)
        return _failed(f"{reason}, in {record.hangs + 1} attempts")
    if record.lost_in_a_row < LOST_ATTEMPTS:
        return Verdict(outcome=Outcome.LOST, state=None, reason=reason)
    return _failed(f"lost: {record.lost_in_a_row} workers in a row died ({reason})")


def _judge_error(kind: str, message: str, record: TrialRecord) -> Verdict:
    reason = message[:500]
    if record.errors + 1 < ERROR_ATTEMPTS:
        return Verdict(outcome=Outcome.ERROR, state=None, reason=reason)
    return _failed(f"{kind}: {reason}")


def _judge_memory(ending: Ending, micro_batch: int) -> Verdict:
    reason = f"out of memory with {micro_batch} images at a time"
    if micro_batch // 2 >= SMALLEST_MICRO_BATCH:
        return Verdict(outcome=Outcome.OOM, state=None, reason=reason)
    return _failed(f"oom: {reason}: {ending.message}"[:500])


def _failed(reason: str) -> Verdict:
    return Verdict(outcome=State.FAIL, state=State.FAIL, reason=reason)


def _diverged(reason: str, chance: float) -> Verdict:
    return Verdict(outcome=State.DIVERGED, state=State.DIVERGED, reason=reason, score=chance)
