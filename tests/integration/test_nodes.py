"""A cluster's nodes are lost, preempted or busy with other work, and no trial pays for it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from orchestrator.store.schema import AttemptRow, TrialRow
from tests.integration.commands import recorded, running, wait_until
from tests.integration.failing_sweeps import outcomes, write_spec
from tests.integration.two_nodes import tell, two_nodes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def workers_seen(store: Path) -> set[int]:
    """Processes that have ended an attempt."""
    return {row.pid for row in recorded(store, "failing", AttemptRow) if row.pid}


def test_a_sweep_that_waits_for_a_busy_cluster_can_be_stopped(tmp_path: Path) -> None:
    write_spec(tmp_path, "own_code:sleepy")
    store = tmp_path / "store"
    with (
        two_nodes() as (address, cluster, variables),
        running(store, "run", "failing.toml", "--address", address, **variables) as process,
    ):
        tell(cluster, "hold")  # somebody else's work takes every CPU, now or when what runs has ended
        wait_until(lambda: "0 of 2 trials" in (tmp_path / "output.txt").read_text(), "the sweep to begin")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130, (tmp_path / "output.txt").read_text()
    assert [outcome for outcome, _ in outcomes(store)] == ["STOPPED", "STOPPED"]


def test_nodes_that_go_away_cost_no_trial(tmp_path: Path) -> None:
    # Long trials: the notice meets one before its last epoch though a worker came up seconds after the other.
    write_spec(tmp_path, "own_code:sleepy", training="epochs = 8", **{"protocol.default": "seeds = 6"})
    store = tmp_path / "store"

    def reasons() -> set[str]:
        return {row.reason or "" for row in recorded(store, "failing", AttemptRow)}

    with (
        two_nodes() as (address, cluster, variables),
        running(store, "run", "failing.toml", "--address", address, **variables) as process,
    ):
        wait_until(lambda: len(workers_seen(store)) == 2, "a trial on each node")
        tell(cluster, "drain")
        wait_until(lambda: any("taken away" in reason for reason in reasons()), "a trial that leaves its node")
        for order in ("remove", "add"):
            tell(cluster, order)
        wait_until(
            lambda: [outcome for outcome, _ in outcomes(store)].count("RUNNING") == 2, "a trial on the new node"
        )
        tell(cluster, "remove")
        assert process.wait(timeout=150) == 0, (tmp_path / "output.txt").read_text()
    assert [row.state for row in recorded(store, "failing", TrialRow)] == ["COMPLETE"] * 6
    ended = [(outcome, reason or "") for outcome, reason in outcomes(store) if outcome != "COMPLETE"]
    assert {outcome for outcome, _ in ended} == {"LOST", "STOPPED"}
    left = [row for row in recorded(store, "failing", AttemptRow) if "taken away" in (row.reason or "")]
    late = [
        row
        for row in recorded(store, "failing", AttemptRow)
        for one in left
        if row.pid == one.pid and row.started_at > one.ended_at
    ]
    assert not late, "a worker on a node that goes away was given another attempt"
    lost = [reason for outcome, reason in ended if outcome == "LOST"]
    assert all(reason.startswith(("node lost", "preempted")) for reason in lost), lost
