"""What several commands share: their options, and how they find a store and print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.console import Output
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.store.store import Store

out = Output()

StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URI", help="The store; else BOCB_STORE, else ./bocb-store.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AddressOption = Annotated[
    str | None, typer.Option("--address", metavar="A", help="A running Ray cluster; without it Ray starts by itself.")
]
SpecArgument = Annotated[
    Path, typer.Argument(metavar="SPEC", help="A TOML file, or the name of a sweep that comes along.")
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Wait for another driver's heartbeat to expire instead of refusing.")
]
TrialArgument = Annotated[str, typer.Argument(metavar="TRIAL", help="A trial's id, as the store has it.")]
SweepOption = Annotated[
    str | None, typer.Option("--sweep", metavar="SWEEP", help="The trial's sweep, where several have that id.")
]
RetryOption = Annotated[
    str | None, typer.Option("--retry", metavar="KIND,...", help="Run failed trials of these kinds again, or `all`.")
]


def existing_store(uri: str | None) -> Store:
    """A store to read: a misspelt one must not look empty.

    Raises:
        UsageError: There is none.
    """
    from orchestrator.store.store import open_store

    store = open_store(uri)
    if not store.files.is_folder():
        raise UsageError(
            f"there is no store at {store.uri}; `bocb run SPEC` makes one, --store or BOCB_STORE names another"
        )
    return store


def print_json(value: object) -> None:
    """Prints a value as JSON."""
    print(json.dumps(value, indent=2, default=str))
