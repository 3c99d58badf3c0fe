"""Objects named by import path (`package.module:name`): catalogue classes and a user's own code."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
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

_RECORDED = frozenset(
    {"orchestrator", "search_spaces", "trainers", "torch", "torchvision", "timm", "pytorch_optimizer"}
)
"""Packages whose version is recorded with every sweep, ours by a digest of its source."""


def _import(name: str) -> ModuleType:
    """Imports a module, also one that imports timm or torchvision where torchvision needs the work-around."""
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    importlib.import_module("trainers.networks.timm_models")
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
        importlib.import_module("trainers.networks.timm_models")
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


def own_modules(import_path: str) -> Mapping[str, tuple[Path, ...]]:
    """The user's own modules that code at an import path is made of: the named one, and those that it imports.

    Followed are imports that are written as such, wherever in a file; of a package, those of all its files. What is
    installed beside torch, what comes with Python, and bocb itself are not the user's own.

    Args:
        import_path: `package.module:name`.

    Returns:
        By top-level name its file, or the folders of its package.
    """
    found: dict[str, tuple[Path, ...]] = {}
    waiting = [_top_level_name(import_path)]
    while waiting:
        name = waiting.pop()
        if name in found or name in _RECORDED or name in sys.stdlib_module_names:
            continue
        if places := _own_places(name):
            found[name] = places
            waiting += [top for place in places for file in _sources(place) for top in _imported(file)]
    return found


def _top_level_name(import_path: str) -> str:
    return import_path.partition(":")[0].partition(".")[0]


def _own_places(name: str) -> tuple[Path, ...]:
    """Where a top-level module lies, or nowhere if it is installed or cannot be found."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # it has no specification, as a program that was started has none
        return ()
    if spec is None:
        return ()
    # A package is its folders, with or without an __init__.py; a module is its file.
    places = spec.submodule_search_locations or ([spec.origin] if spec.has_location and spec.origin else [])
    own = [Path(place) for place in places if not {"site-packages", "dist-packages"} & set(Path(place).parts)]
    # Any folder on the Python path can be imported; one without Python in it is no code.
    return tuple(place for place in own if _sources(place))


def _sources(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _imported(file: Path) -> Iterator[str]:
    """Top-level names of the absolute imports of a file; none of what is not Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for statement in _statements(tree):
        if isinstance(statement, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and statement.level == 0:
            yield statement.module.partition(".")[0]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """What a tree consists of, without the expressions: no import is inside one, and most of a tree is."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "handlers", "finalbody", "cases"):
            inside = getattr(node, name, ())
            waiting += inside if isinstance(inside, list) else ()  # the body of a lambda is an expression


def source_sha256(import_path: str) -> str | None:
    """SHA-256 of the Python source that code at an import path is made of; None where its version is recorded anyway.

    That is the files of `own_modules`: all of a package, because code may find its parts in ways that no import
    shows. Names within their folders count, the folders' places do not, so that code can move. Data files and
    compiled extensions are left out.

    Args:
        import_path: `package.module:name`.
    """
    return package_sha256(_top_level_name(import_path))


@cache
def package_sha256(name: str) -> str | None:
    """`source_sha256` of all code under a top-level name.

    The answer is kept: so it belongs to what this process has imported, and a package that many networks come from is
    read once.
    """
    modules = own_modules(name)
    if not modules:
        return None
    digest = hashlib.sha256()
    for name, places in sorted(modules.items()):
        for place in places:
            for file in _sources(place):
                inside = file.relative_to(place).as_posix() if place.is_dir() else file.suffix
                content = file.read_bytes()
                digest.update(f"{name}/{inside} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()


def check_source(import_path: str, recorded: str | None, *, purpose: str) -> None:
    """Refuses code of the user's own that is not the one that was planned with.

    Args:
        import_path: `package.module:name`.
        recorded: Its `source_sha256` in the plan; None asks for nothing.
        purpose: What it is for, for the message.

    Raises:
        UserError: Its source has changed, or is another one on this machine.
    """
    if recorded is not None and source_sha256(import_path) != recorded:
        raise UserError(
            f"{purpose}: the source of {import_path} on this machine is not the one that the sweep was started with; "
            "stop the sweep and resume it to go on with the changed source, or undo the change"
        )
