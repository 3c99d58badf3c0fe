"""Which edits of a running sweep's spec are legal: those that leave old and new results comparable."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from orchestrator.errors import SpecError
from orchestrator.planning.imported_spec import refuse_imported
from orchestrator.planning.plan import Plan
from orchestrator.planning.spec import Spec, spec_from_record
from orchestrator.store.schema import SweepRow
from search_spaces.optimizers import expand_optimizers

_Keys = tuple[str, ...]
"""The keys on the way to a field; a name of the user's own may have dots in it."""

_FREE = {
    "grid.backbones",
    "grid.optimizers",
    "grid.recipes",
    "grid.exclude",
    "data.path",  # where the images are; which they are is recorded with every trial
    "data.max_bad_samples",  # no result so far has met more bad samples than were allowed
    "protocol.default.seeds",
    "protocol.design.points",
    "protocol.design.seeds",
    "protocol.tune.trials",
    "protocol.confirm.top",
    "protocol.confirm.seeds",
}
"""Fields that only add or remove trials, or say where something is."""
_FREE_TABLES = ("resources", "checkpoints", "evaluation")
"""Tables that change no result. `cpus_per_trial` is an exception: sums are ordered by the number of threads."""


def check_edit(versions: Sequence[SweepRow], plan: Plan) -> None:
    """Refuses a plan whose results cannot be compared with those of every version that ran, not of the newest alone.

    What an edit dropped may come back in a later one, and its old trials then count again.

    Args:
        versions: The sweep's recorded versions, oldest first; a plan of the newest one's spec is always accepted.
        plan: The plan to go on with.

    Raises:
        SpecError: Naming the field and both values.
        UsageError: The sweep was imported.
        StoreError: A recorded spec cannot be read.
    """
    for version in versions:
        refuse_imported(plan.spec.sweep.name, version.spec)
    if not versions or versions[-1].spec_sha256 == plan.spec.digest():
        return
    for version in versions:
        had = {optimizer for _, _, optimizer in json.loads(version.cells)}
        check_change(spec_from_record(version.spec), plan.spec, shared=had & plan.optimizers.keys())


def check_change(old: Spec, new: Spec, *, shared: Collection[str] | None = None) -> None:
    """Refuses an edit that would mix results which cannot be compared.

    Args:
        old: A spec that was run.
        new: The spec to go on with.
        shared: Names of the optimizers that cells of both have; None takes those that both grids name.

    Raises:
        SpecError: Naming the field and both values.
    """
    if shared is None:
        shared = _names(old.grid.optimizers) & _names(new.grid.optimizers)
    before, after = _leaves(old), _leaves(new)
    for path in sorted({**before, **after}):
        if before.get(path) != after.get(path) and not _is_free(path, shared):
            raise SpecError(
                f"{'.'.join(path)} was {before.get(path)!r} in an earlier run of sweep {old.sweep.name} and is now "
                f"{after.get(path)!r}: results would not be comparable; undo the edit, or give the sweep a new name"
            )


def _is_free(path: _Keys, shared: Collection[str]) -> bool:
    table, field = path[0], ".".join(path)
    if table in ("search_spaces", "optimizers"):
        return path[1] not in shared
    return field in _FREE or (table in _FREE_TABLES and field != "resources.cpus_per_trial")


def _names(entry: str | list[str]) -> set[str]:
    words = [entry] if isinstance(entry, str) else entry
    return {name for word in words for name in expand_optimizers(word)}


def _leaves(spec: Spec) -> dict[_Keys, Any]:
    return dict(_walk(spec.model_dump(mode="json", by_alias=True), ()))


def _walk(tables: dict[str, Any], above: _Keys) -> Iterator[tuple[_Keys, Any]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _walk(value, (*above, key))
        else:
            yield (*above, key), value
