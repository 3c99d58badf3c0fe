"""Ends a process in the middle of a file operation, or moves its clock: runs in every Python process of a chaos test.

The folder BOCB_TEST_FAULTS may hold a file `kill` with a word and a moment ("_manifest- after"): the first process
that makes, replaces or removes a file whose path has that word is killed before or after it does so. It may hold a
file `clock` with seconds: every process then sees its wall clock moved by as much.
"""

import os
import signal
import sys
from contextlib import suppress

FAULTS = os.environ.get("BOCB_TEST_FAULTS", "")


def _is_ours(path: object, moment: str) -> bool:
    try:
        with open(os.path.join(FAULTS, "kill"), encoding="utf-8") as file:
            word, _, when = file.read().partition(" ")
    except FileNotFoundError:
        return False
    if not word or word not in os.fspath(path) or when != moment:  # type: ignore[call-overload]
        return False
    try:
        os.rename(os.path.join(FAULTS, "kill"), os.path.join(FAULTS, f"killed-{os.getpid()}"))
    except FileNotFoundError:
        return False  # another process was faster
    return True


def _fatal(function, place):
    def wrapped(*paths, **options):
        if _is_ours(paths[place], "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*paths, **options)
        if _is_ours(paths[place], "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def _move_clock() -> None:
    """The driver alone stamps rows and heartbeats."""
    from datetime import datetime, timedelta

    from orchestrator import clock
    from orchestrator.store import drivers

    class Moved(datetime):
        @classmethod
        def now(cls, zone=None):
            moved = 0.0
            with suppress(FileNotFoundError), open(os.path.join(FAULTS, "clock"), encoding="utf-8") as file:
                moved = float(file.read() or 0)
            return datetime.now(zone) + timedelta(seconds=moved)

    clock.datetime = drivers.datetime = Moved


if FAULTS:
    os.link, os.replace, os.unlink = _fatal(os.link, 1), _fatal(os.replace, 1), _fatal(os.unlink, 0)
    if "orchestrator.cli" in sys.orig_argv:
        _move_clock()
