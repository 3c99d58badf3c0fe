"""A Ray cluster of a head without CPUs and two nodes of one CPU each, in a process of its own.

Prints its address, then obeys what it reads: `drain` gives the first node a preemption notice, `remove` kills it with
all its workers, `add` brings another one. Ends when its input does.
"""

from __future__ import annotations

import sys
import time

import ray
from ray.cluster_utils import Cluster

DRAIN_SECONDS = 20


def drain(cluster: Cluster, node_id: str) -> None:
    """Tells a node that it will be taken away, as `ray start --block` does when it gets a SIGTERM."""
    from ray._raylet import GcsClient

    deadline = int((time.time() + DRAIN_SECONDS) * 1000)
    preemption = 2  # DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    accepted, message = GcsClient(address=cluster.address).drain_node(node_id, preemption, "a test", deadline)
    assert accepted, message


def main() -> None:
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
        print("done", flush=True)
    cluster.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
