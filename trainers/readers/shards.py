"""Which shards make up which part, by their names, and whether one is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from search_spaces.errors import DataError
from trainers.readers.location import StoredFile, list_files

TRAIN, TEST = "train", "test"

_FOLDERS = ("", "data", "train", "validation", "val", "test")
_PART = re.compile(r"(?:^|[-_./])(train|validation|valid|val|test)(?=[-_./\d])")
_NUMBER = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?:-of-(?P<count>\d+))?(?P<after>(?:-[0-9a-f]{8,})?\.\w+)")
_INFO_NAMES = ("_info.json", "info.json")
_SCANNERS = 8

T = TypeVar("T")


def find_shards(path: str, suffix: str) -> dict[str, tuple[StoredFile, ...]]:
    """The shards of the training part and of the test part, each by name, under the keys TRAIN and TEST.

    A shard's part stands in its name (`imagenet1k-train-0000.tar`, `validation-00000-of-00014.parquet`) or is its
    folder's. The validation part is the test part; one called test counts only where there is no validation part,
    because the test part of a challenge has no labels.

    Args:
        path: A folder, or a URI such as `s3://bucket/prefix`; shards lie in it, or in a folder of it called data or
            as a part.
        suffix: `.tar` or `.parquet`.

    Raises:
        DataError: The location cannot be read, a part is missing, or a shard of one is.
    """
    parts: dict[str, list[StoredFile]] = {}
    for folder in _FOLDERS:
        for file in list_files(path, folder):
            match = _PART.search(file.name) or _PART.search(f"{folder}/")
            if file.name.endswith(suffix) and match is not None:
                parts.setdefault(match[1], []).append(file)
    test = next((parts[name] for name in ("validation", "valid", "val", "test") if name in parts), [])
    found = {TRAIN: tuple(parts.get(TRAIN, ())), TEST: tuple(test)}
    for part, shards in found.items():
        if not shards and any(found.values()):
            expected = "train" if part == TRAIN else "validation"
            raise DataError(f"{path} has no shards of its {expected} part; expected *{expected}-*{suffix}")
        _check_numbers(shards)
    _check_listed(path, found.values())
    return found if any(found.values()) else {}


def _check_numbers(shards: Sequence[StoredFile]) -> None:
    """Refuses shards in whose numbers there is a gap, or that name different counts of shards."""
    series: dict[str, list[re.Match[str]]] = {}
    for shard in shards:
        if match := _NUMBER.fullmatch(shard.name):
            series.setdefault(match["before"], []).append(match)
    for before, matches in series.items():
        counts = {int(match["count"]) for match in matches if match["count"]}
        if len(counts) > 1:
            raise DataError(
                f"{shards[0].shown} and its neighbours are of different copies: names say"
                f" {' and '.join(f'-of-{count}' for count in sorted(counts))}; keep one copy"
            )
        present = {int(match["number"]) for match in matches}
        expected = range(counts.pop()) if counts else range(min(1, *present), max(present) + 1)
        missing = sorted(set(expected) - present)
        if missing:
            example = matches[0]
            number = f"{missing[0]:0{len(example['number'])}d}"
            count = f"-of-{example['count']}" if example["count"] else ""
            folder = shards[0].shown.rpartition("/")[0]
            raise DataError(
                f"{folder} lacks {before}{number}{count}{example['after']}: {len(present)} of {len(expected)} such"
                " shards are there"
            )


def _check_listed(path: str, found: Iterable[Sequence[StoredFile]]) -> None:
    """Refuses a copy that lacks a shard which its `_info.json`, as timm's data sets have one, lists."""
    info = next((file for file in list_files(path) if file.name in _INFO_NAMES), None)
    if info is None:
        return
    try:
        with info.open() as file:
            splits = json.loads(file.read())["splits"]
        listed = {name for part in splits.values() for name in part["filenames"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # some other tool's file of that name
    present = [shard.name for shards in found for shard in shards]
    parts = {match[1] for name in present if (match := _PART.search(name))}
    for name in sorted(listed - set(present)):
        match = _PART.search(name)
        if present and match is not None and match[1] in parts:
            raise DataError(f"{path} lacks {name}, which {info.shown} lists")


def for_each(shards: Sequence[StoredFile], look: Callable[[StoredFile], T]) -> list[T]:
    """What `look` says of every shard, in their order; several are looked at at once, because stores are slow."""
    with ThreadPoolExecutor(min(_SCANNERS, len(shards)), thread_name_prefix="bocb-scan") as pool:
        futures = [pool.submit(look, shard) for shard in shards]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def shard_error(shard: StoredFile, kind: str, error: Exception) -> DataError:
    """The error for a shard that cannot be read."""
    text = str(error) or type(error).__name__
    return DataError(f"{shard.shown} ({shard.size} bytes) cannot be read as {kind}: {text}; fetch it again")


SHARD_ERRORS = (OSError, EOFError, pa.ArrowException)
"""What reading a shard raises where it is damaged or gone."""
