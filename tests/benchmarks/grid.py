"""The table of one training step of every pair, from what `bocb doctor --grid --json` prints.

`make grid` checks the whole grid and keeps the table; a quarter of an hour on 2 cores.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.benchmarks.machine import machine

PACKAGES = ("torch", "timm", "pytorch-optimizer")


def page(checks: list[dict[str, Any]]) -> str:
    """A backbone in each row, an optimizer in each column: the seconds of a step, or BAD.

    Args:
        checks: Records with `backbone`, `optimizer`, `image_size`, `seconds` and `error`.
    """
    cells = {(check["backbone"], check["optimizer"]): check for check in checks}
    sizes = {check["backbone"]: check["image_size"] for check in checks}
    optimizers = list(dict.fromkeys(check["optimizer"] for check in checks))
    passed = sum(check["error"] is None for check in checks)
    lines = [
        "# One training step of every pair", "",
        f"Made by `make grid`: {passed} of {len(checks)} pairs train. {machine(PACKAGES)}.",
        "Seconds of a step at the paper's settings and recipe, building the optimizer and evaluating included; the "
        "first optimizer of a row also warms up the network.", "",
        "| backbone | px | " + " | ".join(optimizers) + " |",
        "| --- | ---: |" + " ---: |" * len(optimizers),
    ]  # fmt: skip
    for backbone, size in sizes.items():
        row = [cells[backbone, optimizer] for optimizer in optimizers]
        words = ["BAD" if check["error"] else f"{check['seconds']:.2f}" for check in row]
        lines.append(f"| {backbone} | {size} | " + " | ".join(words) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page(json.load(sys.stdin)))
