"""Answers as JSON: records become objects, what is undefined becomes null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np


def as_json(value: Any) -> Any:
    """A record, or anything inside one, as what `json.dumps` takes.

    Raises:
        ValueError: It holds NaN or an infinity. Undefined is None, and a number that came out of nothing is a bug.
        TypeError: It holds something else than records, mappings, sequences, arrays, text and numbers.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: as_json(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_json(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [as_json(inner) for inner in value]
    if isinstance(value, (np.generic, Enum)):
        return as_json(value.item() if isinstance(value, np.generic) else value.value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no answer; what is undefined is None")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")
