"""Ray without what serves a cluster and its users: a sweep on one machine costs less and starts sooner.

Ray has switches for these parts in `ray start`, or takes them from how it was installed, and `ray.init` passes none
of them on; so they are set where `ray.init` looks for them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ray._private import node, parameter, utils

_NODE: Any = node.Node
_PARAMETER: Any = parameter
_UTILS: Any = utils


def leave_out() -> None:
    """Has the next `ray.init` of this process start a cluster without autoscaler, log monitor and dashboard.

    The driver needs none of them, and nobody else reaches a private cluster: it has one node, and what its workers
    print goes into the store.
    """
    _PARAMETER.RayParams = partial(_PARAMETER.RayParams, no_monitor=True, include_log_monitor=False)
    _NODE.start_api_server = _start_nothing
    _UTILS.get_dashboard_dependency_error = _as_if_not_installed


def _start_nothing(self: Any, **options: Any) -> None:
    """In place of the dashboard's server."""


def _as_if_not_installed() -> ImportError:
    """What Ray finds where it is installed without its dashboard: then its agents leave out their servers."""
    return ImportError("a private cluster has no dashboard")
