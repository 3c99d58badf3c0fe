"""Checks of this machine, the data and the store, each with what to do about a problem."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.errors import BocbError
from orchestrator.provenance import PACKAGES, package_version
from orchestrator.running.ray_environment import prepare
from orchestrator.store.store import open_store
from search_spaces.errors import UserError

FREE_BYTES = 1_000_000_000
"""Free disk space below which a sweep is likely to end badly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    detail: str
    mend: str | None = None
    """What to do, where it is not ok."""


def examine(uri: str | None) -> Iterator[Finding]:
    """Runs every check, one after another."""
    yield _python()
    yield _packages()
    yield from _guarded("torch", _torch)
    yield from _guarded("data", _digits)
    yield from _guarded("store", lambda: _store(uri))
    yield from _guarded("ray", _ray)


def _python() -> Finding:
    version = sys.version.split()[0]
    return Finding(check="python", ok=sys.version_info >= (3, 11), detail=version, mend="use Python 3.11 or newer")


def _packages() -> Finding:
    missing = [name for name in PACKAGES if package_version(name) is None]
    found = ", ".join(f"{name} {package_version(name)}" for name in PACKAGES if name not in missing)
    return Finding(
        check="packages",
        ok=not missing,
        detail=found,
        mend=f"install {', '.join(missing)}: pip install bocb" if missing else None,
    )


def _torch() -> Finding:
    # Deferred, as everything heavy here: a doctor must also work where something does not import.
    import torch

    from trainers.networks.timm_models import timm

    if not torch.cuda.is_available():
        return Finding(check="torch", ok=True, detail=f"timm {timm.__version__}; no GPU: trials run on CPUs")
    names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return Finding(check="torch", ok=True, detail=f"timm {timm.__version__}; GPUs: {names}")


def _digits() -> Finding:
    from trainers.config import DataConfig, TrainOn
    from trainers.data.datasets import load_trial_data

    data = load_trial_data(DataConfig(name="digits"), TrainOn.TRAIN)
    sizes = f"{len(data.train)} + {len(data.validation)} + {len(data.test)} images"
    return Finding(check="data", ok=True, detail=f"digits: {sizes} (train, validation, test)")


def _store(uri: str | None) -> Finding:
    store = open_store(uri, create=True)
    free = store.files.free_bytes()
    if free is None:
        return Finding(check="store", ok=True, detail=f"{store.uri} can be written")
    return Finding(
        check="store",
        ok=free >= FREE_BYTES,
        detail=f"{store.uri} can be written, {free / 1e9:.1f} GB free",
        mend="free some disk space, or choose another store with --store or BOCB_STORE",
    )


def _ray() -> Finding:
    address = os.environ.get("RAY_ADDRESS")
    prepare(private=address is None)
    from orchestrator.running import cluster

    with cluster.connected(address):
        return Finding(check="ray", ok=True, detail=cluster.summary())


def _guarded(check: str, examine_it: Callable[[], Finding]) -> Iterator[Finding]:
    try:
        yield examine_it()
    except (BocbError, UserError, ImportError, OSError, RuntimeError) as error:
        yield Finding(check=check, ok=False, detail=f"{type(error).__name__}: {error}", mend="see the message")
