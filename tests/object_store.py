"""A real S3 API for tests: moto's server in a process of its own, behind a proxy on loopback that injects faults."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

BUCKET = "bocb-tests"
PAGE = 40
"""Names in one answer to a listing (S3 gives 1000), so that long listings are cheap to test."""
START_SECONDS = 60
FAULTS = (
    "500 before",
    "500 after",
    "503 before",
    "503 after",
    "reset before",
    "reset after",
    "silence before",
    "silence after",
    "cut answer",
)
"""What can go wrong, and whether the request has taken effect: `after` loses only the answer."""

ANSWERS = {
    "403": ("AccessDenied", "Access Denied"),
    "500": ("InternalError", "We encountered an internal error"),
    "503": ("SlowDown", "Please reduce your request rate"),
    "507": ("XMinioStorageFull", "There is no space left"),
}
"""Statuses that `faults` may name, with what such an answer says."""

# It ends when its input does, so also when the tests are killed.
MOTO = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""

Choice = Callable[[str, str], str | None]


class FaultyStore:
    """An S3 endpoint whose faults a test chooses."""

    def __init__(self, moto_port: int) -> None:
        self.requests: Counter[str] = Counter()
        """How many requests of each method have come."""
        self.injected: Counter[str] = Counter()
        """How many faults of each kind were injected."""
        self.silence_seconds = 0.35
        self.ignores_conditions = False
        """Whether it takes every PUT as unconditional, as some stores do."""
        self._choose: Choice = lambda method, path: None
        self._moto_port = moto_port
        self._lock = threading.Lock()
        self._exclusive = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.store = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def variables(self) -> dict[str, str]:
        """What a user would set."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_uri(self) -> str:
        """A place in the store that nothing is in."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"

    @contextmanager
    def faults(self, choose: Choice) -> Iterator[None]:
        """While the block runs, each request (method, path) meets the fault that `choose` names, or none."""
        self._choose = choose
        try:
            yield
        finally:
            self._choose = lambda method, path: None

    def seeded(self, seed: int, share: float) -> Choice:
        """That share of all requests meets a fault from a list that the seed fixes."""
        numbers = random.Random(seed)

        def choose(method: str, path: str) -> str | None:
            return numbers.choice(FAULTS) if numbers.random() < share else None

        return choose

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault_for(self, method: str, path: str) -> str | None:
        with self._lock:
            self.requests[method] += 1
            fault = self._choose(method, path)
            if fault is not None:
                self.injected[fault] += 1
            return fault

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, bytes]:
        # moto looks whether an object is there and then writes it; S3 does both in one step.
        with self._exclusive if "if-none-match" in headers else _nothing():
            connection = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=30)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                connection.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    store: FaultyStore

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.store.fault_for(self.command, self.path)
        kind, _, moment = (fault or "").partition(" ")
        if moment == "before":
            self._fail(kind)
            return
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() != "expect"}
        if self.server.store.ignores_conditions:
            headers.pop("if-none-match", None)
        status, answer_headers, content = self.server.store.forward(self.command, self.path, headers, body)
        if moment == "after":
            self._fail(kind)
            return
        self._answer(status, answer_headers, content, is_cut=kind == "cut")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _fail(self, kind: str) -> None:
        if kind == "silence":
            time.sleep(self.server.store.silence_seconds)
        if kind in ("reset", "silence"):
            self.close_connection = True
            # Closed with something left to send: the other side sees a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
            self.connection.close()
            return
        code, said = ANSWERS[kind]
        content = f"<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()
        self._answer(int(kind), [("Content-Type", "application/xml")], content, is_cut=False)

    def _answer(self, status: int, headers: Any, content: bytes, *, is_cut: bool) -> None:
        self.send_response_only(status)
        length = None
        for name, value in headers:
            if name.lower() == "content-length":
                length = value
            elif name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if is_cut else content)
        if is_cut:
            self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        """Nothing: the test says what it saw."""


@contextmanager
def object_store_running() -> Iterator[FaultyStore]:
    """A store with an empty bucket, and the variables that name it, while the block runs."""
    moto = subprocess.Popen(
        [sys.executable, "-c", MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
    )
    watchdog = threading.Timer(START_SECONDS, moto.kill)
    watchdog.start()
    try:
        port = int(next(line for line in moto.stdout if line.strip().isdigit()))
        watchdog.cancel()
        store = FaultyStore(port)
        make = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        make.request("PUT", f"/{BUCKET}")
        assert make.getresponse().read() is not None
        make.close()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)
            for name, value in store.variables.items():
                patch.setenv(name, value)
            yield store
        store.close()
    finally:
        watchdog.cancel()
        moto.stdin.close()
        try:
            moto.wait(10)
        except subprocess.TimeoutExpired:
            moto.send_signal(signal.SIGKILL)
            moto.wait()
        moto.stdout.close()
