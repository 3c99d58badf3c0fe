"""Private parts of Ray are other ones only while a private cluster starts, and may be missing."""

from __future__ import annotations

from contextlib import suppress

import pytest
from ray._private import node, utils

from orchestrator.running.ray_extras import left_out


def test_ray_is_its_own_again_once_a_cluster_has_started() -> None:
    start = node.Node.start_monitor
    with left_out():
        assert node.Node.start_monitor is not start
        assert utils.get_dashboard_dependency_error() is not None
    assert node.Node.start_monitor is start
    assert utils.get_dashboard_dependency_error() is None


def test_ray_is_its_own_again_when_no_cluster_could_be_started() -> None:
    start = node.Node.start_monitor
    with suppress(OSError), left_out():
        raise OSError("no cluster")
    assert node.Node.start_monitor is start


def test_what_another_version_of_ray_has_not_got_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(node.Node, "start_monitor")
    with left_out():
        assert not hasattr(node.Node, "start_monitor")
        assert utils.get_dashboard_dependency_error() is not None
    assert not hasattr(node.Node, "start_monitor")
