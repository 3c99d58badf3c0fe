"""How long a sweep will still take."""

from __future__ import annotations

import io
import re
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from orchestrator.running import progress
from orchestrator.time_left import RATE_TRIALS, seconds_left


def test_trials_before_the_driver_and_the_pause_before_it_do_not_count() -> None:
    three_days = 3 * 86400.0
    ends = [5, 15, 25, 35, *(three_days + 10 * number for number in range(40))]
    assert seconds_left(ends, running_for=40, missing=6) == pytest.approx(60)


def test_what_a_driver_did_long_ago_does_not_count_either() -> None:
    ends = [10.0 * number for number in range(RATE_TRIALS + 1)] + [100_000.0] * 10
    assert seconds_left(ends, running_for=200_000, missing=3) == pytest.approx(30)


@pytest.mark.parametrize(("ends", "missing"), [([], 5), ([99.0], 5), ([1.0], 0)])
def test_there_is_no_estimate_before_an_end_nor_after_the_last(ends: list[float], missing: int) -> None:
    assert seconds_left(ends, running_for=50, missing=missing) is None


@pytest.mark.parametrize("per_tick", [1, 7, 200])
def test_progress_counts_from_its_first_look(per_tick: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    output = io.StringIO()
    shown = progress.Progress(Console(file=output, width=200))
    queue = SimpleNamespace(counts=Counter(COMPLETE=40), total=100_000)
    driver = SimpleNamespace(queue=queue, running={}, best={}, stopping=SimpleNamespace(is_set=bool), trouble=None)
    now += 60  # Ray starts
    for _ in range(100):
        shown.update(cast(Any, driver), None)
        now += 0.5
        queue.counts["COMPLETE"] += per_tick
    lines = output.getvalue().splitlines()
    assert "left" not in lines[0]
    for line in lines[1:]:
        rate = re.search(r"; ([0-9.]+) trials/min", line)
        assert rate is not None, line
        assert float(rate[1]) == pytest.approx(120 * per_tick, rel=0.05)
    assert len(lines) == 5
