"""Where a store can lie, as fixtures; and how the suite, spread over processes, tells how far it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import call as call
from tests.object_store import FaultyStore, object_store_running

# Two processes of tests share two cores: threads of theirs that wait for work by spinning take it from each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class FileLines:
    """Prints a line for every test file that has ended, so that one that hangs is seen."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._now: dict[str, str] = {}
        self._outcomes: dict[str, list[str]] = {}
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        process = getattr(getattr(report, "node", None), "gateway", None)
        name, file = getattr(process, "id", "main"), report.nodeid.partition("::")[0]
        if self._now.get(name, file) != file:
            self._tell(self._now[name])
        self._now[name] = file
        self._seconds[file] = self._seconds.get(file, 0.0) + report.duration
        if report.when == "call" or report.outcome != "passed":
            self._outcomes.setdefault(file, []).append(report.outcome)

    def pytest_sessionfinish(self) -> None:
        for file in self._now.values():
            self._tell(file)

    def _tell(self, file: str) -> None:
        outcomes = self._outcomes.get(file, [])
        counts = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in dict.fromkeys(outcomes))
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(f"\n{file}: {counts} in {self._seconds[file]:.0f} s")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):
        config.pluginmanager.register(FileLines(config))
        # By number of tests the files of one long test would come last, and leave the other process without work: in
        # the order of their names the integration tests come first.
        config.option.loadscopereorder = False


@pytest.fixture(scope="session")
def object_store() -> Iterator[FaultyStore]:
    """One S3 endpoint for all tests that need one; each takes a new place in it."""
    with object_store_running() as store:
        yield store


@pytest.fixture(params=["local", "s3"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test's store lies: a folder, and then an object store."""
    if request.param == "local":
        return str(tmp_path / "store")
    store: FaultyStore = request.getfixturevalue("object_store")
    return store.new_uri()
