"""What a benchmark ran on: the hardware and the versions that a reader needs beside its figures."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

import torch


def machine(packages: Sequence[str]) -> str:
    """Hardware and versions in a phrase; no names of machines."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{gpu}{os.cpu_count()} CPU cores, {memory:.0f} GiB memory, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}"
    )
