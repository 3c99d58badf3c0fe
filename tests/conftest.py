"""Where a store can lie: fixtures for tests of what must hold in all such places."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.object_store import FaultyStore, object_store_running


@pytest.fixture(scope="session")
def object_store() -> Iterator[FaultyStore]:
    """One S3 endpoint for all tests that need one; each takes a new place in it."""
    with object_store_running() as store:
        yield store


@pytest.fixture(params=["local", "s3"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test's store lies: a folder, and then an object store."""
    if request.param == "local":
        return str(tmp_path / "store")
    store: FaultyStore = request.getfixturevalue("object_store")
    return store.new_uri()
