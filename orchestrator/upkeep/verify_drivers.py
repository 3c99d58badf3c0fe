"""The drivers' claims, heartbeats and stop requests: small JSON files, each readable and as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from orchestrator.store.paths import parse_driver, parse_driver_file
from orchestrator.store.schema import ROW_TYPES
from orchestrator.store.seal import KEY, unseal_json
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy

_Fields = dict[str, type | tuple[type, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One kind of file: what it holds, and what to say of a damaged one."""

    fields: _Fields
    what: str
    lost: str
    remedy: Remedy


_KINDS = {
    "claim": _Kind(
        fields={"host": str, "machine": str, "pid": int, "process": (str, type(None)), "claimed_at": str},
        what="the claim of a driver",
        lost="which process was that driver",
        remedy=Remedy.MARK_ENDED,
    ),
    "beat": _Kind(
        fields={"at": str, "released": bool},
        what="the heartbeat of a driver",
        lost="when that driver was last alive; one that lives replaces it by itself",
        remedy=Remedy.MARK_ENDED,
    ),
    "stop": _Kind(
        fields={"requested_at": str, "now": bool},
        what="a request to stop",
        lost="whether the sweep was to stop at once; bocb stop asks again",
        remedy=Remedy.MOVE,
    ),
}


def check_drivers(sweep: SweepStore, connection: duckdb.DuckDBPyConnection) -> Findings:
    """Checks every file of the drivers' folder, and that each driver that wrote a row has its claim.

    Args:
        sweep: The sweep.
        connection: The database with its rows; see `TableCheck`.
    """
    found = Findings()
    names = sweep.files.names(sweep.paths.drivers)
    for name in names:
        path = f"{sweep.paths.drivers}/{name}"
        kind = _KINDS.get(parse_driver_file(name) or "")
        if kind is None:
            found.notes.append(f"{path} is no file of the store's")
            continue
        found.files += 1
        found.problems += _check(sweep, path, kind)
    claims = {epoch for name in names if (epoch := parse_driver(name)) is not None}
    newest = max(claims | _epochs_of_rows(connection), default=0)
    for epoch in sorted(set(range(1, newest + 1)) - claims):
        # A driver that claims the sweep after listing is no gap.
        if not sweep.files.exists(sweep.paths.driver(epoch)):
            why = "it is missing, so that its number could be given to another driver"
            found.problems.append(_problem(sweep, sweep.paths.driver(epoch), _KINDS["claim"], why))
    return found


def _epochs_of_rows(connection: duckdb.DuckDBPyConnection) -> set[int]:
    epochs = " UNION ".join(f"SELECT driver_epoch FROM all_{row_type.TABLE}" for row_type in ROW_TYPES)  # noqa: S608
    return {row[0] for row in connection.execute(epochs).fetchall()}


def _check(sweep: SweepStore, path: str, kind: _Kind) -> list[Problem]:
    try:
        data = sweep.files.read(path)
        _check_fields(unseal_json(data), kind.fields, is_sealed=f'"{KEY}"'.encode() in data)
    except FileNotFoundError:
        return []  # a claim that has gone is missed by its number
    except ValueError as error:
        return [_problem(sweep, path, kind, f"it is damaged: {error}")]
    return []


def _check_fields(content: dict[str, Any], fields: _Fields, *, is_sealed: bool) -> None:
    for name, kind in fields.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"its {name!r} is missing or of a wrong type")  # noqa: TRY004 - the content of a file
        if name.endswith("at"):
            datetime.fromisoformat(content[name])
    if not is_sealed and set(content) != set(fields):
        raise ValueError("its SHA-256 is gone")


def _problem(sweep: SweepStore, path: str, kind: _Kind, why: str) -> Problem:
    return Problem(sweep=sweep.name, file=path, what=kind.what, why=why, lost=kind.lost, remedy=kind.remedy)
