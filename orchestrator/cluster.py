"""The Ray cluster a sweep runs on: a private one on this machine, or one that is already there."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import ClusterError, UsageError
from orchestrator.spec import ResourcesSection
from orchestrator.store.files import Files
from orchestrator.store.store import SweepStore


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResources:
    """What one trial is given."""

    cpus: int
    gpus: float


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray while the block runs: the cluster at an address, or a private one that ends with the block.

    `ray_environment.prepare` must have run before this module was imported.

    Raises:
        ClusterError: The cluster cannot be reached.
    """
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
        raise ClusterError(f"{where} cannot be used: {_first_line(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def trial_resources(resources: ResourcesSection) -> TrialResources:
    """What each trial gets on the connected cluster.

    Raises:
        UsageError: No node of the cluster has that much.
    """
    available = ray.cluster_resources()
    gpus = resources.gpus_per_trial
    share = (1.0 if available.get("GPU", 0) >= 1 else 0.0) if gpus == "auto" else float(gpus)
    largest = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if resources.cpus_per_trial > largest:
        raise UsageError(
            f"resources.cpus_per_trial = {resources.cpus_per_trial}, but the largest node has {largest:g} CPUs"
        )
    if share > available.get("GPU", 0):
        raise UsageError(f"resources.gpus_per_trial = {share:g}, but the cluster has no GPU")
    return TrialResources(cpus=resources.cpus_per_trial, gpus=share)


def slots(resources: ResourcesSection, trial: TrialResources) -> int:
    """How many trials the cluster has room for now; asked again while it grows and shrinks."""
    available = ray.cluster_resources()
    room = int(available.get("CPU", 0) // trial.cpus)
    if trial.gpus:
        room = min(room, int(available.get("GPU", 0) / trial.gpus))
    return max(1, min(room, resources.max_concurrent or room))


def check_store_is_shared(store: SweepStore) -> None:
    """Refuses a store that some node of the cluster cannot see: its checkpoints would be lost.

    Raises:
        ClusterError: Naming the node.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    probe = f"{store.name}/.probe-{uuid.uuid4().hex}"
    store.files.write(probe, b"")
    try:
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            sees_it = _exists.options(scheduling_strategy=strategy, num_cpus=0).remote(store.files.root, probe)
            if not ray.get(sees_it, timeout=120):
                raise ClusterError(
                    f"node {node['NodeManagerHostname']} cannot see the store {store.files.root}; "
                    "use a path that every node shares"
                )
    finally:
        store.files.delete(probe)


@ray.remote
def _exists(root: str, name: str) -> bool:
    return Files(root).exists(name)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
