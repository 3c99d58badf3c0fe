"""Random seeds as hashes of what they are for, so that order of completion can change none of them."""

from __future__ import annotations

import hashlib


def seed_for(*parts: str | int) -> int:
    """A seed in [0, 2**48) that depends on every part and on their order, and on nothing else."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])
