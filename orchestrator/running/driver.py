"""What a driver does when a worker is free, reports, ends or dies. Knows nothing of Ray.

Optuna decides (through the queue), the store remembers (through the writer); this module is where a report becomes
rows and a verdict, and the only one that closes a trial.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import Enum, auto

from orchestrator.clock import utc_now
from orchestrator.planning.plan import Plan, PlannedTrial, Role, cell_key
from orchestrator.running.final_rows import final_rows
from orchestrator.running.history import History
from orchestrator.running.kept_checkpoints import keeps_checkpoint, leftover_checkpoints
from orchestrator.running.outcomes import (
    Loss,
    Outcome,
    State,
    TrialRecord,
    Verdict,
    judge,
    judge_loss,
)
from orchestrator.running.studies import Pruning
from orchestrator.running.trial_rows import (
    RunningAttempt,
    curve_rows,
    ended_row,
    gpu_seconds,
    score_part,
    started_row,
    trial_row,
)
from orchestrator.running.work_queue import WorkQueue
from orchestrator.store.lease import Lease
from orchestrator.store.schema import TrialRow
from orchestrator.store.store import SweepStore
from orchestrator.store.writer import TableWriter
from orchestrator.worker.checkpoints import delete_checkpoints, read_log
from orchestrator.worker.messages import Ending, EndingKind, Report, Task

ATTENTIVE_SECONDS = 5.0
"""A longer pause between two ticks is the driver's own: it was stopped, or waited for the store."""


ATTEMPTS_PER_TUNE_RUN = 10_000
"""Tune keeps some 40 KB of each for as long as it runs."""


class Order(Enum):
    """What a worker is to do after a report."""

    GO_ON = auto()
    LEAVE = auto()
    """End the attempt between two epochs; `on_left` then says what becomes of the trial."""
    NOTHING = auto()
    """The attempt has ended itself."""


class Driver:
    """The state of a sweep while it runs.

    `slots` is how many trials may run at once, set again and again because clusters grow and shrink; `best` holds the
    highest score of each optimizer so far.

    Every method is called from one thread; only `request_stop` may be called from a signal handler or another thread.
    """

    def __init__(self, plan: Plan, store: SweepStore, lease: Lease, writer: TableWriter, past: History) -> None:
        """Makes a driver that goes on from what the store has.

        Args:
            plan: The plan.
            store: The sweep's part of the store.
            lease: The right to write it.
            writer: Where rows go.
            past: What earlier drivers recorded.
        """
        self.plan = plan
        self.queue = WorkQueue(plan, past.ended)
        self.running: dict[str, RunningAttempt] = {}
        self.stopping = False
        self.slots = 1
        self._store = store
        self._lease = lease
        self._writer = writer
        self._records = defaultdict(TrialRecord, past.records)
        self._ticked_at = time.monotonic()
        self._attended_seconds = 0.0
        self._curves = defaultdict(list, past.tune_curves)
        self._pruning: dict[str, Pruning] = {}
        self._warm_backbone: str | None = None
        self._handed_out = 0
        self._leaving_nodes: frozenset[str | None] = frozenset()
        self._gpu_seconds = past.gpu_seconds
        self._ended_checkpoints = deque((trial_id, 0) for trial_id in leftover_checkpoints(plan, store, past.ended))
        self.best: dict[str, TrialRow] = {}
        keys = {cell.key for cell in plan.cells}
        for row in past.ended:
            if cell_key(row.backbone, row.recipe, row.optimizer) in keys:
                self._rank(row)
        self._mark(self.queue.misplaced)

    @property
    def driver_epoch(self) -> int:
        """Which driver of the sweep this is."""
        return self._lease.driver_epoch

    def has(self, task: Task) -> bool:
        """Whether that very attempt is running."""
        running = self.running.get(task.trial_id)
        return running is not None and running.task.attempt == task.attempt

    @property
    def is_finished(self) -> bool:
        """Whether no task will be handed out any more, in this Tune run at least."""
        return self.stopping or self.is_tired or self.queue.is_finished

    @property
    def is_tired(self) -> bool:
        """Whether Tune has had as many attempts as one of its runs should; `begin_anew` ends that."""
        return self._handed_out >= ATTEMPTS_PER_TUNE_RUN

    def begin_anew(self) -> None:
        """Another Tune run begins."""
        self._handed_out = 0

    @property
    def out_of_budget(self) -> bool:
        """Whether `max_gpu_hours` is spent."""
        limit = self.plan.spec.resources.max_gpu_hours
        if limit is None:
            return False
        running = sum(gpu_seconds(self.plan, attempt) for attempt in self.running.values())
        return self._gpu_seconds + running >= limit * 3600

    @property
    def trouble(self) -> str | None:
        """What some running attempt says of a problem that stopped nothing."""
        return next((f"{trial_id}: {a.trouble}" for trial_id, a in self.running.items() if a.trouble), None)

    def request_stop(self) -> None:
        """Hands out no further task, and has running trials parked after their epoch."""
        self.stopping = True

    def next_task(self) -> Task | None:
        """A task for a free worker, or None while there is no slot or nothing that can run yet."""
        if self.is_finished or len(self.running) >= self.slots:
            return None
        trial = self.queue.take(self._warm_backbone)
        if trial is None:
            return None
        record = self._records[trial.trial_id]
        record.attempts += 1
        self._handed_out += 1
        task = self._task(trial, record)
        self.running[trial.trial_id] = RunningAttempt(trial=trial, task=task)
        return task

    def on_start(self, task: Task) -> None:
        """A worker begins with a task."""
        running = self.running[task.trial_id]
        running.started_at = utc_now()
        running.heard_at = self._attended_seconds
        self._writer.add(started_row(self.plan, running))

    def on_report(self, report: Report) -> Order:
        """Records a report, and says what its worker is to do."""
        running = self.running[report.trial_id]
        running.heard_at = self._attended_seconds
        running.resolved, running.node, running.pid = report.resolved, report.node, report.pid
        running.node_id = report.node_id
        running.trouble = report.trouble
        running.ending, running.restored_epochs = report.ending, report.restored_epochs
        running.history += report.measurements
        self._records[report.trial_id].reach(len(running.history), report.restored_epochs)
        for row in curve_rows(self.plan, running, report):
            self._writer.add(row)
        if report.ending is not None:
            self._close(running, self._judge(running, report.ending))
            return Order.NOTHING
        running.is_hopeless = self._falls_behind(running)
        must_leave = self.stopping or self.is_tired or running.is_hopeless or running.node_id in self._leaving_nodes
        return Order.LEAVE if must_leave else Order.GO_ON

    def is_hopeless(self, report: Report) -> bool:
        """Whether the trial of a report is to be pruned."""
        return self.running[report.trial_id].is_hopeless

    def may_use_again(self, report: Report) -> bool:
        """Whether the process that sent an attempt's last report may take another attempt.

        Not one on a node that goes away, and not one in which code has raised: whatever that left behind, on a GPU
        above all, is not to meet another trial.
        """
        has_raised = report.ending is not None and report.ending.kind is EndingKind.RAISED
        return not has_raised and report.node_id not in self._leaving_nodes

    def tick(self) -> None:
        """Lets time go on for what must not stay silent; called several times a second."""
        now = time.monotonic()
        self._attended_seconds += min(now - self._ticked_at, ATTENTIVE_SECONDS)
        self._ticked_at = now

    def silent(self) -> list[Task]:
        """Attempts whose workers have said nothing for `resources.hang_seconds`."""
        limit = self.plan.spec.resources.hang_seconds
        return [
            running.task
            for running in self.running.values()
            if running.heard_at is not None and self._attended_seconds - running.heard_at > limit
        ]

    def leave(self, node_ids: Collection[str]) -> None:
        """Has the trials on nodes that are about to be taken away parked after their epoch."""
        self._leaving_nodes = frozenset(node_ids)

    def on_left(self, trial_id: str, epochs: int) -> None:
        """An attempt was ended between two epochs: its trial is hopeless, or goes on later from what was saved."""
        running = self.running[trial_id]
        if running.is_hopeless:
            reason = f"pruned after {len(running.history)} epochs"
            self._close(running, Verdict(outcome=State.PRUNED, state=State.PRUNED, reason=reason))
            return
        why = "its node is being taken away; saved" if running.node_id in self._leaving_nodes else "stopped"
        reason = f"{why} after {epochs} of {self.plan.spec.training.epochs} epochs"
        self._close(running, Verdict(outcome=Outcome.STOPPED, state=None, reason=reason))

    def on_loss(self, trial_id: str, loss: Loss, detail: str = "") -> None:
        """The worker of a trial died, never came up, or was killed because it hung."""
        running, record = self.running[trial_id], self._records[trial_id]
        record.lost_in_a_row += loss is Loss.WORKER
        self._close(running, judge_loss(loss, record, detail))

    def forget_checkpoints(self) -> None:
        """Deletes the checkpoints of trials whose end is safely in the store."""
        while self._ended_checkpoints and self._writer.is_durable(self._ended_checkpoints[0][1]):
            delete_checkpoints(self._store, self._ended_checkpoints[0][0])
            self._ended_checkpoints.popleft()

    def _task(self, trial: PlannedTrial, record: TrialRecord) -> Task:
        config = replace(self.plan.config_of(trial), micro_batch=record.micro_batch)
        return Task(
            trial_id=trial.trial_id,
            attempt=record.attempts,
            driver_epoch=self._lease.driver_epoch,
            config=config.to_json(),
            store=self._store.files.root,
            sweep=self._store.name,
            checkpoint_seconds=self.plan.spec.checkpoints.interval_seconds,
            keep_checkpoint=keeps_checkpoint(self.plan, trial.role, State.COMPLETE),
            layers=trial.role in self.plan.spec.evaluation.layers,
            corruptions=self.plan.spec.evaluation.corruptions and trial.role is Role.CONFIRM,
        )

    def _judge(self, running: RunningAttempt, ending: Ending) -> Verdict:
        resolved = running.resolved
        part = score_part(self.plan, running.trial)
        samples = 1 if resolved is None else resolved.test_samples if part == "test" else resolved.validation_samples
        return judge(
            ending,
            running.history,
            resolved,
            self._records[running.trial.trial_id],
            rule=self.plan.spec.training.score,
            scored_samples=samples,
            batch_size=self.plan.spec.training.batch_size,
        )

    def _close(self, running: RunningAttempt, verdict: Verdict) -> None:
        """The one place where an attempt ends: its row is written, and its trial is closed or queued again."""
        trial = running.trial
        del self.running[trial.trial_id]
        self._pruning.pop(trial.trial_id, None)
        record = self._records[trial.trial_id]
        log = running.ending.log if running.ending else self._log_of(running.task)
        ended_attempt = ended_row(self.plan, running, verdict, log=log, micro_batch=record.micro_batch)
        self._writer.add(ended_attempt)
        self._warm_backbone = trial.cell.backbone.name
        self._gpu_seconds += ended_attempt.gpu_seconds or 0.0
        micro_batch = record.micro_batch
        record.note(verdict.outcome, micro_batch, self.plan.spec.training.batch_size)
        if verdict.state is None:
            self.queue.put_back(trial)
            return
        for measured in final_rows(self.plan, running):
            self._writer.add(measured)
        row = trial_row(self.plan, running, verdict, micro_batch=micro_batch)
        ticket = self._writer.add(row)
        self.queue.close(row)
        self._rank(row)
        self._mark(self.queue.misplaced_in(trial.cell))
        if trial.role is Role.TUNE and verdict.state is State.COMPLETE:
            self._curves[trial.cell.key].append([measurement.val_top1 for measurement in running.history])
        if not keeps_checkpoint(self.plan, trial.role, verdict.state, verdict.reason):
            self._ended_checkpoints.append((trial.trial_id, ticket))

    def _log_of(self, task: Task) -> str | None:
        """What an attempt whose worker has not handed it over had printed."""
        return read_log(self._store, task.trial_id, task.driver_epoch, task.attempt)

    def _mark(self, misplaced: Sequence[TrialRow]) -> None:
        """Says of trials whether the plan still has them."""
        for row in misplaced:
            marked = replace(row, superseded=not row.superseded, driver_epoch=self._lease.driver_epoch)
            self._writer.add(marked)
            self.queue.close(marked)

    def _rank(self, row: TrialRow) -> None:
        leader = self.best.get(row.optimizer)
        if row.score is not None and (leader is None or leader.score is None or row.score > leader.score):
            self.best[row.optimizer] = row

    def _falls_behind(self, running: RunningAttempt) -> bool:
        if running.trial.role is not Role.TUNE or self.plan.protocol.tune.pruner == "none":
            return False
        trial = running.trial
        if trial.trial_id not in self._pruning:
            self._pruning[trial.trial_id] = Pruning(self.plan, self._curves[trial.cell.key])
        return self._pruning[trial.trial_id].is_hopeless([measurement.val_top1 for measurement in running.history])
