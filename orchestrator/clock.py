"""The time as the store keeps it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """UTC without a zone: what every Parquet reader reads alike."""
    return datetime.now(UTC).replace(tzinfo=None)
