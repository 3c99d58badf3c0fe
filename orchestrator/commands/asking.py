"""The commands that read a store or a catalogue: status, logs, query, list."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.commands.options import (
    JsonOption,
    StoreOption,
    SweepOption,
    TrialArgument,
    existing_store,
    out,
    print_json,
)
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.store.store import Store


def status(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="A sweep; without it all of them.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the matrix of cells with counts by state, progress and time left."""
    from orchestrator.status import sweep_status
    from orchestrator.terminal.tables import status_line, status_table

    opened = existing_store(store)
    names = [sweep] if sweep else opened.sweeps()
    found = [sweep_status(opened, name) for name in names]
    if as_json:
        every = [one.as_json() for one in found]
        alone = every[0] if len(every) == 1 else {}
        # Without a name a list, whatever the store holds; where there is one sweep its keys stand beside it.
        print_json(every[0] if sweep else {**alone, "sweeps": every})
        return
    if not found:
        out.print(f"the store {opened.uri} holds no sweeps", highlight=False)
    for one in found:
        if len(found) == 1:
            out.print(status_table(one))
        out.print(status_line(one), highlight=False)


def logs(
    trial: TrialArgument, sweep: SweepOption = None, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Show what the attempts of a trial printed, how they ended, and their tracebacks."""
    from orchestrator.trial_log import as_json as attempt_json
    from orchestrator.trial_log import as_text, attempts_of, sweep_of_trial

    opened = existing_store(store)
    attempts = attempts_of(sweep_of_trial(opened, trial, sweep), trial)
    if not attempts:
        raise UsageError(f"trial {trial} has no attempts: it was imported, and nothing of it ran here")
    if as_json:
        print_json([attempt_json(row) for row in attempts])
        return
    for piece in as_text(attempts):
        out.print(piece, highlight=False, soft_wrap=True, end="")


def query(
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL|TABLE",
            help="One SELECT over trials, curves, layers, corruptions, attempts, sweeps, ...; with --paths a table.",
        ),
    ] = None,
    paths: Annotated[
        bool, typer.Option("--paths", help="List the Parquet files that count, of the named table or of all.")
    ] = False,
    store: StoreOption = None,
    form: Annotated[
        Literal["table", "json", "csv", "parquet"], typer.Option("--format", help="How to print the answer.")
    ] = "table",
    as_json: JsonOption = False,
) -> None:
    """Ask the store in SQL (DuckDB); reads only."""
    from orchestrator.store.query import run_query
    from orchestrator.terminal.query_formats import write_result

    form = "json" if as_json else form
    if paths:
        _print_paths(existing_store(store), sql, form)
        return
    if sql is None:
        raise UsageError("bocb query needs one SELECT statement, or --paths; see `bocb query --help`")
    with run_query(existing_store(store), sql) as result:
        write_result(result, form, sys.stdout.buffer, width=out.width)


def _print_paths(store: Store, table: str | None, form: str) -> None:
    from orchestrator.store.live import live_paths

    if form not in ("table", "json"):
        raise UsageError(
            f"--paths prints one path per line, or with --format json a mapping; there is no {form} of it"
        )
    found = live_paths(store, table)
    if form == "json":
        print_json(found)
        return
    for tables in found.values():
        for path in itertools.chain.from_iterable(tables.values()):
            print(path)


def list_names(
    what: Annotated[Literal["backbones", "optimizers", "recipes", "datasets", "sweeps"], typer.Argument()],
    every_name: Annotated[
        bool, typer.Option("--all", help="Of the backbones also every architecture of timm.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what there is: backbones, optimizers, recipes, data sets or sweeps, with facts about each."""
    from orchestrator.catalogue import catalogue
    from orchestrator.terminal.tables import table_of

    if every_name and what != "backbones":
        raise UsageError(f"--all is for backbones; `bocb list {what}` shows all there is")
    entries = catalogue(what, every_name=every_name)
    if as_json:
        print_json(entries)
    elif entries:
        out.print(table_of(list(entries[0]), [list(entry.values()) for entry in entries]))
