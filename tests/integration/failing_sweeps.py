"""Small sweeps "failing" for tests of failures, and what their attempts came to."""

from __future__ import annotations

from pathlib import Path

from orchestrator.store.schema import AttemptRow
from tests.integration.commands import recorded


def write_spec(folder: Path, *backbones: str, **tables: str) -> None:
    """A sweep "failing" of one cell for each backbone, and two trials of four epochs in it."""
    parts = {
        "data": 'name = "synthetic"',
        "training": "epochs = 4",
        "protocol.default": "seeds = 2",
        "checkpoints": "interval_seconds = 0",
        "resources": "max_concurrent = 2",
        **tables,
    }
    lines = ["[sweep]", 'name = "failing"', "[grid]", f"backbones = {list(backbones)}", 'optimizers = ["sgd"]']
    for name, content in parts.items():
        lines += [f"[{name}]", content]
    (folder / "failing.toml").write_text("\n".join(lines))


def outcomes(store: Path) -> list[tuple[str, str | None]]:
    attempts = sorted(recorded(store, "failing", AttemptRow), key=lambda row: (row.trial_id, row.attempt))
    return [(row.outcome, row.reason) for row in attempts]
