"""What an attempt prints, by Python or by any library below it, kept where it survives the process."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.store.files import Files

LIMIT_BYTES = 1_000_000
_GAP = b"\n[... %d bytes left out ...]\n"


class OutputLog:
    """Standard output and standard error of one attempt.

    On a store of this machine the log lies there from the first byte, so that even a process that is killed leaves it
    behind; on an object store it lies in a temporary file that `publish` copies. A disk that is full costs the log,
    never the training.
    """

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name
        in_store = files.local_path(name)
        self._is_remote = in_store is None
        self._is_published = False
        self._path = in_store or Path(tempfile.gettempdir(), f"bocb-log-{uuid.uuid4().hex}")

    @contextmanager
    def capturing(self) -> Iterator[None]:
        """While the block runs, what this process writes to its standard output and error goes to the log."""
        _flush()
        before: list[int] = []
        with suppress(OSError):
            for folder in (self._path.parent.parent, self._path.parent):  # never the sweep's: it may have gone away
                folder.mkdir(exist_ok=True)
            target = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for number in (1, 2):
                before.append(os.dup(number))
                os.dup2(target, number)
            os.close(target)
        try:
            yield
        finally:
            _flush()
            for number, descriptor in zip((1, 2), before, strict=False):
                os.dup2(descriptor, number)
                os.close(descriptor)
            self._shorten()

    def text(self) -> str | None:
        """What was printed so far, at most `LIMIT_BYTES`: the beginning and the end; None for nothing."""
        try:
            return readable(self._path.read_bytes())
        except OSError:
            return None

    def publish(self) -> None:
        """Makes the log so far visible to others, where it is not anyway.

        Raises:
            OSError: The store cannot be written.
        """
        if self._is_remote and self._path.exists() and self._path.stat().st_size:
            self._files.write(self._name, _shortened(self._path.read_bytes()))
            self._is_published = True

    def close(self) -> None:
        """Leaves the log in the store, and nothing beside it."""
        with suppress(OSError):
            self.publish()
        if self._is_remote:
            self._path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes the log: its text has been handed on."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            if self._is_published:
                self._files.delete(self._name)

    def _shorten(self) -> None:
        """Keeps an attempt that prints without end from filling the disk."""
        with suppress(OSError):
            if self._path.stat().st_size > 2 * LIMIT_BYTES:
                self._path.write_bytes(_shortened(self._path.read_bytes()))


def readable(content: bytes) -> str | None:
    """A log's bytes as text of at most `LIMIT_BYTES`; None for nothing."""
    return _shortened(content).decode("utf-8", "replace") or None


def _shortened(content: bytes) -> bytes:
    if len(content) <= LIMIT_BYTES:
        return content
    head, tail = LIMIT_BYTES // 4, LIMIT_BYTES // 2
    return content[:head] + _GAP % (len(content) - head - tail) + content[-tail:]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # a full disk keeps what was printed, and loses it
                stream.flush()
