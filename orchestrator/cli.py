"""The command line: reads what was asked for, calls the module that does it, prints what came out.

Heavy modules are imported inside the commands that need them, so that `status` and `query` answer at once.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.exceptions import TyperException

from orchestrator.console import Output, silence_stdout
from orchestrator.errors import BocbError, BusyError, Exit, SpecError, StoreError, UsageError
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from orchestrator.plan import Plan
    from orchestrator.store.store import Store

app = typer.Typer(
    name="bocb",
    help="Does this vision backbone depend on its optimizer? Sweeps on Ray, results in Parquet.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

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
RetryOption = Annotated[
    str | None, typer.Option("--retry", metavar="KIND,...", help="Run failed trials of these kinds again, or `all`.")
]


@app.command()
def plan(spec: SpecArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Check a spec and show its cells, trials, epochs and cost; starts nothing."""
    from orchestrator.cost import estimate
    from orchestrator.store.store import open_store
    from orchestrator.tables import plan_json, plan_text

    checked = _checked_plan(spec)
    cost = estimate(open_store(store), checked)
    if as_json:
        _print_json(plan_json(checked, cost))
    else:
        out.print(plan_text(checked, cost))


@app.command()
def run(
    spec: SpecArgument,
    address: AddressOption = None,
    store: StoreOption = None,
    retry: RetryOption = None,
    take_over: TakeOverOption = False,
) -> int:
    """Run a sweep here or on a Ray cluster; the same command again continues it."""
    from orchestrator.store.store import open_store

    checked = _checked_plan(spec)
    return _run(checked, open_store(store, create=True), address=address, retry=retry, take_over=take_over)


@app.command()
def submit(
    spec: SpecArgument,
    address: Annotated[str, typer.Option("--address", metavar="URL", help="The cluster's job server.")],
    store: StoreOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")] = False,
    retry: RetryOption = None,
    as_json: JsonOption = False,
) -> int:
    """Hand a sweep to a Ray cluster as a job; submitting twice never runs it twice."""
    from orchestrator.store.store import open_store
    from orchestrator.submission import submit as submit_job
    from orchestrator.submission import wait_for

    checked = _checked_plan(spec)
    submission = submit_job(checked.spec, open_store(store, create=True), address, retries=_kinds(retry))
    if as_json:
        _print_json({"job_id": submission.job_id, "is_new": submission.is_new, "sweep": checked.spec.sweep.name})
    else:
        verb = "submitted as" if submission.is_new else "already there as"
        out.print(f"{checked.spec.sweep.name} is {verb} job {submission.job_id}", highlight=False)
    if not wait:
        return Exit.COMPLETE
    log = sys.stderr if as_json else sys.stdout
    return wait_for(submission.job_id, address, show=lambda text: print(text, end="", flush=True, file=log))


@app.command()
def status(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="A sweep; without it all of them.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the matrix of cells with counts by state, progress and time left."""
    from orchestrator.status import sweep_status
    from orchestrator.tables import status_line, status_table

    opened = _existing_store(store)
    names = [sweep] if sweep else opened.sweeps()
    found = [sweep_status(opened, name) for name in names]
    if as_json:
        _print_json(found[0].as_json() if len(found) == 1 else {"sweeps": [one.as_json() for one in found]})
        return
    if not found:
        out.print(f"the store {opened.uri} holds no sweeps", highlight=False)
    for one in found:
        if len(found) == 1:
            out.print(status_table(one))
        out.print(status_line(one), highlight=False)


@app.command()
def resume(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    retry: RetryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would run, and start nothing.")] = False,
    address: AddressOption = None,
    store: StoreOption = None,
    take_over: TakeOverOption = False,
    as_json: JsonOption = False,
) -> int:
    """Continue a sweep from its recorded spec; with --retry also its failed trials of those kinds."""
    from orchestrator.preflight import check_plan
    from orchestrator.resume import recorded_plan, what_would_run

    opened = _existing_store(store)
    recorded = recorded_plan(opened, sweep)
    if not dry_run:
        check_plan(recorded)
        return _run(recorded, opened, address=address, retry=retry, take_over=take_over)
    outlook = what_would_run(opened, recorded, _kinds(retry))
    if as_json:
        _print_json(outlook.as_json())
    else:
        for trial_id in outlook.trials:
            out.print(trial_id, highlight=False)
        out.print(
            f"{len(outlook.trials)} trials can start now, {outlook.later} more depend on them; "
            f"{outlook.done} have ended",
            highlight=False,
        )
    return Exit.COMPLETE


@app.command()
def stop(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    now: Annotated[bool, typer.Option("--now", help="Do not wait for the running epochs.")] = False,
    store: StoreOption = None,
) -> None:
    """End a running sweep cleanly after its running epochs; it can be resumed."""
    from orchestrator.stop_request import request_stop
    from orchestrator.store.lease import driver_of

    opened = _existing_store(store).existing_sweep(sweep)
    driver = driver_of(opened)
    if driver is None or not driver.alive:
        raise UsageError(f"sweep {sweep} is not running; nothing to stop")
    request_stop(opened, driver.driver_epoch, now=now)
    out.print(f"asked process {driver.pid} on {driver.host} to stop {sweep}", highlight=False)


@app.command()
def query(
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="One SELECT over trials, curves, attempts, sweeps, ...")
    ] = None,
    paths: Annotated[
        bool, typer.Option("--paths", help="Instead list the Parquet files that count, of one table or of all.")
    ] = False,
    store: StoreOption = None,
    form: Annotated[
        Literal["table", "json", "csv", "parquet"], typer.Option("--format", help="How to print the answer.")
    ] = "table",
    as_json: JsonOption = False,
) -> None:
    """Ask the store in SQL (DuckDB); reads only."""
    from orchestrator.store.formats import write_result
    from orchestrator.store.query import live_paths, path_list, run_query

    if paths:
        found = live_paths(_existing_store(store), sql)
        _print_json(found) if as_json else print(path_list(found), end="")
        return
    if sql is None:
        raise UsageError("bocb query needs one SELECT statement, or --paths")
    with run_query(_existing_store(store), sql) as result:
        write_result(result, "json" if as_json else form, sys.stdout.buffer, width=out.width)


@app.command()
def compact(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Turn the many small files of every sweep into few large ones."""
    from orchestrator.tables import compaction_table
    from orchestrator.upkeep import compact_sweeps

    done = compact_sweeps(_existing_store(store))
    if as_json:
        _print_json(
            [
                {"sweep": name, "table": s.table, "files": s.files_after, "rows": s.rows_after}
                for name, s in done.summaries
            ]
        )
    else:
        out.print(compaction_table(done.summaries))
    if done.busy:
        raise BusyError("; ".join(done.busy))


@app.command()
def verify(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="A sweep; without it all of them.")] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Move what is damaged to .damaged/, so that `bocb resume` restores it.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check every file and row, and say what is wrong, what is lost and what mends it."""
    from orchestrator.health import examine_sweeps

    health = examine_sweeps(_existing_store(store), sweep, mend=mend)
    if as_json:
        _print_json(health.as_json())
    else:
        for line in health.lines():
            out.print(line, highlight=False, soft_wrap=True)
    return Exit.COMPLETE if health.ok else Exit.STORE


@app.command()
def report(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="Where the page goes.")],
    store: StoreOption = None,
) -> None:
    """Write the page of a sweep: one self-contained HTML file."""
    from orchestrator.analysis.load import load_page_data
    from orchestrator.analysis.report import write_report
    from orchestrator.store.query import read

    opened = _existing_store(store)
    opened.existing_sweep(sweep)
    if not output.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {output.absolute().parent} to write {output.name} into")
    write_report(read(opened, lambda connection: load_page_data(connection, sweep)), output)
    out.print(f"store:  {opened.uri}\nreport: {output.absolute()}", highlight=False, soft_wrap=True)


@app.command("list")
def list_names(
    what: Annotated[Literal["backbones", "optimizers", "recipes", "datasets", "sweeps"], typer.Argument()],
    as_json: JsonOption = False,
) -> None:
    """Show what there is: backbones, optimizers, recipes, data sets or sweeps, with facts about each."""
    from orchestrator.catalogue import catalogue
    from orchestrator.tables import table_of

    entries = catalogue(what)
    if as_json:
        _print_json(entries)
    elif entries:
        out.print(table_of(list(entries[0]), [list(entry.values()) for entry in entries]))


@app.command()
def doctor(store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Check Ray, GPUs, data and store, and say what to mend."""
    from orchestrator.doctor import examine

    findings = list(examine(store))
    if as_json:
        _print_json([{"check": f.check, "ok": f.ok, "detail": f.detail, "mend": f.mend} for f in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "BAD "
            mend = "" if finding.ok or not finding.mend else f"\n     mend: {finding.mend}"
            out.print(f"{mark} {finding.check}: {finding.detail}{mend}", highlight=False, soft_wrap=True)
    return Exit.COMPLETE if all(finding.ok for finding in findings) else Exit.USAGE


def _checked_plan(spec: Path) -> Plan:
    """The plan of a spec file or of a sweep that comes along, with all that it names looked at."""
    from orchestrator.catalogue import sweep_file
    from orchestrator.grid import make_plan
    from orchestrator.preflight import check_plan
    from orchestrator.spec import load_spec

    checked = make_plan(load_spec(sweep_file(spec)))
    check_plan(checked)
    return checked


def _existing_store(uri: str | None) -> Store:
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


def _run(plan: Plan, store: Store, *, address: str | None, retry: str | None, take_over: bool) -> int:
    from orchestrator.progress import Progress
    from orchestrator.sweep import RunOptions, run_sweep

    options = RunOptions(address=address, retry=_kinds(retry), take_over=take_over)
    return run_sweep(plan, store, options, Progress(out))


def _kinds(retry: str | None) -> tuple[str, ...]:
    """The kinds of failures that `--retry` names.

    Raises:
        UsageError: One of them is no kind.
    """
    from orchestrator.history import FAILURE_KINDS

    kinds = tuple(kind.strip() for kind in (retry or "").split(",") if kind.strip())
    for kind in kinds:
        if kind not in FAILURE_KINDS:
            raise UsageError(f"--retry {kind} is no kind of failure; known: {', '.join(FAILURE_KINDS)}")
    return kinds


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, default=str))


def main() -> None:
    """Runs the command line, and turns what was raised into one sentence and an exit code."""
    # So that a user's own `package.module:name` is found in the current folder. Last, so that it shadows nothing.
    sys.path.append(str(Path.cwd()))
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    as_json = "--json" in arguments
    try:
        code = app(arguments, standalone_mode=False)
    except BrokenPipeError:
        # Whoever read the answer has seen enough.
        silence_stdout()
        code = Exit.COMPLETE
    except TyperException as error:
        _fail(str(error) or "see --help", "usage", as_json=as_json)
        code = Exit.USAGE
    except (BocbError, UserError) as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), getattr(error, "kind", SpecError.kind), as_json=as_json)
        code = getattr(error, "exit_code", Exit.USAGE)
    except OSError as error:
        if debug:
            traceback.print_exc()
        _fail(f"the system refuses: {error}", StoreError.kind, as_json=as_json)
        code = Exit.STORE
    except KeyboardInterrupt:
        _fail("stopped by a signal; the same command continues the sweep", "signal", as_json=as_json)
        code = Exit.SIGNAL
    sys.exit(int(code or 0))


def _fail(sentence: str, kind: str, *, as_json: bool) -> None:
    text = json.dumps({"error": sentence, "kind": kind}) if as_json else f"bocb: {sentence}"
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
