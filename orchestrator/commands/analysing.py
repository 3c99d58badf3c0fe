"""The commands that explain results: analyze, report and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrator.commands.options import JsonOption, StoreOption, existing_store, out, print_json
from orchestrator.errors import UsageError


def analyze(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    method: Annotated[
        Literal["bocb", "paper"],
        typer.Option("--method", help="paper: the statistics that the paper prints, and how they differ."),
    ] = "bocb",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how strong the coupling is, how sensitive each optimizer is to tuning, how robust each backbone."""
    from orchestrator.analysis.answers.analysis import analyse, analyse_as_paper
    from orchestrator.analysis.answers.as_json import as_json as to_json
    from orchestrator.analysis.trials.load import load_sweep
    from orchestrator.store.query import read
    from orchestrator.terminal.analysis_text import analysis_text, paper_text

    opened = existing_store(store)
    opened.existing_sweep(sweep)
    data = read(opened, lambda connection: load_sweep(connection, sweep))
    if method == "paper":
        paper = analyse_as_paper(data)
        if paper is None:
            raise UsageError(
                f"{sweep} has no confirmed, imported or default results of two backbones and two optimizers yet"
            )
        if as_json:
            print_json(to_json(paper))
        else:
            out.print(paper_text(paper))
        return
    analysis = analyse(data, seed=seed)
    if as_json:
        print_json(to_json(analysis))
    else:
        out.print(analysis_text(analysis))


def report(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.html", help="Where the page goes.")],
    figures: Annotated[
        Path | None,
        typer.Option("--figures", metavar="DIR", help="Also write each plot as SVG, PDF and PNG into this folder."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write the page of a sweep: one self-contained HTML file."""
    from orchestrator.analysis.page.report import write_report
    from orchestrator.analysis.trials.load import load_page_data
    from orchestrator.store.query import read

    opened = existing_store(store)
    opened.existing_sweep(sweep)
    if not output.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {output.absolute().parent} to write {output.name} into")
    page_data = read(opened, lambda connection: load_page_data(connection, sweep))
    drawn = write_report(page_data, output, figures=figures)
    lines = [f"store:   {opened.uri}", f"report:  {output.absolute()}"]
    if figures is not None:
        lines.append(f"figures: {figures.absolute()} ({len(drawn)} files)")
    out.print("\n".join(lines), highlight=False, soft_wrap=True)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A sweep, say an imported table.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one: differences are B minus A.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show two sweeps side by side: the differences of their cells with intervals, and what they agree on."""
    from orchestrator.analysis.answers.as_json import as_json as to_json
    from orchestrator.analysis.answers.comparison import compare_sweeps
    from orchestrator.analysis.trials.load import load_sweep
    from orchestrator.store.query import read
    from orchestrator.terminal.comparison_text import comparison_text

    if first == second:
        raise UsageError(f"{first} is one sweep; name two to compare")
    opened = existing_store(store)
    for name in (first, second):
        opened.existing_sweep(name)
    sides = read(opened, lambda connection: [load_sweep(connection, name) for name in (first, second)])
    found = compare_sweeps(*sides)
    if as_json:
        print_json(to_json(found))
    else:
        out.print(comparison_text(found))
