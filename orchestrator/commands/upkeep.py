"""The commands that look after a store and a machine: import, compact, verify, doctor."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.commands.options import JsonOption, StoreOption, existing_store, out, print_json
from orchestrator.errors import BusyError, Exit
from trainers.config import Precision


def import_results(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv", help="Columns backbone, optimizer, top1; also seed, recipe, dataset and state."
        ),
    ],
    sweep: Annotated[str, typer.Option("--sweep", metavar="NAME", help="The sweep that they become.")],
    percent: Annotated[bool, typer.Option("--percent", help="Accuracies are 0 to 100, not 0 to 1.")] = False,
    classes: Annotated[
        int | None,
        typer.Option(
            "--classes", min=2, max=2**31 - 1, help="Number of classes: a DIVERGED result scores 1 of so many."
        ),
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="What they were trained on.")] = "unknown",
    recipe: Annotated[str, typer.Option("--recipe", metavar="NAME", help="How they were trained.")] = "unknown",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store results from elsewhere, to be analysed like any sweep."""
    from orchestrator.importing.imported_sweep import import_sweep
    from orchestrator.importing.results import ImportOptions, read_results
    from orchestrator.store.paths import check_sweep_name
    from orchestrator.store.store import open_store
    from orchestrator.terminal.tables import import_line

    check_sweep_name(sweep)
    options = ImportOptions(percent=percent, classes=classes, dataset=dataset, recipe=recipe)
    results = read_results(file, options)
    for remark in results.remarks:
        print(f"bocb: {remark}", file=sys.stderr)
    done = import_sweep(open_store(store, create=True), sweep, results)
    if as_json:
        print_json(done.as_json())
    else:
        out.print(import_line(done), highlight=False, soft_wrap=True)


def compact(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Turn the many small files of every sweep into few large ones."""
    from orchestrator.terminal.tables import compaction_table
    from orchestrator.upkeep.whole_store import compact_sweeps

    done = compact_sweeps(existing_store(store))
    if as_json:
        print_json(
            [
                {"sweep": name, "table": s.table, "files": s.files_after, "rows": s.rows_after}
                for name, s in done.summaries
            ]
        )
    elif done.summaries or not done.busy:
        out.print(compaction_table(done.summaries))
    if done.busy:
        raise BusyError("; ".join(done.busy))


def verify(
    sweep: Annotated[str | None, typer.Argument(metavar="[SWEEP]", help="A sweep; without it all of them.")] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Move what is damaged to .damaged/, so that `bocb resume` restores it.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check every file and row, and say what is wrong, what is lost and what mends it."""
    from orchestrator.upkeep.whole_store import verify_sweeps

    health = verify_sweeps(existing_store(store), sweep, mend=mend)
    if as_json:
        print_json(health.as_json())
    else:
        for line in health.lines():
            out.print(line, highlight=False, soft_wrap=True)
    health.raise_refusals()
    return Exit.COMPLETE if health.ok else Exit.STORE


def doctor(
    grid: Annotated[
        bool, typer.Option("--grid", help="Instead take one training step of every pair of the paper's grid.")
    ] = False,
    backbones: Annotated[
        str, typer.Option("--backbones", metavar="NAME,...", help="With --grid: only these backbones or families.")
    ] = "paper20",
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="With --grid: images of a step.")] = 2,
    precision: Annotated[
        Precision, typer.Option("--precision", help="With --grid: arithmetic; auto is bfloat16 on a GPU.")
    ] = Precision.AUTO,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Check Ray, GPUs, data and store, and say what to mend."""
    if grid:
        return _check_grid(backbones.split(","), batch_size, precision, as_json=as_json)
    from orchestrator.doctor import examine

    findings = list(examine(store))
    if as_json:
        print_json([{"check": f.check, "ok": f.ok, "detail": f.detail, "mend": f.mend} for f in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "BAD "
            mend = "" if finding.ok or not finding.mend else f"\n     mend: {finding.mend}"
            out.print(f"{mark} {finding.check}: {finding.detail}{mend}", highlight=False, soft_wrap=True)
    return Exit.COMPLETE if all(finding.ok for finding in findings) else Exit.USAGE


def _check_grid(backbones: list[str], batch_size: int, precision: Precision, *, as_json: bool) -> int:
    from orchestrator.grid_check import check_grid
    from orchestrator.terminal.tables import grid_table

    checks = []
    for check in check_grid(batch_size=batch_size, precision=precision, backbones=backbones):
        checks.append(check)
        if check.error or (sys.stderr.isatty() and not as_json):
            trouble = f": {check.error}" if check.error else f" {check.seconds:.2f} s"
            print(f"{check.backbone} x {check.optimizer}{trouble}", file=sys.stderr)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        out.print(grid_table(checks))
    return Exit.COMPLETE if all(check.error is None for check in checks) else Exit.FAILED_TRIALS
