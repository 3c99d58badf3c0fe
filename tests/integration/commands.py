"""The command line as its users call it: a process of its own with a time limit, ended with all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent.parent
RUN_SECONDS = 150


def environment(store: Path, **more: str) -> dict[str, str]:
    """The environment of a command: the store, this checkout on the path, nothing of a cluster around us."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**inherited, "BOCB_STORE": str(store), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def bocb(store: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *arguments],
        env=environment(store, **more),
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


@contextmanager
def running(store: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while the block runs; what is left of it afterwards is killed."""
    with (store.parent / "output.txt").open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli", *arguments],
            env=environment(store, **more),
            cwd=store.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started: set[psutil.Process] = set()
        try:
            started.update(_family(process))
            yield process
        finally:
            started.update(_family(process))
            process.kill()
            process.wait()
            end(started)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the driver alone; Ray's processes notice by themselves, and are waited for."""
    family = _family(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    end(family)


def end(processes: set[psutil.Process], patience: float = 30) -> None:
    """Waits until the processes are gone, and kills those that are not."""
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=10)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Waits for a condition, looking again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} took more than {seconds} s"
        time.sleep(0.1)


def _family(process: subprocess.Popen[str]) -> set[psutil.Process]:
    try:
        return set(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()
