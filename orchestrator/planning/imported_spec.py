"""What a sweep has in place of a spec where its results came from elsewhere: which file, and what it held.

Such a sweep has no plan. It is read like any other, and whatever would run something of it refuses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import UsageError

IMPORTED = "imported"
"""Role of an imported trial, and the source of its (unknown) hyper-parameters."""
_KEY = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """Where the results of an imported sweep came from."""

    file: str
    """The file's name, without folders."""
    file_sha256: str
    results_sha256: str
    """Digest of what was read: equal for two files, or two ways to write one, that say the same."""
    replicates: int
    """How many results a cell can have: seeds of the file, or repetitions of the pair that has most."""


def import_spec(record: ImportRecord, *, sweep: str, dataset: str, cells: Sequence[Sequence[str]]) -> str:
    """The spec of an imported sweep, as canonical JSON.

    Args:
        record: Where the results came from.
        sweep: The sweep's name.
        dataset: What the images were.
        cells: Of each cell the backbone, recipe and optimizer.
    """
    backbones, recipes, optimizers = (list(dict.fromkeys(cell[place] for cell in cells)) for place in range(3))
    tables: dict[str, Any] = {
        _KEY: asdict(record),
        "sweep": {"name": sweep},
        "grid": {"backbones": backbones, "optimizers": optimizers, "recipes": recipes},
        "data": {"name": dataset},
    }
    return json.dumps(tables, sort_keys=True)


def import_record(spec: str) -> ImportRecord | None:
    """What a recorded spec says of an import; None where the sweep was run here (or the spec cannot be read)."""
    try:
        return ImportRecord(**json.loads(spec)[_KEY])
    except (ValueError, KeyError, TypeError):
        return None


def refuse_imported(sweep: str, spec: str) -> None:
    """Keeps whatever runs trials away from an imported sweep.

    Raises:
        UsageError: The recorded spec is that of an import.
    """
    record = import_record(spec)
    if record is not None:
        raise UsageError(
            f"sweep {sweep} was imported from {record.file}, so there is no spec to run anything of it with; "
            "give a sweep of your own another name, or import the file again to restore lost rows"
        )
