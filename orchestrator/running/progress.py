"""What a person sees while a sweep runs: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.running.driver import Driver

LINE_SECONDS = 10.0
"""Between two plain lines."""


class Progress:
    """Shows the state of a driver: trials by state, trials per minute, time left, best score per optimizer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._began = time.monotonic()
        self._done_before: int | None = None
        self._last_line = float("-inf")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A live panel that is not stopped leaves the terminal without a cursor.
        if self._live is not None:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Shows one sentence."""
        self._console.print(sentence, highlight=False, soft_wrap=True)

    def update(self, driver: Driver, trouble: str | None) -> None:
        """Shows the state now; called often, prints seldom.

        Args:
            driver: The driver.
            trouble: What keeps rows from being written, if anything does.
        """
        if self._done_before is None:
            self._done_before = driver.queue.counts.total()
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=2)
                self._live.start()
            self._live.update(Group(Text(self._line(driver, trouble)), self._best(driver)))
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(self._line(driver, trouble))

    def finish(self, driver: Driver) -> None:
        """Shows the last state."""
        if self._live is not None:
            self._live.stop()
        self.say(self._line(driver, None))
        if driver.best:
            self._console.print(self._best(driver))

    def _line(self, driver: Driver, trouble: str | None) -> str:
        counts = driver.queue.counts
        states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "none ended"
        parts = [f"{counts.total()} of {driver.queue.total} trials ({states})", f"{len(driver.running)} running"]
        rate = self._trials_per_second(counts.total())
        if rate > 0:
            left = timedelta(seconds=round((driver.queue.total - counts.total()) / rate))
            parts.append(f"{rate * 60:.1f} trials/min, {left} left")
        leaders = [f"{name} {row.score:.3f}" for name, row in sorted(driver.best.items()) if row.score is not None]
        if leaders:
            parts.append("best " + ", ".join(leaders))
        if driver.stopping:
            parts.append("stopping after the running epochs")
        parts += [sentence for sentence in (trouble, driver.trouble) if sentence]
        return "; ".join(parts)

    def _trials_per_second(self, done: int) -> float:
        if self._done_before is None:
            return 0.0
        return (done - self._done_before) / max(time.monotonic() - self._began, 1e-9)

    def _best(self, driver: Driver) -> Table:
        table = Table("optimizer", "best score", "backbone", "trial")
        for name, row in sorted(driver.best.items()):
            table.add_row(name, f"{row.score:.4f}", row.backbone, row.trial_id)
        return table
