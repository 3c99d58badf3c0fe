"""The command line in this process, as a fixture: arguments in; exit code, output and errors out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator import cli


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Runs a command in this process, in an empty folder with an empty store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOCB_STORE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["bocb", *arguments])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfdbinary.readouterr()
        return Answer(int(ended.value.code or 0), captured.out.decode(), captured.err.decode())

    return run
