"""Hands a sweep to a Ray cluster as a Ray job; its id follows from the spec, so submitting twice runs it once."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient

from orchestrator.errors import ClusterError, Exit
from orchestrator.planning.spec import Spec
from orchestrator.store.store import Store
from trainers.data.dataset_info import is_own
from trainers.imports import own_modules

PACKAGES = ("orchestrator", "search_spaces", "trainers")
POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A sweep's job on a cluster."""

    job_id: str
    is_new: bool
    """False where an earlier submission of the same spec is still there; nothing of this one is passed on to it."""


def job_id_of(spec: Spec, store: Store) -> str:
    """The id of a sweep's job: its name, and a digest of its spec and its store."""
    digest = hashlib.sha256(f"{spec.digest()} {store.uri}".encode()).hexdigest()
    return f"bocb-{spec.sweep.name}-{digest[:12]}"


def submit(spec: Spec, store: Store, address: str, *, retries: tuple[str, ...] = ()) -> Submission:
    """Submits a sweep, or finds the job that runs or has run it.

    A job that failed or was stopped gets a successor, which goes on from the store.

    Args:
        spec: A checked spec.
        store: The store, under a name that the cluster sees too.
        address: The cluster's job server, `http://host:port`.
        retries: Kinds of failed trials to run again.

    Raises:
        ClusterError: The cluster cannot be reached, or refuses the job.
    """
    client = client_of(address)
    with _asking(address):
        jobs = _jobs(client)
    name, number = job_id_of(spec, store), 1
    job_id = name
    while job_id in jobs and (retries or jobs[job_id] in (JobStatus.FAILED, JobStatus.STOPPED)):
        if jobs[job_id] in (JobStatus.PENDING, JobStatus.RUNNING):
            break
        number += 1
        job_id = f"{name}-{number}"
    if job_id in jobs:
        return Submission(job_id=job_id, is_new=False)
    with _package(spec) as folder, _asking(address):
        try:
            client.submit_job(
                entrypoint=_entrypoint(store, retries),
                submission_id=job_id,
                runtime_env={"working_dir": str(folder), "env_vars": {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}},
                metadata={"sweep": spec.sweep.name, "spec_sha256": spec.digest()},
            )
        except RuntimeError:
            # The server takes an id once: somebody else may have submitted the same sweep at the same moment.
            if job_id not in _jobs(client):
                raise
            return Submission(job_id=job_id, is_new=False)
    return Submission(job_id=job_id, is_new=True)


def wait_for(job_id: str, address: str, show: Callable[[str], None]) -> Exit:
    """Follows a job to its end, showing what it prints; returns the exit code of its driver.

    Raises:
        ClusterError: The cluster cannot be reached any more.
    """
    client = client_of(address)
    shown = 0
    while True:
        with _asking(address):
            status = client.get_job_status(job_id)
            logs = client.get_job_logs(job_id)
        # Logs are fetched whole: tailing can end while the job still runs.
        if len(logs) > shown:
            show(logs[shown:])
            shown = len(logs)
        if status.is_terminal():
            break
        time.sleep(POLL_SECONDS)
    if status is JobStatus.SUCCEEDED:
        return Exit.COMPLETE
    with _asking(address):
        details = client.get_job_info(job_id)
    code = getattr(details, "driver_exit_code", None)
    return Exit(code) if code in list(Exit) else Exit.INCOMPLETE


def _jobs(client: JobSubmissionClient) -> dict[str | None, JobStatus]:
    return {job.submission_id: job.status for job in client.list_jobs()}


def client_of(address: str) -> JobSubmissionClient:
    """A client of a cluster's job server.

    Raises:
        ClusterError: There is none at that address, or it refuses us.
    """
    with _asking(address):
        return JobSubmissionClient(address)


def _entrypoint(store: Store, retries: tuple[str, ...]) -> str:
    command = ["python", "-m", "orchestrator.cli", "run", "spec.json", "--address", "auto", "--take-over"]
    command += ["--store", store.uri]
    if retries:
        command += ["--retry", ",".join(retries)]
    return shlex.join(command)


@contextmanager
def _package(spec: Spec) -> Iterator[Path]:
    """A folder with the spec and this very code, so that the cluster needs only the dependencies."""
    source = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="bocb-submit-") as name:
        folder = Path(name)
        for package in PACKAGES:
            _copy(source / package, folder)
        for own in _own_modules(spec):
            _copy(own, folder)
        (folder / "spec.json").write_text(spec.canonical_json(), encoding="utf-8")
        yield folder


def _own_modules(spec: Spec) -> set[Path]:
    """Files and folders of the code that a spec names by `package.module:name`, with all that it imports."""
    backbones = [spec.grid.backbones] if isinstance(spec.grid.backbones, str) else spec.grid.backbones
    named = [name for name in backbones if ":" in name] + [own.class_ for own in spec.optimizers.values()]
    named += [spec.data.name] if is_own(spec.data.name) else []
    return {place for name in named for places in own_modules(name).values() for place in places}


def _copy(source: Path, folder: Path) -> None:
    """Copies a module or a package into a folder, compiled files left out."""
    if source.is_dir():
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, folder)


@contextmanager
def _asking(address: str) -> Iterator[None]:
    """Says in one sentence what keeps us from talking to a cluster."""
    try:
        yield
    except (RayError, RuntimeError, ValueError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ClusterError(
            f"the job server at {address} cannot be used: {lines[0].rstrip('.')} "
            "(a cluster with token authentication wants RAY_AUTH_MODE=token and RAY_AUTH_TOKEN)"
        ) from None
