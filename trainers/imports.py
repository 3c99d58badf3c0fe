"""Objects named by import path (`package.module:name`): catalogue classes and a user's own code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from search_spaces.errors import UserError, unknown_name

OWN_CODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemExit,  # a script that ends itself when imported would end us with it, without a word
    TypeError,
    ValueError,
)
"""What a user's own code is likely to raise when it is looked at before a sweep starts."""


def _import(name: str) -> ModuleType:
    """Imports a module, also one that imports timm or torchvision where torchvision needs the work-around."""
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    importlib.import_module("trainers.timm_models")
    return importlib.import_module(name)


def load_callable(path: str, *, purpose: str) -> Callable[..., Any]:
    """The class or function at an import path.

    Args:
        path: `package.module:name`.
        purpose: What it is for, for the message ("the builder of backbone x").

    Raises:
        UserError: The path has another form, or there is no such module or name, or it cannot be called.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute.isidentifier():
        raise UserError(f"{purpose} must be written package.module:name; got {path!r}")
    if module_name.partition(".")[0] == "timm":
        # Deferred: importing timm takes seconds, and needs the work-around of that module.
        importlib.import_module("trainers.timm_models")
    try:
        module = _import(module_name)
    except ImportError as error:
        raise UserError(f"{purpose}: cannot import {module_name} ({error}); is it on the Python path?") from error
    except OWN_CODE_ERRORS as error:
        raise UserError(f"{purpose}: importing {module_name} raises {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        raise unknown_name(f"name in {module_name} for {purpose}", attribute, vars(module))
    found: object = getattr(module, attribute)
    if not callable(found):
        raise UserError(f"{purpose}: {path} is {type(found).__name__}, not a class or function")
    return found
