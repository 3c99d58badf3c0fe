"""The Ray cluster a sweep runs on: a private one on this machine, or one that is already there."""

from __future__ import annotations

import logging
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import ClusterError, UsageError
from orchestrator.planning.spec import ResourcesSection, Spec
from orchestrator.running.outcomes import Loss
from orchestrator.running.private_cluster import attended
from orchestrator.running.ray_extras import left_out
from orchestrator.running.signals import withheld
from orchestrator.store.store import Store, SweepStore
from trainers.config import Precision

CONNECT_SECONDS = 5.0
NODE_SECONDS = 120.0
DEATH_SECONDS = 40.0
"""How long Ray may take to find out that a node is no more."""


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
    if address == "auto":
        address = _cluster_of_this_job() or address
    if address is not None:
        _check_reachable(address)
    others = psutil.Process().children()
    try:
        with withheld(), nullcontext() if address else left_out():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                logging_level=logging.WARNING,
                log_to_driver=False,
            )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        here = f"a Ray cluster on this machine (its files go to {tempfile.gettempdir()}: TMPDIR names another place)"
        where = f"the Ray cluster at {address}" if address else here
        raise ClusterError(f"{where} cannot be used: {_first_line(error)}") from None
    try:
        with attended([process for process in psutil.Process().children() if process not in others]):
            yield
    finally:
        ray.shutdown()


def trial_resources(spec: Spec) -> TrialResources:
    """What each trial gets on the connected cluster.

    Raises:
        UsageError: No node of the cluster has that much.
    """
    asked = spec.resources
    gpus = ray.cluster_resources().get("GPU", 0)
    share = (1.0 if gpus >= 1 else 0.0) if asked.gpus_per_trial == "auto" else float(asked.gpus_per_trial)
    largest = max((node["Resources"].get("CPU", 0) for node in _alive()), default=0)
    if asked.cpus_per_trial > largest:
        raise UsageError(f"resources.cpus_per_trial = {asked.cpus_per_trial}, the largest node has {largest:g}")
    if share > gpus:
        raise UsageError(f"resources.gpus_per_trial = {share:g}, but the cluster has no GPU")
    if spec.training.precision is Precision.FLOAT16 and not share:
        raise UsageError("training.precision = 'float16' needs a GPU, and trials get none; take bfloat16 or float32")
    return TrialResources(cpus=asked.cpus_per_trial, gpus=share)


def slots(resources: ResourcesSection, trial: TrialResources) -> int:
    """How many trials the cluster has room for now, nodes that go away left out; asked again and again.

    Raises:
        ClusterError: No node is left, not even the one that this process came in by.
    """
    nodes = _alive()
    if not nodes:
        raise ClusterError("the Ray cluster has lost all of its nodes; the same command continues the sweep")
    room, leaving = 0, draining_nodes()
    for node in (found["Resources"] for found in nodes if found["NodeID"] not in leaving):
        fitting = node.get("CPU", 0) // trial.cpus
        room += int(min(fitting, node.get("GPU", 0) / trial.gpus) if trial.gpus else fitting)
    return max(1, min(room, resources.max_concurrent or room))


def summary() -> str:
    """One line about the connected cluster."""
    available = ray.cluster_resources()
    return f"Ray {ray.__version__}: {available.get('CPU', 0):g} CPUs, {available.get('GPU', 0):g} GPUs"


def _alive() -> list[dict[str, Any]]:
    """The nodes that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def draining_nodes() -> set[str]:
    """Ids of nodes that have been told to go away soon: a preemption notice, or a scale-down."""
    # Ray has no public call for this; it is the one that Ray Serve moves its replicas by.
    client: Any = ray._private.worker.global_worker.gcs_client  # type: ignore[attr-defined]
    return set(client.get_draining_nodes())


def cause_of_death(worker: Any, recorded: str) -> tuple[Loss, str]:
    """Why a worker is no more, as far as Ray knows, and a few words about it.

    Asks the dead: Ray answers for it, at once if it saw the process end, and only after some missed health checks
    where a whole node has vanished.

    Args:
        worker: The worker; None if it never came up.
        recorded: What Tune was told.
    """
    if worker is None:
        return _classified(recorded, otherwise=f"it never came up: {_last_line(recorded)}")
    deadline = time.monotonic() + DEATH_SECONDS
    while time.monotonic() < deadline:
        try:
            ray.get(worker.__ray_ready__.remote(), timeout=DEATH_SECONDS)
        except (ray.exceptions.ActorUnavailableError, ray.exceptions.GetTimeoutError):
            time.sleep(0.5)
        except ray.exceptions.RayActorError as error:
            return (Loss.PREEMPTED, "") if error.preempted else _classified(str(error))
        else:
            return Loss.WORKER, f"it lives, and fails: {_last_line(recorded)}"
    return Loss.NODE, "out of reach"


def _classified(text: str, otherwise: str = "") -> tuple[Loss, str]:
    """The exception's class is the same for a process and for a node; only its text tells them apart."""
    if "node has died" in text or "node was terminated" in text:
        return Loss.NODE, ""
    return Loss.WORKER, "the node was low on memory" if "running low on memory" in text else otherwise


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:300]


def check_store_is_shared(store: SweepStore) -> None:
    """Refuses a store that some node of the cluster cannot see: its checkpoints would be lost.

    Raises:
        ClusterError: Naming the node.
    """
    nodes = _alive()
    if len(nodes) < 2:
        return
    probe = f"{store.name}/.probe-{uuid.uuid4().hex}"
    store.files.write(probe, b"")
    try:
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            question = _exists.options(scheduling_strategy=strategy, num_cpus=0)
            if not _answer(question.remote(store.files.root, probe), node["NodeManagerHostname"]):
                raise ClusterError(
                    f"node {node['NodeManagerHostname']} cannot see the store {store.files.root}; "
                    "use a path that every node shares"
                )
    finally:
        store.files.delete(probe)


def _answer(question: ray.ObjectRef[bool], host: str) -> bool:
    try:
        return ray.get(question, timeout=NODE_SECONDS)
    except ray.exceptions.RayError as error:
        raise ClusterError(f"node {host} does not answer: {_first_line(error)}") from None


@ray.remote
def _exists(root: str, name: str) -> bool:
    return Store(root).files.exists(name)


def _cluster_of_this_job() -> str | None:
    """The address of the cluster that runs this process as a job; None where none does.

    Ray's own `auto` is the cluster that was started last on this machine, for a job of another one too.
    """
    for process in psutil.Process().parents():
        with suppress(psutil.Error):
            if process.name() == "raylet":
                flag = "--gcs-address="
                return next((word.removeprefix(flag) for word in process.cmdline() if word.startswith(flag)), None)
    return None


def _check_reachable(address: str) -> None:
    """Looks for a listener: Ray itself would try for many minutes, with nothing but warnings."""
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address} is a Ray client's address, which cannot drive a sweep; use 'bocb submit', or HOST:PORT"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return  # "auto" and the like
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(f"nothing answers at {address}: {error}; give the address of a Ray head") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
