"""Standard output as every command uses it."""

from __future__ import annotations

import os
import sys

from rich.console import Console

PIPED_WIDTH = 200
"""Piped output gets lines long enough that no name is cut, unless COLUMNS says how long they are to be."""


class Output(Console):
    """Shows what users named as it is: no markup, no emoji. Where nobody reads any more, it is silent."""

    def __init__(self) -> None:
        is_sized = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
        super().__init__(width=None if is_sized else PIPED_WIDTH, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Called by rich where nobody reads any more."""
        self.quiet = True
        silence_stdout()


def silence_stdout() -> None:
    """Sends standard output nowhere, so that the interpreter's last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
