"""Which arithmetic forward and backward passes run in."""

from __future__ import annotations

import torch

from search_spaces.errors import UserError
from trainers.config import Precision


def arithmetic(precision: Precision, device: torch.device) -> torch.dtype:
    """What a precision means on a device.

    Raises:
        UserError: The device has no such arithmetic.
    """
    is_gpu = device.type == "cuda"
    match precision:
        case Precision.AUTO:
            return torch.bfloat16 if is_gpu and torch.cuda.is_bf16_supported() else torch.float32
        case Precision.FLOAT16 if not is_gpu:
            raise UserError("precision float16 needs a GPU; on the CPU take float32 or bfloat16")
        case _:
            dtype: torch.dtype = getattr(torch, precision.value)
            return dtype
