"""How much memory this process holds, without importing torch."""

from __future__ import annotations

import psutil


def resident_memory() -> int:
    """Resident size of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)
