"""How much memory this process holds, and whether an exception says that there is no more; needs no torch."""

from __future__ import annotations

import sys

import psutil

OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What torch says where it has no class of its own for it: on the CPU, and in the libraries below CUDA."""


def resident_memory() -> int:
    """Resident size of this process now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory could not be allocated, on a GPU or on the CPU."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)


def release_cached_memory() -> None:
    """Gives back what torch holds of a GPU without using it, so that others on the same GPU can have it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
