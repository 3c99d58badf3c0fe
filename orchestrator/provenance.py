"""Which code and which packages made a result."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "torchvision", "timm", "pytorch-optimizer"),
    *("ray", "optuna", "pyarrow", "numpy", "scipy", "scikit-learn"),
)
"""Packages whose version can change a number."""


@cache
def code_version() -> str:
    """Version of bocb with a digest of its source, so that an edited checkout is told apart from a release."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for package in ("orchestrator", "search_spaces", "trainers"):
        for source in sorted((root / package).rglob("*.py")):
            digest.update(source.relative_to(root).as_posix().encode())
            digest.update(source.read_bytes())
    return f"{package_version('bocb') or 'source'}+{digest.hexdigest()[:12]}"


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def package_versions() -> str:
    """Versions of Python and of `PACKAGES`, as a JSON object."""
    installed = {name: package_version(name) for name in PACKAGES}
    return json.dumps({"python": platform.python_version(), **installed}, sort_keys=True)
