"""Handing a sweep to a job server that is made up here: who submits second, and what is said of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ray.job_submission import JobStatus

from orchestrator import cli
from orchestrator.errors import ClusterError
from orchestrator.running import submission
from orchestrator.running.submission import job_id_of, submit
from orchestrator.store.store import open_store
from tests.planned_sweeps import small_plan

ADDRESS = "http://127.0.0.1:1"


class Job(NamedTuple):
    submission_id: str
    status: JobStatus


@dataclass
class Server:
    """What a job server would do with what it is asked."""

    jobs: list[Job] = field(default_factory=list)
    on_submit: Callable[[str], None] | None = None
    specs: list[bytes] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    interrupted: bool = False

    def __call__(self, address: str) -> Server:
        assert address == ADDRESS
        return self

    def list_jobs(self) -> list[Job]:
        return list(self.jobs)

    def submit_job(self, *, submission_id: str, runtime_env: dict[str, Any], **_: object) -> None:
        if self.on_submit is not None:
            self.on_submit(submission_id)
        self.specs.append(Path(runtime_env["working_dir"], "spec.json").read_bytes())
        self.files = {path.name for path in Path(runtime_env["working_dir"]).iterdir()}
        self.jobs.append(Job(submission_id, JobStatus.RUNNING))

    def get_job_status(self, job_id: str) -> JobStatus:
        if self.interrupted:
            raise KeyboardInterrupt
        return next(job.status for job in self.jobs if job.submission_id == job_id)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(submission, "JobSubmissionClient", server)
    return server


def test_the_job_gets_the_spec_as_the_store_records_it(server: Server, tmp_path: Path) -> None:
    spec = small_plan().spec
    assert submit(spec, open_store(str(tmp_path)), ADDRESS).is_new
    assert server.specs == [spec.canonical_json().encode()]


def test_own_code_travels_with_what_it_imports(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "from bocb_travelling_part import Behaviour\n\ndef curve():\n    return Behaviour()\n"
    (tmp_path / "bocb_travelling.py").write_text(own)
    (tmp_path / "bocb_travelling_part.py").write_text("from trainers.synthetic import Behaviour as Behaviour\n")
    (tmp_path / "bocb_staying.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = small_plan(grid={"backbones": ["bocb_travelling:curve"]}).spec
    submit(spec, open_store(str(tmp_path / "store")), ADDRESS)
    assert server.files == {
        *("orchestrator", "search_spaces", "trainers", "spec.json"),
        *("bocb_travelling.py", "bocb_travelling_part.py"),
    }


def test_a_data_set_of_own_code_travels(server: Server, tmp_path: Path) -> None:
    spec = small_plan(grid={"backbones": ["resnet_digits"]}, data={"name": "tests.own_images:stripes"}).spec
    submit(spec, open_store(str(tmp_path)), ADDRESS)
    assert "tests" in server.files


def test_of_two_submits_at_the_same_moment_one_finds_the_others_job(server: Server, tmp_path: Path) -> None:
    spec, store = small_plan().spec, open_store(str(tmp_path))

    def somebody_else_was_first(job_id: str) -> None:
        server.jobs.append(Job(job_id, JobStatus.PENDING))
        raise RuntimeError(f"Request failed with status code 500: Job with submission_id {job_id} already exists.")

    server.on_submit = somebody_else_was_first
    found = submit(spec, store, ADDRESS)
    assert (found.job_id, found.is_new) == (job_id_of(spec, store), False)


def test_a_job_that_is_refused_is_one_sentence(server: Server, tmp_path: Path) -> None:
    def refuse(_: str) -> None:
        raise RuntimeError("Request failed with status code 500: no room.")

    server.on_submit = refuse
    with pytest.raises(ClusterError, match="no room"):
        submit(small_plan().spec, open_store(str(tmp_path)), ADDRESS)


def bocb(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bocb", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def arguments(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "spec.json").write_text(small_plan().spec.canonical_json())
    return ("submit", str(tmp_path / "spec.json"), "--store", str(tmp_path / "store"), "--address", ADDRESS)


def test_a_retry_that_is_not_passed_on_is_told(
    server: Server,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bocb(monkeypatch, *arguments, "--retry", "oom") == 0
    assert "--retry" not in capsys.readouterr().err
    assert bocb(monkeypatch, *arguments, "--retry", "oom", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["is_new"] is False
    assert "--retry" in said.err
    assert len(server.jobs) == 1


def test_ctrl_c_while_waiting_says_that_the_job_goes_on(
    server: Server,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.interrupted = True
    assert bocb(monkeypatch, *arguments, "--wait") == 130
    said = capsys.readouterr().err
    assert f"job {server.jobs[0].submission_id} goes on" in said
    assert "bocb stop small" in said
