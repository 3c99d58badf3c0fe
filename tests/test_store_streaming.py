"""Reading a store at any moment while a sweep writes and compacts it.

The default run asks for a few seconds; `BOCB_QUERIES=1000` asks a thousand queries.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.store.live import table_files
from orchestrator.store.query import read, run_query
from orchestrator.store.schema import CurveRow
from orchestrator.store.store import open_store
from tests.benchmarks.made_up_trials import SWEEP

ROUNDS = int(os.environ.get("BOCB_QUERIES", "36")) // 3
EPOCHS = 12
MOST_FILES = 300

WRITE_A_SWEEP = """
import sys
import time
from orchestrator.store.lease import claim
from orchestrator.store.store import open_store
from orchestrator.store.writer import TableWriter
from itertools import count
from tests.benchmarks.made_up_trials import SWEEP, MadeUpTrial, rows_in_order
first, epochs = int(sys.argv[2]), int(sys.argv[3])
sweep = open_store(sys.argv[1], create=True).sweep(SWEEP)
with claim(sweep) as lease, TableWriter(sweep, lease, flush_seconds=0.01, compact_after=4) as writer:
    trials = (MadeUpTrial(index=i, epochs=epochs, driver_epoch=lease.driver_epoch) for i in count(first))
    for batch in rows_in_order(trials, slots=8):
        for row in batch:
            writer.add(row)
        writer.flush()
        time.sleep(0.03)
"""

PER_TRIAL = (
    "SELECT trial_id, count(*) AS rows, count(DISTINCT epoch) AS epochs, max(epoch) AS last FROM curves GROUP BY 1"
)


class SweepProcess:
    """A driver's writer in a process of its own; killed and started again it goes on with further trials."""

    def __init__(self, root: Path):
        self.root, self.first, self.process = root, 0, None

    def start(self):
        command = [sys.executable, "-c", WRITE_A_SWEEP, str(self.root), str(self.first), str(EPOCHS)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.first += 100_000

    def kill(self):
        assert self.process.poll() is None, self.process.stderr.read()
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def writing(tmp_path):
    """A process that writes a sweep; the test may kill it and start it again."""
    process = SweepProcess(tmp_path / "store")
    process.start()
    yield process
    process.kill()


class Seen:
    """What queries have shown so far: no later one may show less."""

    def __init__(self):
        self.trials, self.attempts, self.epochs = {}, set(), {}

    def check(self, trials, attempts, curves):
        """The answers of one query each: rows of (key, ...)."""
        assert len({row[0] for row in trials}) == len(trials)
        assert len({row[:2] for row in attempts}) == len(attempts)
        epochs = {}
        for trial_id, rows, distinct, last in curves:
            assert rows == distinct == last, f"{trial_id} has {rows} rows, {distinct} epochs and ends with {last}"
            epochs[trial_id] = rows
        for trial_id, epochs_done in trials:
            assert epochs.get(trial_id) == epochs_done, f"{trial_id} ended and lacks rows of its curve"
        assert self.trials.items() <= dict(trials).items()
        assert self.attempts <= {row[:2] for row in attempts}
        assert all(epochs.get(trial_id, 0) >= rows for trial_id, rows in self.epochs.items())
        self.trials, self.attempts, self.epochs = dict(trials), {row[:2] for row in attempts}, epochs


def ask_at_once(store):
    """Three answers from one connection."""
    return read(
        store,
        lambda connection: [
            connection.execute(sql).fetchall()
            for sql in (
                "SELECT trial_id, epochs_done FROM trials",
                "SELECT trial_id, attempt FROM attempts",
                PER_TRIAL,
            )
        ],
    )


def ask_one_after_the_other(store):
    """Three queries as a user sends them: what closes a trial is asked first, so that its curve is there."""
    answers = []
    for sql in ("SELECT trial_id, epochs_done FROM trials", "SELECT trial_id, attempt FROM attempts", PER_TRIAL):
        with run_query(store, sql) as result:
            answers.append([tuple(row.values()) for row in result.table().to_pylist()])
    return answers


def compactions(store):
    return table_files(store.sweep(SWEEP), CurveRow).manifest.generation


@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_every_query_during_a_sweep_is_consistent(tmp_path, writing):
    while not (tmp_path / "store" / SWEEP / "curves").exists():
        time.sleep(0.05)
    store, seen, most, number = open_store(str(tmp_path / "store")), Seen(), 0, 0
    while number < ROUNDS or compactions(store) < 5 or len(seen.trials) < 10:
        seen.check(*(ask_at_once(store) if number % 2 else ask_one_after_the_other(store)))
        most = max(most, sum(len(files) for _, _, files in os.walk(tmp_path / "store" / SWEEP)))
        if number % (ROUNDS // 2) == ROUNDS // 4:
            writing.kill()
            seen.check(*ask_at_once(store))
            writing.start()
        number += 1
    assert most < MOST_FILES
