"""Turns what pydantic says about a wrong spec into one sentence a person can act on."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def sentence_of(error: ValidationError, model: type[BaseModel]) -> str:
    """One sentence for the first mistake, with the number of further ones.

    Args:
        error: What pydantic raised.
        model: The model that was validated; its fields are the accepted keys.
    """
    mistakes = _one_per_place(error.errors(include_url=False))
    first = mistakes[0]
    more = len(mistakes) - 1
    rest = f" (and {more} more mistake{'s' if more > 1 else ''})" if more else ""
    return _sentence(first, model) + rest


def _one_per_place(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Mistakes in order, one for each place: a union reports every alternative that did not match."""
    seen: dict[tuple[str, ...], ErrorDetails] = {}
    for detail in details:
        seen.setdefault(_keys(detail["loc"]), detail)
    # An unknown key is the commonest mistake and often the cause of the others.
    return sorted(seen.values(), key=lambda detail: detail["type"] != "extra_forbidden")


def _keys(location: Sequence[str | int]) -> tuple[str, ...]:
    """The TOML keys of a location: list positions kept, names of pydantic's union branches dropped."""
    return tuple(str(part) for part in location if not isinstance(part, str) or _is_key(part))


def _is_key(part: str) -> bool:
    branches = ("list[", "function-", "constrained-", "literal[", "RangeTable")
    return part not in ("float", "int", "str", "bool") and not part.startswith(branches)


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    keys = _keys(detail["loc"])
    place = ".".join(keys)
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(keys, _accepted_keys(model, keys[:-1]))
        case "missing":
            return f"{place} is missing"
        case "value_error":
            message = str(detail["ctx"]["error"])
            return f"{place}: {message}" if place else message
        case _:
            return f"{place} = {detail['input']!r} is not accepted: {_plain(detail['msg'])}"


def _plain(message: str) -> str:
    return message[:1].lower() + message[1:]


def _unknown_key(keys: tuple[str, ...], accepted: list[str]) -> str:
    close = difflib.get_close_matches(keys[-1], accepted, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]}?" if close else f"accepted here: {', '.join(accepted)}"
    table = f"in [{'.'.join(keys[:-1])}]" if keys[:-1] else "at the top level"
    return f"unknown key {keys[-1]!r} {table}; {hint}"


def _accepted_keys(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys of the table at a path: fields of the models on the way there."""
    current: Any = model
    for key in path:
        field = current.model_fields.get(key) if _is_model(current) else None
        if field is None:
            models = [part for part in _parts(current) if _is_model(part)]
            current = models[0] if models else current
            continue
        current = field.annotation
    models = [part for part in _parts(current) if _is_model(part)]
    if not models:
        return []
    return [field.alias or name for name, field in models[0].model_fields.items()]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _parts(annotation: Any) -> list[Any]:
    """An annotation and everything inside it."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _parts(part))]
