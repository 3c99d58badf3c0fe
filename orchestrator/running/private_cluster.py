"""The processes of a private Ray cluster: noticed when they die too early, and ended when the cluster is."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from orchestrator.errors import Exit

SENTENCE = "the head of the Ray cluster has died; the same command continues the sweep"
LOOK_SECONDS = 1.0
END_SECONDS = 40.0
"""How long a raylet may take to end."""


@contextmanager
def attended(started: list[psutil.Process]) -> Iterator[None]:
    """Looks after a private cluster's processes while the block runs, and has them end with its raylet after it.

    Args:
        started: The processes that Ray has started here; none of a cluster elsewhere.
    """
    is_over = threading.Event()
    threading.Thread(target=_watch, args=(started, is_over), name="head-watch", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()
        raylets = _named("raylet", started)
        if raylets:
            everything = _with_children(started)
            threading.Thread(target=_end, args=(raylets, everything), name="cluster-end", daemon=True).start()


def _watch(started: list[psutil.Process], is_over: threading.Event) -> None:
    """Ends this process where the cluster has lost its head, since a call to that would never return.

    It is as if the driver had been killed: what was reported in the last second is reported again by the next run.
    """
    heads = _named("gcs_server", started)
    while heads and not is_over.wait(LOOK_SECONDS):
        if not all(map(_lives, heads)):
            with suppress(OSError):  # a terminal that is closed
                show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # which a live panel hides
                sys.stderr.write(f"{show_cursor}bocb: {SENTENCE}\n")
                sys.stderr.flush()
            _kill(_with_children(started))
            os._exit(Exit.INCOMPLETE)


def _end(raylets: list[psutil.Process], everything: list[psutil.Process]) -> None:
    """Beside `ray.shutdown`, which would ask each process to end and wait: they get no such signals (`withheld`)."""
    psutil.wait_procs(raylets, timeout=END_SECONDS)
    _kill(everything)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _named(name: str, processes: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        with suppress(psutil.Error):
            found += [process] if process.name() == name else []
    return found


def _with_children(processes: list[psutil.Process]) -> list[psutil.Process]:
    found = [*processes]
    for process in processes:
        with suppress(psutil.Error):
            found += process.children(recursive=True)
    return found


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
