"""Submitting to a real Ray cluster with token authentication, on ports of its own."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.commands import ROOT, bocb, end_marked, environment, rows

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


class Cluster(NamedTuple):
    url: str
    token: str
    folder: Path


@contextmanager
def another_cluster(files: Path, mark: str) -> Iterator[None]:
    """What a cluster that was started later leaves for Ray to find: a file with its address, and a raylet."""
    command = ["exec -a raylet/raylet", shlex.quote(sys.executable), "-c 'import time; time.sleep(300)'"]
    command.append("--gcs-address=127.0.0.1:9")
    raylet = subprocess.Popen(["bash", "-c", " ".join(command)], env={"BOCB_TEST_RUN": mark})
    try:
        (files / "ray_current_cluster").write_text("127.0.0.1:9")
        yield
    finally:
        raylet.kill()
        raylet.wait()


def free_ports(count: int) -> list[int]:
    """Ports outside Ray's worker range (10002 to 19999) that are free now."""
    found: list[int] = []
    for port in range(26_000 + os.getpid() % 5_000, 60_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free port")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head node with a job server on loopback, ended by its process id."""
    folder, token, mark = tmp_path_factory.mktemp("cluster"), secrets.token_hex(32), secrets.token_hex(8)
    port, jobs, client, agent, grpc = free_ports(5)
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--num-cpus=2"]
    command += [f"--port={port}", f"--dashboard-port={jobs}", "--dashboard-host=127.0.0.1"]
    command += [f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--dashboard-agent-grpc-port={grpc}", "--node-ip-address=127.0.0.1", "--include-dashboard=true"]
    files = Path(tempfile.mkdtemp(prefix="ray-"))  # a short path: it holds sockets
    command.append(f"--temp-dir={files}")
    variables = environment(
        folder / "unused",
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=token,
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
        BOCB_TEST_RUN=mark,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    variables.pop("PYTHONPATH")  # the job must bring its own code
    with (folder / "head.txt").open("w") as output:
        head = subprocess.Popen(command, env=variables, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{jobs}"
    try:
        wait_for_server(url, token, head, folder / "head.txt", files / "ray_current_cluster")
        with another_cluster(files, mark):
            yield Cluster(url, token, folder)
    finally:
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(timeout=30)
        except subprocess.TimeoutExpired:
            head.kill()
            head.wait()
        end_marked(mark)
        shutil.rmtree(files)


def wait_for_server(url: str, token: str, head: subprocess.Popen[bytes], output: Path, address: Path) -> None:
    """Until the job server answers, and the head has left its address in a file."""
    deadline = time.monotonic() + 90
    request = urllib.request.Request(f"{url}/api/version", headers={"Authorization": f"Bearer {token}"})
    while True:
        with suppress(OSError), urllib.request.urlopen(request, timeout=5):
            if address.exists():
                return
        assert head.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.5)


SPEC = """
[sweep]
name = "submitted"
[grid]
backbones = ["synthetic_a", "my_networks:mine"]
optimizers = ["sgd", "adamw"]
[data]
name = "synthetic"
[training]
epochs = 2
[protocol.default]
seeds = 1
[protocol.design]
points = 2
"""
OWN_CODE = """
from trainers.synthetic import Behaviour

def mine():
    return Behaviour(epoch_seconds=0.05)
"""


def test_submitting_twice_runs_once(cluster: Cluster) -> None:
    store = cluster.folder / "store"
    (cluster.folder / "my_networks.py").write_text(OWN_CODE)
    (cluster.folder / "sweep.toml").write_text(SPEC)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": cluster.token}
    submit = ["submit", "sweep.toml", "--address", cluster.url]

    refused = bocb(store, *submit, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
    assert (refused.returncode, refused.stderr.count("\n")) == (4, 1), refused.stderr
    assert "RAY_AUTH_TOKEN" in refused.stderr

    first = bocb(store, *submit, "--json", **token)
    assert first.returncode == 0, first.stderr
    second = bocb(store, *submit, "--wait", **token)
    assert second.returncode == 0, second.stdout + second.stderr
    job = json.loads(first.stdout)["job_id"]
    assert json.loads(first.stdout)["is_new"]
    assert f"already there as job {job}" in second.stdout
    assert "12 of 12 trials" in second.stdout

    third = bocb(store, *submit, "--wait", "--json", **token)
    assert not json.loads(third.stdout)["is_new"]
    counted = rows(store, "SELECT count(*) AS n, max(attempt) AS attempts, max(driver_epoch) AS drivers FROM trials")
    assert counted == [{"n": 12, "attempts": 1, "drivers": 1}]


def test_an_address_without_a_server_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(SPEC.replace('"my_networks:mine"', '"synthetic_b"'))
    answer = bocb(tmp_path / "store", "submit", "sweep.toml", "--address", f"http://127.0.0.1:{free_ports(1)[0]}")
    assert (answer.returncode, answer.stderr.count("\n")) == (4, 1)
    assert "cannot be used" in answer.stderr
    assert str(ROOT) not in answer.stderr
