"""Code of a user's own, as a spec names it by `tests.own_code:function`: synthetic networks that misbehave."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from trainers.synthetic import Behaviour


def slow_a() -> Behaviour:
    return Behaviour(epoch_seconds=0.15)


def slow_b() -> Behaviour:
    return Behaviour(epoch_seconds=0.15)


def counted() -> Behaviour:
    return Behaviour(epoch_seconds=0.15, before_epoch=_count)


def counted_slow_a() -> Behaviour:
    return Behaviour(epoch_seconds=0.5, before_epoch=_count)


def counted_slow_b() -> Behaviour:
    return Behaviour(epoch_seconds=0.5, before_epoch=_count)


def sleepy() -> Behaviour:
    return Behaviour(epoch_seconds=0.8)


def no_behaviour() -> str:
    return "no behaviour"


def raises_until_mended() -> Behaviour:
    return Behaviour(before_epoch=_raise_until_mended)


def exits() -> Behaviour:
    return Behaviour(before_epoch=_exit)


def interrupts() -> Behaviour:
    return Behaviour(before_epoch=_interrupt)


def unprintable() -> Behaviour:
    return Behaviour(before_epoch=_raise_unprintable)


def poisons() -> Behaviour:
    return Behaviour(before_epoch=_poison)


def innocent() -> Behaviour:
    return Behaviour(before_epoch=_need_a_sound_process)


def ends_in_a_later_epoch() -> Behaviour:
    return Behaviour(before_epoch=_end_in_a_later_epoch)


def hangs_once() -> Behaviour:
    return Behaviour(before_epoch=_hang_once)


def hangs_always() -> Behaviour:
    return Behaviour(before_epoch=_hang)


def talks() -> Behaviour:
    return Behaviour(before_epoch=_talk)


def _count(epoch: int) -> None:
    """Leaves one byte for every epoch that any process begins to train."""
    with Path(os.environ["BOCB_TEST_FLAG"]).open("ab") as file:
        file.write(b".")


def _exit(epoch: int) -> None:
    sys.exit("this code thinks that it is a program")


def _interrupt(epoch: int) -> None:
    raise KeyboardInterrupt


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("there are no words for it")


def _raise_unprintable(epoch: int) -> None:
    raise UnprintableError


_poisoned: list[int] = []


def _poison(epoch: int) -> None:
    """Leaves the process as an error on a GPU leaves it: everything fails from then on."""
    _poisoned.append(epoch)
    raise RuntimeError("device-side assert triggered")


def _need_a_sound_process(epoch: int) -> None:
    if _poisoned:
        raise RuntimeError("this process is spoilt")


def _end_in_a_later_epoch(epoch: int) -> None:
    """As a leak of memory or a crash below Python does it."""
    if epoch == 3:
        os._exit(7)


def _hang(epoch: int) -> None:
    if epoch == 2:
        time.sleep(10_000)


def _hang_once(epoch: int) -> None:
    flag = Path(os.environ["BOCB_TEST_FLAG"])
    if epoch == 2 and not flag.exists():
        flag.touch()
        _hang(epoch)


def _talk(epoch: int) -> None:
    """Prints by Python and below it, and dies without a word of its own in the first attempt's third epoch."""
    print(f"print in epoch {epoch}")
    os.write(2, f"write in epoch {epoch}\n".encode())
    flag = Path(os.environ["BOCB_TEST_FLAG"])
    if epoch == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _raise_until_mended(epoch: int) -> None:
    if epoch == 2 and not Path(os.environ["BOCB_TEST_FLAG"]).exists():
        raise RuntimeError("not mended yet")
