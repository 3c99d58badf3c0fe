"""The state of a network and its optimizer as bytes: tensors and plain values only, never an open pickle."""

from __future__ import annotations

import copy
import functools
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def snapshot_of(fields: dict[str, Any]) -> Callable[[], bytes]:
    """Copies nested containers of tensors now; what is returned makes bytes of the copy, on any thread."""
    return functools.partial(_serialised, _copied(fields))


def load_snapshot(state: bytes) -> dict[str, Any]:
    """The fields of a snapshot, tensors on the CPU.

    Raises:
        ValueError: The bytes are no snapshot.
    """
    try:
        fields: dict[str, Any] = dict(torch.load(io.BytesIO(state), map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"these {len(state)} bytes are not a trainer's state: {error}") from error
    return fields


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        # A copy of the container itself: a network's state_dict carries versions as an attribute.
        container = copy.copy(value)
        container.update({key: _copied(item) for key, item in value.items()})
        return container
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value


def _serialised(fields: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(fields, buffer)
    return buffer.getvalue()
