"""How much memory this process holds, and whether an exception says that there is no more; needs no torch."""

from __future__ import annotations

import sys

import psutil


def resident_memory() -> int:
    """Resident size of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory could not be allocated, on a GPU or on the CPU."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    # On the CPU torch has no class of its own for it.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
