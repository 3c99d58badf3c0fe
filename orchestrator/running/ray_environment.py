"""Environment variables that must be set before Ray is imported: Ray reads them only then."""

from __future__ import annotations

import os
import secrets

EVERYWHERE = {
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would rebuild the environment on every worker
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial that is given no GPU sees none
}
PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: listen on loopback and nowhere else
    "RAY_AUTH_MODE": "token",
}


def prepare(*, private: bool) -> None:
    """Sets what is not set already.

    Args:
        private: Whether Ray is about to be started for this process alone. It then stays on loopback, behind a random
            token that is written nowhere.
    """
    for name, value in {**EVERYWHERE, **(PRIVATE if private else {})}.items():
        os.environ.setdefault(name, value)
    if private and "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
