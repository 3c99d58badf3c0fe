"""What the recorded spec of a sweep asked for, in the words of its page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.analysis.counted import counted
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.errors import StoreError
from orchestrator.planning.imported_spec import import_record


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFacts:
    """What the spec asked for, as far as it was recorded: None and empty mean "not said"."""

    created_at: datetime | None = None
    version: int | None = None
    data: str | None = None
    image_size: int | None = None
    validation: str | None = None
    validation_fraction: float | None = None
    train_on: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    precision: str | None = None
    score: str | None = None
    seed: int | None = None
    protocol: tuple[str, ...] = ()
    """One phrase for each role that is run."""
    packages: tuple[tuple[str, str], ...] = ()
    """(package, version)."""
    grid: tuple[CellKey, ...] = ()
    """The planned cells, in the order of the spec."""


def spec_facts(version: Mapping[str, Any]) -> SpecFacts:
    """What one row of the table `sweeps` says.

    Raises:
        StoreError: Its JSON cannot be read.
    """
    spec = _object(version["spec"])
    data, training, protocol = (_table(spec, name) for name in ("data", "training", "protocol"))
    confirm = _table(protocol, "confirm")
    return SpecFacts(
        created_at=version["created_at"],
        version=version["version"],
        data=data.get("name"),
        image_size=data.get("image_size"),
        validation=data.get("validation"),
        validation_fraction=data.get("validation_fraction"),
        train_on=confirm.get("train_on") if confirm.get("top") else None,
        epochs=training.get("epochs"),
        batch_size=training.get("batch_size"),
        precision=training.get("precision"),
        score=training.get("score"),
        seed=_table(spec, "sweep").get("seed"),
        protocol=_imported(version["spec"]) or _protocol(protocol),
        packages=tuple(sorted((str(name), str(value)) for name, value in _object(version["packages"]).items())),
        grid=_cells(version["cells"]),
    )


def _imported(spec: str) -> tuple[str, ...]:
    record = import_record(spec)
    return () if record is None else (f"imported from {record.file}",)


def _protocol(protocol: Mapping[str, Any]) -> tuple[str, ...]:
    default, design, tune, confirm = (_table(protocol, role) for role in ("default", "design", "tune", "confirm"))
    phrases = []
    if seeds := default.get("seeds"):
        at = " at the paper's setting" if default.get("setting") == "paper" else ""
        phrases.append(f"default: {counted(seeds, 'seed')}{at}")
    if points := design.get("points"):
        phrases.append(f"design: {counted(points, 'point')} with {counted(design.get('seeds', 1), 'seed')} each")
    if number := tune.get("trials"):
        phrases.append(f"tune: {counted(number, 'trial')} ({tune.get('sampler', 'tpe')})")
    if top := confirm.get("top"):
        phrases.append(
            f"confirm: the best {counted(top, 'setting')} with {counted(confirm.get('seeds', 0), 'seed')} each"
        )
    return tuple(phrases)


def _cells(text: str) -> tuple[CellKey, ...]:
    try:
        return tuple(
            CellKey(backbone=backbone, recipe=recipe, optimizer=optimizer)
            for backbone, recipe, optimizer in json.loads(text or "[]")
        )
    except (ValueError, TypeError) as error:
        raise StoreError(f"the recorded cells of the sweep are damaged: {error}") from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise StoreError(f"the recorded spec of the sweep is damaged: {error}") from None
    return value if isinstance(value, dict) else {}


def _table(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = tables.get(name)
    return value if isinstance(value, Mapping) else {}
