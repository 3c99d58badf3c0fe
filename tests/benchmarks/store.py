"""A large study: streaming, queries, the same questions to Ray Tune's own files, and the driver's own time.

`python -m tests.benchmarks.store` prints a page of tables; `--output FILE` keeps it. Takes 3 minutes on 2 free cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.store.compaction import compact
from orchestrator.store.lease import claim
from orchestrator.store.query import run_query
from orchestrator.store.schema import CurveRow
from orchestrator.store.store import Store, open_store
from tests.benchmarks.driver import driver_table
from tests.benchmarks.machine import machine
from tests.benchmarks.made_up_trials import CELLS, SWEEP
from tests.benchmarks.streaming import Section, count_files, stream

REPEATS = 9
TUNE_CELLS = 20
ENDED_TRIALS = (0, 10_000, 39_000)
BACKBONE, OPTIMIZER = CELLS[0]
BEST = "SELECT * FROM best"
CURVES = f"SELECT * FROM curves WHERE backbone = '{BACKBONE}' AND optimizer = '{OPTIMIZER}' ORDER BY trial_id, epoch"
PACKAGES = ("duckdb", "pyarrow", "ray", "pandas")


def median_seconds(ask: Callable[[], object]) -> float:
    """Of several calls, after one that fills the caches."""
    ask()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def ask(store: Store, sql: str) -> int:
    """Rows of an answer: opening the store, planning and fetching included."""
    with run_query(store, sql) as result:
        return result.table().num_rows


def status_seconds(store: Store) -> float:
    """Of `bocb status` as a whole process."""
    command = [sys.executable, "-m", "orchestrator.cli", "status", SWEEP, "--store", store.uri]
    return median_seconds(lambda: subprocess.run(command, check=True, capture_output=True, timeout=60))


def tune_facts(folder: Path, trials: int, epochs: int) -> dict[str, float]:
    """What Tune needs for the same trials, measured in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.tune_files",
        str(folder),
        *map(str, (trials, epochs, TUNE_CELLS)),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=3600)
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


def bytes_of(store: Store) -> int:
    """Of all tables of the sweep."""
    return sum(path.stat().st_size for path in Path(store.uri, SWEEP).rglob("*.parquet"))


def bytes_per_measurement(store: Store) -> float:
    """Of the compacted curves."""
    folder = Path(store.files.location(store.sweep(SWEEP).paths.table(CurveRow)))
    with run_query(store, "SELECT count(*) AS n FROM curves") as result:
        rows = result.table()["n"][0].as_py()
    return sum(path.stat().st_size for path in folder.glob("*.parquet")) / rows


def streaming_table(sections: list[Section]) -> list[str]:
    """One line per tenth of the sweep."""
    lines = [
        "| rows so far | wall, us per row | CPU, us per row | files that count, at most | all files | memory, MB |"
    ]
    lines.append("| ---: | ---: | ---: | ---: | ---: | ---: |")
    lines += [
        f"| {item.rows:,} | {item.wall_microseconds:.1f} | {item.cpu_microseconds:.1f} | {item.live_files} | "
        f"{item.all_files} | {item.memory_megabytes} |"
        for item in sections
    ]
    return lines


def query_rows(store: Store, title: str) -> list[str]:
    """One line per question to a store in some state."""
    live, _ = count_files(store.sweep(SWEEP))
    questions = {
        "best trial per cell": median_seconds(lambda: ask(store, BEST)),
        "all curves of one cell": median_seconds(lambda: ask(store, CURVES)),
        "`bocb status`, whole process": status_seconds(store),
    }
    return [f"| {title}, {live} files | {name} | {seconds:.3f} |" for name, seconds in questions.items()]


def large_sweep(root: Path, trials: int, epochs: int) -> list[str]:
    """Streams a sweep, and asks it before and after `bocb compact`."""
    sections = stream(root, trials, epochs, cells=len(CELLS))
    store = open_store(str(root))
    queries = query_rows(store, "as the driver left it")
    began = time.perf_counter()
    with claim(store.sweep(SWEEP)) as lease:
        compact(store.sweep(SWEEP), lease)
    seconds = time.perf_counter() - began
    queries += query_rows(store, "after `bocb compact`")
    return [
        f"## {trials:,} trials of {epochs} epochs, {len(CELLS)} cells, one driver", "",
        *streaming_table(sections), "",
        f"`bocb compact`: {seconds:.1f} s. Curves: {bytes_per_measurement(store):.1f} bytes per measurement.", "",
        f"| store | question (median of {REPEATS}) | seconds |", "| --- | --- | ---: |", *queries, "",
    ]  # fmt: skip


def beside_tune(root: Path, trials: int, epochs: int) -> list[str]:
    """The same trials in both forms."""
    tune = tune_facts(root / "tune-files", trials, epochs)
    stream(root / "ours", trials, epochs, cells=TUNE_CELLS)
    store = open_store(str(root / "ours"))
    before, _ = count_files(store.sweep(SWEEP))
    running = [median_seconds(lambda sql=sql: ask(store, sql)) for sql in (BEST, CURVES)]  # type: ignore[misc]
    with claim(store.sweep(SWEEP)) as lease:
        compact(store.sweep(SWEEP), lease)
    after, _ = count_files(store.sweep(SWEEP))
    ours = [median_seconds(lambda sql=sql: ask(store, sql)) for sql in (BEST, CURVES)]  # type: ignore[misc]
    lines = [
        ("best trial per cell, s", tune["best_seconds"], running[0], ours[0]),
        ("all curves of one cell, s", tune["curves_seconds"], running[1], ours[1]),
        ("size, MB", tune["bytes"] / 1e6, None, bytes_of(store) / 1e6),
        ("files", tune["files"], before, after),
    ]
    rows = [
        f"| {name} | {theirs:.4g} | {number(left)} | {own:.4g} | {theirs / own:.1f} |"
        for name, theirs, left, own in lines
    ]
    return [
        f"## The same {trials:,} trials of {epochs} epochs in {TUNE_CELLS} cells as Ray Tune keeps them", "",
        "Tune: `params.json`, `params.pkl` and `result.json` per trial by its `JsonLoggerCallback`, and one state of",
        "the experiment; read by `ExperimentAnalysis`, grouped with pandas (imports and Ray's start not counted).",
        "bocb: its four tables, by its writer, asked through `run_query` (opening the store counted).", "",
        "| | Tune | bocb, as the driver left it | bocb, compacted | Tune / compacted |",
        "| --- | ---: | ---: | ---: | ---: |",
        *rows, "",
    ]  # fmt: skip


def number(value: float | None) -> str:
    """A cell of a table."""
    return "" if value is None else f"{value:.4g}"


def main() -> None:
    """Runs everything and prints the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--tune-trials", type=int, default=400)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    head = [
        "# Store benchmark",
        "",
        f"Made by `make bench`. {machine(PACKAGES)}; load when it began {os.getloadavg()[0]:.1f}.",
        "",
    ]
    with tempfile.TemporaryDirectory(prefix="bocb-bench-") as folder:
        page = head + large_sweep(Path(folder, "large"), options.trials, options.epochs)
        page += beside_tune(Path(folder), options.tune_trials, options.epochs)
        page += driver_table(Path(folder, "driver"), ENDED_TRIALS)
    text = "\n".join(page)
    print(text)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
