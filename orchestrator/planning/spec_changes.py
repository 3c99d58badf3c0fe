"""Which edits of a running sweep's spec are legal: those that leave old and new results comparable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.errors import SpecError
from orchestrator.planning.spec import Spec

_FREE = {
    "grid.backbones",
    "grid.optimizers",
    "grid.recipes",
    "grid.exclude",
    "data.path",  # where the images are; which they are is recorded with every trial
    "protocol.default.seeds",
    "protocol.design.points",
    "protocol.design.seeds",
    "protocol.tune.trials",
    "protocol.confirm.top",
    "protocol.confirm.seeds",
}
"""Fields that only add or remove trials, or say where something is."""
_FREE_TABLES = ("resources.", "checkpoints.")
"""Tables that change no result. `cpus_per_trial` is an exception: sums are ordered by the number of threads."""


def check_change(old: Spec, new: Spec) -> None:
    """Refuses an edit that would mix results which cannot be compared.

    Raises:
        SpecError: Naming the field and both values.
    """
    before, after = _leaves(old.model_dump(mode="json")), _leaves(new.model_dump(mode="json"))
    for field in sorted({**before, **after}):
        if before.get(field) != after.get(field) and not _is_free(field, before):
            raise SpecError(
                f"{field} was {before.get(field)!r} when sweep {old.sweep.name} started and is now "
                f"{after.get(field)!r}: results would not be comparable; undo the edit, or give the sweep a new name"
            )


def _is_free(field: str, before: dict[str, Any]) -> bool:
    if field == "resources.cpus_per_trial":
        return False
    if field.startswith(("search_spaces.", "optimizers.")):
        return field.split(".")[1] not in _names(before["grid.optimizers"])
    return field in _FREE or field.startswith(_FREE_TABLES)


def _names(entry: str | list[str]) -> list[str]:
    return [entry] if isinstance(entry, str) else entry


def _leaves(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    return dict(_walk(tables, prefix))


def _walk(tables: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _walk(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
