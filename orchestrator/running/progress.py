"""What a person sees while a sweep runs: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.console import silence_stdout
from orchestrator.running.driver import Driver
from orchestrator.time_left import RATE_TRIALS, seconds_left

LINE_SECONDS = 10.0
"""Between two plain lines."""


class Progress:
    """Shows the state of a driver: trials by state, trials per minute, time left, best score per optimizer."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._began: float | None = None
        self._ends: deque[float] = deque(maxlen=RATE_TRIALS + 1)
        self._done = 0
        self._looked = 0.0
        self._last_line = float("-inf")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A live panel that is not stopped leaves the terminal without a cursor.
        if self._live is not None:
            with self._never_failing():
                self._live.stop()

    def say(self, sentence: str) -> None:
        """Shows one sentence."""
        with self._never_failing():
            self._console.print(sentence, highlight=False, soft_wrap=True)

    @contextmanager
    def _never_failing(self) -> Iterator[None]:
        """Falls silent for good where a terminal was closed or a log's disk is full: the sweep goes on."""
        try:
            yield
        except OSError:
            self._live = None
            self._console.quiet = True
            silence_stdout()

    def update(self, driver: Driver, trouble: str | None) -> None:
        """Shows the state now; called often, prints seldom.

        Args:
            driver: The driver.
            trouble: What keeps rows from being written, if anything does.
        """
        self._note_ends(driver.queue.counts.total())
        if self._console.is_terminal:
            with self._never_failing():
                if self._live is None:
                    self._live = Live(console=self._console, auto_refresh=False)
                    self._live.start()
                self._live.update(Group(Text(self._line(driver, trouble)), self._best(driver)), refresh=True)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self.say(self._line(driver, trouble))

    def finish(self, driver: Driver) -> None:
        """Shows the last state."""
        with self._never_failing():
            if self._live is not None:
                self._live.stop()
            self.say(self._line(driver, None))
            if driver.best:
                self._console.print(self._best(driver))

    def _line(self, driver: Driver, trouble: str | None) -> str:
        counts = driver.queue.counts
        states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "none ended"
        parts = [f"{counts.total()} of {driver.queue.total} trials ({states})", f"{len(driver.running)} running"]
        missing = driver.queue.total - counts.total()
        left = self._seconds_left(missing)
        if left is not None:
            parts.append(f"{60 * missing / left:.1f} trials/min, {timedelta(seconds=round(left))} left")
        leaders = [f"{name} {row.score:.3f}" for name, row in sorted(driver.best.items()) if row.score is not None]
        if leaders:
            parts.append("best " + ", ".join(leaders))
        if driver.stopping:
            parts.append("stopping after the running epochs")
        parts += [sentence for sentence in (trouble, driver.trouble) if sentence]
        return "; ".join(parts)

    def _note_ends(self, done: int) -> None:
        """Takes down when trials ended; from the first call on, which comes when Ray has started."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._done = now, done
        else:
            # Hundreds of short trials may have ended since the last look: they are spread over that time.
            count, span = done - self._done, now - self._looked
            self._ends.extend(now - span * (count - number) / count for number in range(count))
        self._done, self._looked = done, now

    def _seconds_left(self, missing: int) -> float | None:
        now = time.monotonic()
        return (
            None
            if self._began is None
            else seconds_left([now - end for end in self._ends], now - self._began, missing)
        )

    def _best(self, driver: Driver) -> Table:
        table = Table("optimizer", "best score", "backbone", "trial")
        for name, row in sorted(driver.best.items()):
            table.add_row(name, f"{row.score:.4f}", row.backbone, row.trial_id)
        return table
