"""Seeds of a trial's random streams, by hash: no stream depends on how much another one drew."""

from __future__ import annotations

import hashlib


def stream_seed(seed: int, name: str, *parts: int | str) -> int:
    """A seed in [0, 2**63) for the stream `name` of a trial; `parts` tell streams of one name apart."""
    text = "/".join([str(seed), name, *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
