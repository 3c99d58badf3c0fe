"""Whatever is killed, stopped or filled up while a sweep runs: nothing is lost, nothing doubled, no number changes.

`make test` runs the short form, `make chaos` the long one (BOCB_CHAOS=long); BOCB_CHAOS_SEED chooses another list.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestrator.store.schema import CurveRow, TrialRow
from tests.integration.chaos import FAULTS, Run, full_disk, kill_driver, run_under_faults, terminate_driver, toll_of
from tests.integration.commands import bocb, end_marked, recorded
from tests.integration.two_nodes import tell, two_nodes
from tests.object_store import FaultyStore

IS_LONG = os.environ.get("BOCB_CHAOS") == "long"
SEED = int(os.environ.get("BOCB_CHAOS_SEED", "0"))

pytestmark = [pytest.mark.ray, pytest.mark.timeout(3000 if IS_LONG else 400)]

SPEC = """
[sweep]
name = "chaos"
[grid]
backbones = [{backbones}]
optimizers = ["sgd", "adamw"]
[data]
name = "synthetic"
[training]
epochs = {epochs}
[protocol.default]
seeds = 1
[protocol.design]
points = {points}
[protocol.tune]
trials = {tuned}
[protocol.confirm]
top = 1
seeds = {seeds}
[checkpoints]
interval_seconds = 0
[resources]
max_concurrent = 2
"""
SHORT = {"backbones": '"own_code:counted"', "points": 2, "tuned": 2, "seeds": 1}
SLOW = {"backbones": '"own_code:counted_slow_a", "own_code:counted_slow_b"'}
LONG = SLOW | {"points": 8, "tuned": 4, "seeds": 3}
MIDDLE = SLOW | {"points": 4, "tuned": 2, "seeds": 1}
EPOCHS, MIDDLE_TRIALS = 5, 32
TRIALS, FAULT_COUNT = (64, 30) if IS_LONG else (12, 6)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own that is easily filled, where this machine allows one; else any folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    is_small = sys.platform == "linux" and os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    if not is_small:
        (folder / "is-large").touch()
    try:
        yield folder
    finally:
        if is_small:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def fault_list(count: int, *, may_fill: bool) -> list:
    """Every kind in turn, in an order that follows from the seed."""
    kinds = [fault for fault in FAULTS if may_fill or fault is not full_disk]
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    random.Random(SEED).shuffle(chosen)
    return chosen


def test_a_sweep_under_faults_equals_one_that_was_left_alone(tmp_path: Path, small_disk: Path) -> None:
    spec = SPEC.format(epochs=EPOCHS, **(LONG if IS_LONG else SHORT))
    calm = tmp_path / "calm"
    for folder in (calm, small_disk):
        folder.mkdir(exist_ok=True)
        (folder / "chaos.toml").write_text(spec)
    answer = bocb(calm / "store", "run", "chaos.toml", BOCB_TEST_FLAG=str(calm / "epochs"))
    assert answer.returncode == 0, answer.stdout + answer.stderr

    run = Run(
        folder=small_disk,
        sweep="chaos",
        random=random.Random(SEED),
        mark=f"chaos-{os.getpid()}",
        # Heartbeats every two seconds, so that a kill inside one need not wait long.
        variables={"BOCB_LEASE_SECONDS": "12"},
    )
    faults = fault_list(FAULT_COUNT, may_fill=not (small_disk / "is-large").exists())
    try:
        run_under_faults(run, faults, TRIALS * EPOCHS)
    finally:
        end_marked(run.mark)
    toll = toll_of(run, str(calm / "store"))
    print(f"\nchaos, seed {SEED}: {len(run.injected)} faults injected ({', '.join(run.injected)}); {toll}")
    assert len(recorded(run.store, run.sweep, TrialRow)) == TRIALS
    assert (toll.trials_lost, toll.rows_lost, toll.rows_doubled, toll.numbers_changed) == (0, 0, 0, 0)
    found = bocb(run.folder / "store", "verify", "chaos")
    assert found.returncode == 0, found.stdout + found.stderr
    for row_type in (TrialRow, CurveRow):
        raw = pq.read_table(Path(run.store, "chaos", row_type.TABLE), columns=list(row_type.KEY)).to_pylist()
        assert len(raw) == len({tuple(row.values()) for row in raw}), "another reader would find a key twice"
    assert not any(fault.startswith("(too late") for fault in run.injected)
    inside = [name for name in run.injected if "inside" in name or "while" in name]
    assert run.killed >= len(inside) / 2, "processes were to be killed inside a file operation, and most were not"
    assert not list(Path(run.store, "chaos", "checkpoints").glob("*")), "a checkpoint outlived its trial"


@pytest.mark.skipif(not IS_LONG, reason="some minutes: make chaos runs it")
def test_a_cluster_that_loses_nodes_and_an_object_store_that_fails(tmp_path: Path, object_store: FaultyStore) -> None:
    calm, folder, flag = tmp_path / "calm", tmp_path / "chaos", {"BOCB_TEST_FLAG": str(tmp_path / "chaos" / "epochs")}
    for place in (calm, folder):
        place.mkdir()
        (place / "chaos.toml").write_text(SPEC.format(epochs=EPOCHS, **MIDDLE))
    answer = bocb(calm / "store", "run", "chaos.toml", BOCB_TEST_FLAG=str(calm / "epochs"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    is_out = threading.Event()
    some = object_store.seeded(SEED, 0.02)

    def choose(method: str, path: str) -> str | None:
        return "503 before" if is_out.is_set() else some(method, path)

    def outage_of_the_store(run: Run) -> None:
        is_out.set()
        time.sleep(20)
        is_out.clear()

    with two_nodes(**object_store.variables, **flag) as (address, cluster, variables), object_store.faults(choose):

        def lose_a_node(run: Run) -> None:
            tell(cluster, "remove")
            time.sleep(5)
            tell(cluster, "add")

        def preempt_a_node(run: Run) -> None:
            tell(cluster, "drain")
            time.sleep(5)
            lose_a_node(run)

        run = Run(
            folder=folder,
            sweep="chaos",
            random=random.Random(SEED),
            mark=f"chaos-{os.getpid()}",
            uri=object_store.new_uri(),
            address=address,
            variables=variables,
        )
        faults = [lose_a_node, outage_of_the_store, kill_driver, preempt_a_node, terminate_driver, lose_a_node]
        try:
            run_under_faults(run, faults, MIDDLE_TRIALS * EPOCHS)
        finally:
            end_marked(run.mark)
        toll = toll_of(run, str(calm / "store"))
        injected = object_store.injected.total()
        print(f"\nchaos on a cluster, seed {SEED}: {', '.join(run.injected)}; {injected} failed requests; {toll}")
        assert (toll.trials_lost, toll.rows_lost, toll.rows_doubled, toll.numbers_changed) == (0, 0, 0, 0)
        found = bocb(folder / "unused", "verify", "chaos", "--store", run.store, **object_store.variables)
        assert found.returncode == 0, found.stdout + found.stderr
    assert not any(fault.startswith("(too late") for fault in run.injected)
