"""A Ray cluster of a head without CPUs and two nodes of one CPU each, in a process of its own.

Prints its address, then obeys what it reads: `drain` gives the first node a preemption notice, `remove` kills it with
all its workers, `add` brings another one, `hold` takes a CPU of each for good. Ends when its input does.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.commands import MARK, ROOT, end_marked, environment

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

DRAIN_SECONDS = 20


@contextmanager
def two_nodes(**more: str) -> Iterator[tuple[str, subprocess.Popen[str], dict[str, str]]]:
    """The cluster while the block runs: its address, the process that obeys, and its environment with `more`."""
    mark = secrets.token_hex(8)
    variables = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray would look for lost nodes every few seconds, and wait for several.
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_timeout_ms": "1000",
        **more,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.integration.two_nodes"],
        env=environment(Path("unused"), **variables, **{MARK: mark}),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as cluster:
        try:
            assert cluster.stdout is not None
            address = cluster.stdout.readline().strip()
            assert address, "the cluster did not come up"
            yield address, cluster, variables
        finally:
            cluster.kill()
            end_marked(mark)


def tell(cluster: subprocess.Popen[str], order: str) -> None:
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    cluster.stdin.write(f"{order}\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline().strip() == "done"


def drain(cluster: Cluster, node_id: str) -> None:
    """Tells a node that it will be taken away, as `ray start --block` does when it gets a SIGTERM."""
    from ray._raylet import GcsClient

    deadline = int((time.time() + DRAIN_SECONDS) * 1000)
    preemption = 2  # DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    accepted, message = GcsClient(address=cluster.address).drain_node(node_id, preemption, "a test", deadline)
    assert accepted, message


class _Holder:
    """Does nothing, with a CPU of its own."""


def main() -> None:
    # Deferred: whoever only talks to this process needs no Ray.
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        match line.strip():
            case "drain":
                drain(cluster, nodes[0].node_id)
            case "remove":
                cluster.remove_node(nodes.pop(0), allow_graceful=False)
            case "add":
                nodes.append(cluster.add_node(num_cpus=1))
            case "hold":
                ray.init(address=cluster.address, log_to_driver=False)
                held = [ray.remote(num_cpus=1)(_Holder).remote() for _ in nodes]
                ray.get([holder.__ray_ready__.remote() for holder in held])
        print("done", flush=True)
    cluster.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
