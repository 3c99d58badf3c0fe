"""Runs a sweep while faults befall it, one after another from a seeded list, and counts what that cost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from orchestrator.store.query import run_query
from orchestrator.store.schema import CurveRow, TrialRow
from orchestrator.store.store import open_store
from tests.integration.commands import MARK, environment, marked, recorded, workers_of

FAULT_HOOKS = Path(__file__).parent / "faults"
PATIENCE_SECONDS = 30.0
"""How long a fault that waits for its moment may wait."""


@dataclass
class Run:
    """One sweep under attack: its store, its driver while there is one, and what has been done to it."""

    folder: Path
    sweep: str
    random: random.Random
    mark: str
    uri: str | None = None
    """Where its store is, if not in the folder."""
    address: str | None = None
    """The Ray cluster that it runs on; None for one of its own."""
    variables: dict[str, str] = field(default_factory=dict)
    """What its driver finds in its environment beside the usual."""
    driver: subprocess.Popen[str] | None = None
    injected: list[str] = field(default_factory=list)

    @property
    def store(self) -> str:
        return self.uri or str(self.folder / "store")

    @property
    def hooks(self) -> Path:
        return self.folder / "hooks"

    @property
    def epochs(self) -> Path:
        """A file with a byte for every epoch that was begun."""
        return self.folder / "epochs"

    def environment(self) -> dict[str, str]:
        more = {"BOCB_TEST_FAULTS": str(self.hooks), "BOCB_TEST_FLAG": str(self.epochs), MARK: self.mark}
        variables = environment(self.folder, **({"BOCB_STORE": self.store} | more | self.variables))
        variables["PYTHONPATH"] = f"{FAULT_HOOKS}:{variables['PYTHONPATH']}"
        return variables

    def start(self) -> None:
        """Starts a driver, as a person would who finds that there is none."""
        where = ["--address", self.address] if self.address else []
        with (self.folder / "output.txt").open("a") as output:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", "run", "chaos.toml", "--take-over", *where],
                env=self.environment(),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def end(self) -> int:
        """Waits for the driver to end by itself."""
        assert self.driver is not None
        return self.driver.wait(timeout=120)

    def kill_at(self, word: str, moment: str) -> None:
        """Has a process killed at its next operation on a file whose path has a word, and waits for that."""
        trigger = self.hooks / "kill"
        trigger.write_text(f"{word} {moment}")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while trigger.exists() and time.monotonic() < deadline and self.is_running:
            time.sleep(0.05)
        trigger.unlink(missing_ok=True)

    @property
    def killed(self) -> int:
        """Processes that `kill_at` and the like have really killed."""
        return len(list(self.hooks.glob("killed-*")))

    @property
    def is_running(self) -> bool:
        return self.driver is not None and self.driver.poll() is None

    def begun(self) -> int:
        """Epochs that were begun so far, again and again where they were repeated."""
        return self.epochs.stat().st_size if self.epochs.exists() else 0


def kill_driver(run: Run) -> None:
    assert run.driver is not None
    run.driver.kill()
    run.end()


def terminate_driver(run: Run) -> None:
    assert run.driver is not None
    run.driver.send_signal(signal.SIGTERM)
    run.end()


def pause_driver(run: Run) -> None:
    assert run.driver is not None
    run.driver.send_signal(signal.SIGSTOP)
    time.sleep(3)
    run.driver.send_signal(signal.SIGCONT)


def kill_worker(run: Run) -> None:
    for worker in _some(run, workers_of):
        worker.kill()


def pause_worker(run: Run) -> None:
    for worker in _some(run, workers_of):
        with suppress(psutil.NoSuchProcess):
            worker.suspend()
            time.sleep(2)
            worker.resume()


def kill_raylet(run: Run) -> None:
    """Ray's own process on this node; the driver cannot go on without it, and says so."""
    _kill_named(run, "raylet")


def kill_head(run: Run) -> None:
    """What all of a Ray cluster's processes ask; the same holds."""
    _kill_named(run, "gcs_server")


def move_the_store(run: Run) -> None:
    """The store is elsewhere for a while, as when its disk is unmounted; the sweep waits for it."""
    store, elsewhere = Path(run.store), run.folder / "elsewhere"
    if _some(run, workers_of):  # a driver that has not claimed the sweep would rightly begin another store
        store.rename(elsewhere)
        time.sleep(3)
        elsewhere.rename(store)


def kill_while_a_part_appears(run: Run) -> None:
    run.kill_at(run.random.choice(["part-", "beat", "trials/part-"]), run.random.choice(["before", "after"]))


def kill_inside_a_checkpoint(run: Run) -> None:
    run.kill_at(".ckpt", run.random.choice(["before", "after"]))


def kill_inside_a_compaction(run: Run) -> None:
    """Of a sweep that nobody runs: `bocb compact` is killed between its first file and its last deletion."""
    kill_driver(run)
    (run.hooks / "kill").write_text(f"{run.random.choice(['compact-', '_manifest-', 'part-'])} before")
    compaction = [sys.executable, "-m", "orchestrator.cli", "compact"]
    subprocess.run(compaction, env=run.environment(), cwd=run.folder, timeout=60, check=False, capture_output=True)
    (run.hooks / "kill").unlink(missing_ok=True)


def jump_of_the_clock(run: Run) -> None:
    (run.hooks / "clock").write_text(str(run.random.choice([-7200, 7200])))
    time.sleep(2)
    (run.hooks / "clock").unlink()


def full_disk(run: Run) -> None:
    """The store's disk is full for a while; only where the test could give it a small one."""
    ballast = run.folder / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(2**16))
    time.sleep(3)
    ballast.unlink()


FAULTS: tuple[Callable[[Run], None], ...] = (
    kill_driver,
    kill_worker,
    terminate_driver,
    kill_inside_a_compaction,
    kill_inside_a_checkpoint,
    pause_driver,
    kill_while_a_part_appears,
    full_disk,
    kill_raylet,
    jump_of_the_clock,
    pause_worker,
    kill_head,
    move_the_store,
)


def _kill_named(run: Run, name: str) -> None:
    for process in _some(run, lambda driver: [found for found in marked(driver) if found.name() == name]):
        process.kill()
    run.end()


def _some(run: Run, find: Callable[[subprocess.Popen[str]], list[psutil.Process]]) -> list[psutil.Process]:
    """One of some processes of the driver, as soon as there is any; none where the driver ends first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while run.is_running and time.monotonic() < deadline:
        assert run.driver is not None
        found = find(run.driver)
        if found:
            return [run.random.choice(found)]
        time.sleep(0.1)
    return []


def run_under_faults(run: Run, faults: list[Callable[[Run], None]], epochs: int) -> None:
    """Runs a sweep to its end, with the faults spread evenly over the first four fifths of its epochs."""
    moments = [0.8 * (number + 1) * epochs / (len(faults) + 1) for number in range(len(faults))]
    run.hooks.mkdir(exist_ok=True)
    deadline = time.monotonic() + 60 + 30 * len(faults) + epochs
    waiting = list(zip(moments, faults, strict=True))
    while True:
        assert time.monotonic() < deadline, (run.folder / "output.txt").read_text()
        if not run.is_running:
            if run.driver is not None and run.driver.returncode == 0:
                break
            run.start()
        if waiting and run.begun() >= waiting[0][0] and run.is_running:
            _, fault = waiting.pop(0)
            run.injected.append(fault.__name__)
            fault(run)
        time.sleep(0.1)
    run.injected += [f"(too late: {fault.__name__})" for _, fault in waiting]


@dataclass(frozen=True)
class Toll:
    """What the faults cost, against the same sweep left alone."""

    trials_lost: int
    rows_lost: int
    rows_doubled: int
    numbers_changed: int
    epochs_repeated: int

    def __str__(self) -> str:
        return (
            f"trials lost {self.trials_lost}, rows lost {self.rows_lost}, rows doubled {self.rows_doubled}, "
            f"numbers changed {self.numbers_changed}, epochs repeated {self.epochs_repeated}"
        )


def toll_of(run: Run, undisturbed: str) -> Toll:
    """Compares a sweep that ended with the same one in another store."""
    trials, expected = _trials(run.store, run.sweep), _trials(undisturbed, run.sweep)
    curves, expected_curves = _curves(run.store, run.sweep), _curves(undisturbed, run.sweep)
    with run_query(
        open_store(run.store),
        "SELECT (SELECT count(*) - count(DISTINCT (sweep, trial_id)) FROM trials)"
        " + (SELECT count(*) - count(DISTINCT (sweep, trial_id, epoch)) FROM curves) AS n",
    ) as answer:
        (doubled,) = answer.table().to_pylist()
    return Toll(
        trials_lost=len(expected.keys() - trials.keys()),
        rows_lost=len(expected_curves.keys() - curves.keys()),
        rows_doubled=doubled["n"],
        numbers_changed=len(dict(trials.items() ^ expected.items()) | dict(curves.items() ^ expected_curves.items())),
        epochs_repeated=run.begun() - len(expected_curves),
    )


def _trials(store: str, sweep: str) -> dict[str, tuple[object, ...]]:
    return {
        row.trial_id: (row.state, row.score, row.history_sha256, row.hp, row.seed, row.test_top1, row.repeats)
        for row in recorded(store, sweep, TrialRow)
    }


def _curves(store: str, sweep: str) -> dict[tuple[str, int], str]:
    found = recorded(store, sweep, CurveRow)
    return {(row.trial_id, row.epoch): repr((row.val_top1, row.train_loss, row.val_loss, row.lr)) for row in found}
