"""The README's example of one's own code, as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_example_of_own_code_can_be_planned(tmp_path: Path) -> None:
    section = README.read_text(encoding="utf-8").partition("## Your own network, optimizer or images")[2]
    for language, name in (("python", "mine.py"), ("toml", "mine.toml")):
        found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
        assert found is not None
        (tmp_path / name).write_text(found[1], encoding="utf-8")
    answer = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "plan", "mine.toml", "--json", "--store", str(tmp_path / "store")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(README.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    plan = json.loads(answer.stdout)
    assert (plan["cells"], plan["trials"]) == (4, 8)
