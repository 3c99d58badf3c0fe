"""What Ctrl-C, a polite end and a closed terminal do to a sweep.

A signal that is being ignored stays ignored: `nohup` asks for that, and a shell for what it starts in the background.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupting() -> Iterator[None]:
    """While the block runs, each of `STOP_SIGNALS` raises KeyboardInterrupt in it, as Ctrl-C does."""

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's signature
        raise KeyboardInterrupt

    with _handling(handle):
        yield


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[list[int]]:
    """While the block runs, the first of `STOP_SIGNALS` calls `stop`, and the second raises KeyboardInterrupt.

    Args:
        stop: Asks for a clean end; called between any two instructions of the main thread, so it may take no lock.

    Yields:
        The signals received so far.
    """
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's signature
        received.append(number)
        stop()
        if len(received) > 1:
            raise KeyboardInterrupt

    with _handling(handle):
        yield received


@contextmanager
def withheld() -> Iterator[None]:
    """While Ray is started, no signal of `STOP_SIGNALS` comes; the processes that it starts never get one.

    A signal to a whole process group, as `timeout` and batch systems send, would otherwise end a private cluster
    before its driver could save anything. What came meanwhile comes afterwards, to the handlers from before: Ray puts
    one of its own in their place.
    """
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handling(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python gives signals to the main thread alone
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in heeded:
            # None: a handler that Python did not set and cannot set again.
            signal.signal(number, before[number] if before[number] is not None else signal.SIG_DFL)
