"""The official CIFAR files are pickles: reads them without letting a pickle run code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import DataError

_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    # Python 3 writes bytes this way in old protocols.
    ("_codecs", "encode"),
}
"""Every global that an array, or bytes, in a pickle of Python 2 or 3 refers to."""

_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    OverflowError,
    MemoryError,
)
"""What unpickling raises for a file that is cut short or is no pickle."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> object:
        if (module_name, global_name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which image data never needs")
        found: object = super().find_class(module_name, global_name)
        return found


def read_batch(path: Path, label_key: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) and labels (N,) of one official CIFAR file.

    Args:
        path: `data_batch_1`, `train`, ...
        label_key: `labels` (CIFAR-10) or `fine_labels` (CIFAR-100).

    Raises:
        DataError: The file is missing, damaged, asks for code, or holds something else.
    """
    fields = _read_fields(path)
    expected = f"a dictionary with data (N x 3072 bytes) and {label_key} (N integers)"
    data, labels = fields.get("data"), fields.get(label_key)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        raise DataError(f"{path} is not an official CIFAR file: expected {expected}; found {', '.join(fields)}")
    if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
        raise DataError(f"{path} has no list {label_key}: expected {expected}; found {', '.join(fields)}")
    if len(labels) != len(data):
        raise DataError(f"{path} is damaged: it has {len(data)} images and {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32), np.asarray(labels, dtype=np.int64)


def _read_fields(path: Path) -> Mapping[str, object]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; expected an official CIFAR file") from error
    try:
        loaded: object = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except _DAMAGE as error:
        raise DataError(f"{path} is not a whole official CIFAR file ({len(content)} bytes): {error}") from error
    if not isinstance(loaded, dict):
        raise DataError(f"{path} is not an official CIFAR file: expected a dictionary, found {type(loaded).__name__}")
    return {key.decode() if isinstance(key, bytes) else str(key): value for key, value in loaded.items()}
