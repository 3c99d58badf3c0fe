"""Standard output as every command uses it."""

from __future__ import annotations

import os
import sys

from rich.console import Console

PIPED_WIDTH = 200
"""Piped output gets lines long enough that no name is cut."""


class Output(Console):
    """Shows what users named as it is: no markup, no emoji. Where nobody reads any more, it is silent."""

    def __init__(self) -> None:
        super().__init__(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Called by rich where nobody reads any more."""
        self.quiet = True
        silence_stdout()


def silence_stdout() -> None:
    """Sends standard output nowhere, so that the interpreter's last flush cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
