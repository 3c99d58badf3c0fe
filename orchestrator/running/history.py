"""What the store remembers of a sweep, in the form in which a driver goes on from it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from orchestrator.clock import utc_now
from orchestrator.planning.plan import Plan, Role, cell_key
from orchestrator.planning.spec_changes import check_edit
from orchestrator.running.outcomes import DAMAGED, RETRY_ALL, Loss, Outcome, State, TrialRecord, failure_kind
from orchestrator.running.trial_rows import gpu_share, own_sources
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, CurveRow, SweepRow, TrialRow
from orchestrator.store.store import SweepStore
from orchestrator.worker.checkpoints import read_log


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything a driver must know about the drivers before it."""

    version: SweepRow | None
    """The newest version of the spec that was run."""
    ended: tuple[TrialRow, ...]
    """Trials that ended and are not to be retried."""
    records: Mapping[str, TrialRecord]
    """What each trial's attempts so far leave to the next one."""
    unfinished: tuple[AttemptRow, ...]
    """Attempts that a dead driver left running, with what they did and cost; without what they printed."""
    tune_curves: dict[str, list[list[float]]]
    """Per cell key, the validation accuracies of its ended tune trials; only where the plan prunes."""
    gpu_seconds: float
    """What all attempts so far cost, those that were lost included."""
    of_other_source: Mapping[str, int]
    """Per backbone, optimizer or data whose own source has changed since, the ended trials of the former source."""


def recorded_versions(store: SweepStore) -> list[SweepRow]:
    """The versions of a sweep that were run, oldest first."""
    return sorted(read_rows(store, SweepRow), key=lambda row: row.version)


def newest_version(store: SweepStore) -> SweepRow | None:
    """The newest version of a sweep, or None where none was run."""
    return next(reversed(recorded_versions(store)), None)


def read_history(store: SweepStore, plan: Plan, retry: Collection[str] = ()) -> History:
    """Reads what a sweep's earlier drivers recorded.

    Args:
        store: The sweep's part of the store.
        plan: The plan to go on with.
        retry: Kinds of failures to run again; `all` for every kind.

    Raises:
        SpecError: Results of the plan could not be compared with what the store has.
        StoreError: The store cannot be read.
    """
    versions = recorded_versions(store)
    check_edit(versions, plan)
    rows = read_rows(store, TrialRow)
    attempts = _with_work(store, plan, read_rows(store, AttemptRow, without=AttemptRow.LONG), rows)
    # A trial whose record was damaged did not fail: it is always run again.
    kinds = {*retry, DAMAGED}
    retried = {
        row.trial_id
        for row in rows
        if row.state == State.FAIL and (RETRY_ALL in kinds or failure_kind(row.reason) in kinds)
    }
    return History(
        version=versions[-1] if versions else None,
        ended=tuple(row for row in rows if row.trial_id not in retried),
        records=_records(attempts, plan.spec.training.batch_size),
        unfinished=tuple(row for row in attempts if row.outcome == Outcome.RUNNING),
        tune_curves=_tune_curves(store, plan, rows),
        gpu_seconds=sum(row.gpu_seconds or 0.0 for row in attempts),
        of_other_source=_of_other_source(plan, [row for row in rows if row.trial_id not in retried]),
    )


def lost_attempts(store: SweepStore, history: History, driver_epoch: int) -> list[AttemptRow]:
    """The rows that close what a dead driver left running."""
    return [
        replace(
            row,
            outcome=Outcome.LOST,
            reason="its driver died",
            ended_at=utc_now(),
            driver_epoch=driver_epoch,
            log=read_log(store, row.trial_id, row.driver_epoch, row.attempt),
        )
        for row in history.unfinished
    ]


def _with_work(store: SweepStore, plan: Plan, attempts: list[AttemptRow], rows: list[TrialRow]) -> list[AttemptRow]:
    """The attempts; those that a dead driver left with the epochs that the store has of them, and their GPU time.

    What is not known is left out: the epoch under way, rows that were not written yet, and, of an attempt that went
    on from a checkpoint, epochs that an attempt before it had trained already.
    """
    lost = {row.trial_id for row in attempts if row.outcome == Outcome.RUNNING}
    curves: dict[tuple[str, int], list[CurveRow]] = defaultdict(list)
    for point in read_rows(store, CurveRow, where={"trial_id": lost}) if lost else ():
        curves[point.trial_id, point.attempt].append(point)
    share = _share_of_lost(plan, rows)
    reached: dict[str, int] = defaultdict(int)
    found = []
    for row in sorted(attempts, key=lambda row: row.attempt):
        before = reached[row.trial_id]
        if row.outcome == Outcome.RUNNING:
            curve = curves[row.trial_id, row.attempt]
            seconds = sum(point.seconds for point in curve if point.epoch > before)
            epochs = max((point.epoch for point in curve), default=0)
            found.append(replace(row, first_epoch=before + 1, epochs_done=epochs, gpu_seconds=seconds * share))
        else:
            found.append(row)
        reached[row.trial_id] = max(before, row.epochs_done or 0)
    return found


def _share_of_lost(plan: Plan, rows: list[TrialRow]) -> float:
    """The share of a GPU that lost attempts held; they did not live to say on which device they ran.

    It is taken to be that of the trials that ended. Where none has, a GPU is assumed if the spec asks for one or
    sets a budget: a budget that ends a sweep early can be raised, one that was overdrawn is spent.
    """
    devices = {row.device for row in rows if row.device is not None}
    resources = plan.spec.resources
    is_gpu = (
        devices != {"cpu"} if devices else resources.gpus_per_trial != "auto" or resources.max_gpu_hours is not None
    )
    return gpu_share(plan) if is_gpu else 0.0


def _of_other_source(plan: Plan, rows: list[TrialRow]) -> Mapping[str, int]:
    cells = {cell.key: cell for cell in plan.cells}
    found: Counter[str] = Counter()
    for row in rows:
        cell = cells.get(cell_key(row.backbone, row.recipe, row.optimizer))
        if cell is None or row.source_sha256 is None:
            continue
        before, now = json.loads(row.source_sha256), json.loads(own_sources(plan, cell) or "{}")
        names = {"backbone": row.backbone, "optimizer": row.optimizer, "data": row.dataset}
        found.update(f"{part} {names[part]}" for part in names if before.get(part) != now.get(part))
    return found


def _records(attempts: list[AttemptRow], batch_size: int) -> dict[str, TrialRecord]:
    records: dict[str, TrialRecord] = defaultdict(TrialRecord)
    for row in sorted(attempts, key=lambda row: row.attempt):
        record = records[row.trial_id]
        record.attempts = row.attempt
        record.reach(row.epochs_done or 0, restored=(row.first_epoch or 1) - 1)
        record.note(row.outcome, row.micro_batch, batch_size)
        record.lost_in_a_row += row.outcome == Outcome.LOST and (row.reason or "").startswith(Loss.WORKER)
    return records


def _tune_curves(store: SweepStore, plan: Plan, rows: list[TrialRow]) -> dict[str, list[list[float]]]:
    if plan.protocol.tune.pruner == "none":
        return {}
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for point in read_rows(store, CurveRow, where={"role": Role.TUNE}):
        curves[point.trial_id][point.epoch] = point.val_top1
    found: dict[str, list[list[float]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.number):
        if row.role == Role.TUNE and row.state == State.COMPLETE:
            curve = curves[row.trial_id]
            found[cell_key(row.backbone, row.recipe, row.optimizer)].append([curve[epoch] for epoch in sorted(curve)])
    return found
