"""What a trial may find in its process: everything that a trial before it could have left behind is set here."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from trainers.seeds import stream_seed


def reset_process_state(seed: int, threads: int) -> None:
    """Puts every global switch that changes numbers where it is in a fresh process, and seeds everything.

    On the CPU all arithmetic is deterministic from here. On a GPU an operation that has no deterministic form
    warns instead of failing, because some networks (AlexNet's pooling) have no other.
    """
    # cuBLAS reads this when its first handle is made; deterministic matrix products need it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # Filling uninitialised memory is for finding bugs; our operations write before they read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_flush_denormal(False)
    for device_type in ("cpu", "cuda"):
        torch.set_autocast_enabled(device_type, False)
    torch.clear_autocast_cache()
    seed_process(seed)


def seed_process(seed: int, *parts: int | str) -> None:
    """Seeds the global generators of Python, numpy and torch (all devices) for a stream of a trial."""
    value = stream_seed(seed, "process", *parts)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)
