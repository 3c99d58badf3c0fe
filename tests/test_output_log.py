"""What an attempt prints is kept, whoever prints it, and never more than a megabyte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.local_files import LocalFiles
from orchestrator.worker.output_log import LIMIT_BYTES, OutputLog, readable


def printed(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """What a process leaves on its own output, which captures while it runs some code."""
    if not (folder / "s").exists():
        (folder / "s").mkdir()  # without a sweep there is no log
    program = (
        "import os, sys\n"
        "from orchestrator.worker.output_log import OutputLog\n"
        "from orchestrator.store.local_files import LocalFiles\n"
        f"log = OutputLog(LocalFiles({str(folder)!r}), 's/checkpoints/t/1.log')\n"
        "print('before')\n"
        f"with log.capturing():\n    {code}\n"
        "print('after')\n"
        "print(repr(log.text()), file=sys.stderr)\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)


def test_python_and_what_lies_below_it_are_captured_in_order(tmp_path: Path) -> None:
    code = "print('python'); os.write(1, b'below\\n'); print('error', file=sys.stderr); os.system('echo child')"
    done = printed(tmp_path, code)
    assert done.stdout == "before\nafter\n"
    log = (tmp_path / "s/checkpoints/t/1.log").read_text()
    assert sorted(log.split()) == ["below", "child", "error", "python"]
    assert repr(log) == done.stderr.strip()


def test_a_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    printed(tmp_path, "print('first'); print('x' * 5_000_000); print('last')")
    log = (tmp_path / "s/checkpoints/t/1.log").read_bytes()
    assert len(log) < 2 * LIMIT_BYTES
    text = readable(log)
    assert text is not None
    assert text.startswith("first\nxxx")
    assert text.endswith("xxx\nlast\n")
    assert "bytes left out" in text


def test_a_log_that_cannot_be_written_costs_nothing_but_the_log(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file where the folder should be")
    done = printed(tmp_path, "print('said')")
    assert done.stdout.split() == ["before", "said", "after"]
    assert done.stderr.strip() == "None"


@pytest.mark.parametrize(("content", "text"), [(b"", None), (b"\xff\n", "\ufffd\n")])
def test_any_bytes_are_readable(content: bytes, text: str | None) -> None:
    assert readable(content) == text


def test_an_object_store_gets_a_copy(tmp_path: Path) -> None:
    class Remote(LocalFiles):
        def local_path(self, name: str) -> Path | None:
            return None

    files = Remote(str(tmp_path))
    log = OutputLog(files, "s/checkpoints/t/1.log")
    log.publish()
    assert not files.exists("s/checkpoints/t/1.log")
    with log.capturing():
        os.write(1, b"said\n")
    log.publish()
    assert files.read("s/checkpoints/t/1.log") == b"said\n"
    log.remove()
    assert log.text() is None
