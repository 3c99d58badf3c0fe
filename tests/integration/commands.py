"""The command line as its users call it: a process of its own with a time limit, ended with all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from orchestrator.store.reader import read_rows
from orchestrator.store.schema import AttemptRow, CurveRow, SweepRow, TrialRow
from orchestrator.store.store import open_store

R = TypeVar("R", SweepRow, TrialRow, CurveRow, AttemptRow)

ROOT = Path(__file__).parent.parent.parent
RUN_SECONDS = 150
MARK = "BOCB_TEST_RUN"


def environment(store: Path, **more: str) -> dict[str, str]:
    """The environment of a command: the store, this checkout on the path, nothing of a cluster around us.

    The folder of the tests is on the path, too: `own_code` as a module of its own is one file of a user's own source,
    and `tests.own_code` would be all of the tests, which every process would read.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**inherited, "BOCB_STORE": str(store), "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def bocb(store: Path, *arguments: str, extra_path: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end; `extra_path` goes before everything else on the Python path."""
    variables = environment(store, **more)
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [extra_path, variables["PYTHONPATH"]]))
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *arguments],
        env=variables,
        cwd=store.parent,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def rows(store: Path, sql: str) -> list[dict[str, Any]]:
    """The answer of `bocb query`."""
    answer = bocb(store, "query", sql, "--format", "json")
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def recorded(store: Path | str, sweep: str, row_type: type[R]) -> list[R]:
    """What a sweep has recorded so far: nothing while neither it nor its store is there yet."""
    opened = open_store(str(store)).sweep(sweep)
    return read_rows(opened, row_type) if opened.exists() else []


def heed_signals() -> None:
    """In a new process: `nohup`, which the tests may run under, is none of its business."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def running(store: Path, *arguments: str, in_a_group: bool = False, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while the block runs; afterwards everything it started is ended.

    Args:
        store: The store.
        arguments: The command.
        in_a_group: Whether it leads a process group of its own, as a shell or a batch system starts it.
        more: Variables of its environment.
    """
    mark = uuid.uuid4().hex
    with (store.parent / "output.txt").open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", *arguments],
            env=environment(store, **more, **{MARK: mark}),
            cwd=store.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=in_a_group,
            preexec_fn=heed_signals,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            end_marked(mark)


def end_marked(mark: str) -> None:
    """Kills the processes that carry a mark in their environment, which is what a command and its Ray pass on."""
    found = _marked(mark)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=10)


def marked(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that a running command has started."""
    return [found for found in _marked(_mark_of(psutil.Process(process.pid))) if found.pid != process.pid]


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The Ray workers that train for a command which is running."""
    found = []
    for candidate in marked(process):
        with suppress(psutil.Error):
            if " ".join(candidate.cmdline()).startswith("ray::TrialWorker"):
                found.append(candidate)
    return found


def _marked(mark: str | None) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if mark and _mark_of(process) == mark]


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Waits for a condition, looking again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} took more than {seconds} s"
        time.sleep(0.1)
