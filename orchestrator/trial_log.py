"""What the attempts of a trial printed and how they ended, in the order in which they ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.running.outcomes import Outcome
from orchestrator.store.reader import read_rows, read_table
from orchestrator.store.schema import AttemptRow, TrialRow
from orchestrator.store.store import Store, SweepStore
from orchestrator.worker.checkpoints import read_log
from search_spaces.errors import unknown_name


def sweep_of_trial(store: Store, trial_id: str, sweep: str | None) -> SweepStore:
    """The sweep that has a trial.

    Args:
        store: The store.
        trial_id: The trial.
        sweep: Its sweep; None looks in all of them.

    Raises:
        UsageError: None has it, or several do; the message names close ids, or those sweeps.
    """
    known: dict[str, set[str]] = {}
    for name in [sweep] if sweep else store.sweeps():
        found = store.existing_sweep(name)
        for row_type in (AttemptRow, TrialRow):  # an imported trial has no attempt
            for known_id in read_table(found, row_type, columns=["trial_id"])["trial_id"].unique().to_pylist():
                known.setdefault(known_id, set()).add(name)
    if trial_id not in known:
        raise UsageError(str(unknown_name("trial", trial_id, known)) if known else f"{store.uri} holds no trials")
    names = sorted(known[trial_id])
    if len(names) > 1:
        raise UsageError(f"trial {trial_id} is in the sweeps {', '.join(names)}; choose one with --sweep")
    return store.sweep(names[0])


def attempts_of(sweep: SweepStore, trial_id: str) -> list[AttemptRow]:
    """The attempts of a trial, first to last; one that still runs has the log that it has written so far."""
    return [_with_log(sweep, row) for row in read_rows(sweep, AttemptRow, where={"trial_id": trial_id})]


def _with_log(sweep: SweepStore, row: AttemptRow) -> AttemptRow:
    if row.outcome != Outcome.RUNNING:
        return row
    return replace(row, log=read_log(sweep, row.trial_id, row.driver_epoch, row.attempt))


def as_text(attempts: list[AttemptRow]) -> Iterator[str]:
    """The attempts for a person to read, piece by piece."""
    for row in attempts:
        place = f" on {row.node}, process {row.pid}" if row.pid else ""
        why = f": {row.reason}" if row.reason else ""
        yield f"== attempt {row.attempt} (driver {row.driver_epoch}{place}) {row.outcome}{why}\n"
        yield from (_ended(part) for part in (row.log, row.traceback) if part)


def as_json(row: AttemptRow) -> dict[str, Any]:
    """An attempt with its times as ISO strings."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in asdict(row).items()}


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
