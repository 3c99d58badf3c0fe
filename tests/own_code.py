"""Code of a user's own, as a spec names it by `tests.own_code:function`: synthetic networks that misbehave."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from trainers.synthetic import Behaviour


def slow_a() -> Behaviour:
    return Behaviour(epoch_seconds=0.15)


def slow_b() -> Behaviour:
    return Behaviour(epoch_seconds=0.15)


def sleepy() -> Behaviour:
    return Behaviour(epoch_seconds=0.8)


def no_behaviour() -> str:
    return "no behaviour"


def raises_until_mended() -> Behaviour:
    return Behaviour(before_epoch=_raise_until_mended)


def kills_its_worker_once() -> Behaviour:
    return Behaviour(before_epoch=_kill_once)


def _raise_until_mended(epoch: int) -> None:
    if epoch == 2 and not Path(os.environ["BOCB_TEST_FLAG"]).exists():
        raise RuntimeError("not mended yet")


def _kill_once(epoch: int) -> None:
    flag = Path(os.environ["BOCB_TEST_FLAG"])
    if epoch == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
