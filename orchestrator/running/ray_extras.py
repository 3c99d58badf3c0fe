"""Ray without what serves a cluster and its users: a sweep on one machine costs less and starts sooner.

Ray has switches for these parts in `ray start`, or takes them from how it was installed, and `ray.init` passes none
of them on; so what starts them is replaced while `ray.init` runs. The names are private ones of Ray 2.60: where
another version has not got one of them, it starts that part, and the sweep runs all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STARTERS = ("start_monitor", "start_log_monitor", "start_api_server")
"""Methods of Ray's node for autoscaler, log monitor and dashboard."""
INSTALLED = "get_dashboard_dependency_error"
"""Tells Ray whether it is installed with its dashboard: where it is not, its agents leave out their servers."""


@contextmanager
def left_out() -> Iterator[None]:
    """While the block runs, `ray.init` starts a cluster without autoscaler, log monitor and dashboard.

    The driver needs none of them, and nobody else reaches a private cluster: it has one node, and what its workers
    print goes into the store.
    """
    replaced = [(owner, name, getattr(owner, name)) for owner, name in _names() if hasattr(owner, name)]
    for owner, name, _ in replaced:
        setattr(owner, name, _as_if_not_installed if name == INSTALLED else _start_nothing)
    try:
        yield
    finally:
        for owner, name, own in replaced:
            setattr(owner, name, own)


def _names() -> list[tuple[Any, str]]:
    """What is replaced: attributes of Ray's private parts, as far as this version has those."""
    try:
        from ray._private import node, utils
    except ImportError:
        return []
    return [*((getattr(node, "Node", None), name) for name in STARTERS), (utils, INSTALLED)]


def _start_nothing(self: Any, *given: Any, **options: Any) -> None:
    """In place of a method that starts a process."""


def _as_if_not_installed() -> ImportError:
    """What Ray finds where it is installed without its dashboard."""
    return ImportError("a private cluster has no dashboard")
