"""Signals as handlers see them, in this very process."""

from __future__ import annotations

import os
import signal

import pytest

from orchestrator.running.signals import STOP_SIGNALS, interrupting, stopping, withheld


@pytest.fixture(autouse=True)
def usual_handlers() -> object:
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_the_first_asks_for_a_clean_end_and_the_second_interrupts(number: int) -> None:
    asked: list[bool] = []
    with stopping(lambda: asked.append(True)) as received:
        os.kill(os.getpid(), number)
        assert (asked, received) == ([True], [number])
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.default_int_handler


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_before_there_is_anything_to_save_each_interrupts(number: int) -> None:
    with interrupting(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_one_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interrupting(), stopping(lambda: pytest.fail("nohup was not honoured")) as received:
        os.kill(os.getpid(), signal.SIGHUP)
    assert received == []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_came_while_withheld_comes_afterwards_to_the_handler_from_before() -> None:
    asked: list[bool] = []
    with stopping(lambda: asked.append(True)), withheld():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as Ray does when it starts
        signal.raise_signal(signal.SIGTERM)  # to this thread, the one that withholds it
        assert asked == []
    assert asked == [True]
