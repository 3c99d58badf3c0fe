"""Seeds by hash of what they are for: neither order of completion nor how much another stream drew matters."""

from __future__ import annotations

import hashlib


def stream_seed(seed: int, name: str, *parts: int | str) -> int:
    """A seed in [0, 2**48) for the stream `name` of a trial or sweep; `parts` tell streams of one name apart."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (seed, name, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6])
