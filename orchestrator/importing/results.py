"""Results from elsewhere, read from a CSV file and proven before anything is stored.

One row is one result: `backbone`, `optimizer` and `top1`, and where a pair has several results a `seed` for each. A
file that is wrong anywhere is refused as a whole, with the line that is wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.importing.csv_file import Record, parse_file, read_bytes
from search_spaces.backbones import list_backbones
from search_spaces.optimizers import list_optimizers
from search_spaces.paper_names import SHORT_NAMES
from search_spaces.published_optimizers import SHORT_NAMES as OPTIMIZER_SHORT_NAMES

REQUIRED = ("backbone", "optimizer", "top1")
OPTIONAL = ("seed", "recipe", "dataset", "state")
STATES = ("COMPLETE", "DIVERGED", "FAIL")
"""States that a result from elsewhere may have; COMPLETE where the file does not say."""
UNKNOWN = "unknown"
"""Recipe and data set where neither the file nor the user names them."""
NAME_LENGTH = 100
_MISSING = frozenset(
    {"", "nan", "na", "n/a", "null", "none", "-", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a file cannot say of itself."""

    percent: bool = False
    """Accuracies are percentages, not fractions."""
    classes: int | None = None
    """Number of classes: one of so many is the chance that a diverged result scores."""
    dataset: str = UNKNOWN
    """The data set of rows that name none."""
    recipe: str = UNKNOWN
    """The recipe of rows that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedResult:
    """One result, with the catalogue's names."""

    line: int
    backbone: str
    recipe: str
    optimizer: str
    dataset: str
    seed: int | None
    """None where the file has no seeds."""
    replicate: int
    """Place of the seed among all seeds of the file; without seeds the how-manieth result of its cell, from 0."""
    state: str
    score: float | None
    """A fraction; chance for DIVERGED, None for FAIL."""
    reason: str | None
    """Why it is not COMPLETE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedResults:
    """All that a file says."""

    file: str
    """The file's name, without folders."""
    file_sha256: str
    dataset: str
    classes: int | None
    results: tuple[ImportedResult, ...]
    """In the order of the file; at least one."""
    ignored: tuple[str, ...]
    """Columns that mean nothing here."""
    is_percent: bool
    """Whether the file's accuracies were percentages."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know of the file, a sentence each."""
        said = [f"not used in {self.file}: {', '.join(self.ignored)}"] if self.ignored else []
        known = _backbones().values(), _optimizers().values()
        for kind, names, given in zip(("backbones", "optimizers"), known, (0, 2), strict=True):
            strange = sorted({cell[given] for cell in self.cells}.difference(names))
            if strange:
                said.append(f"{kind} that the catalogue does not have keep their names: {_some(strange)}")
        if self.is_percent and max((one.score or 0.0 for one in self.results), default=0.0) <= 0.01:
            said.append(f"no accuracy in {self.file} is above 1 %; leave --percent out if they are fractions")
        return tuple(said)

    @property
    def cells(self) -> tuple[tuple[str, str, str], ...]:
        """Backbone, recipe and optimizer of each cell, in the order of the file."""
        return tuple(dict.fromkeys((one.backbone, one.recipe, one.optimizer) for one in self.results))

    def digest(self) -> str:
        """SHA-256 of the results, whatever the file is called and however it is written."""
        said = sorted(
            json.dumps([r.backbone, r.recipe, r.optimizer, r.dataset, r.seed, r.replicate, r.state, r.score])
            for r in self.results
        )
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


def read_results(path: Path, options: ImportOptions) -> ImportedResults:
    """Reads a file of results.

    Raises:
        UsageError: The file cannot be read, or something in it is wrong.
    """
    return parse_results(read_bytes(path), path.name, options)


def parse_results(data: bytes, file: str, options: ImportOptions) -> ImportedResults:
    """The results in the content of a CSV file.

    Args:
        data: The file's content.
        file: Its name, for messages and for the record.
        options: What the file does not say.

    Raises:
        UsageError: Something is wrong; the message names the line and what is accepted.
    """
    name = _printable(file)
    _name("--dataset", options.dataset)
    _name("--recipe", options.recipe)
    table = parse_file(data, name, required=REQUIRED)
    if not table.records:
        raise UsageError(f"{name} has no results: there is no row below its first line")
    decimal_comma = table.delimiter != ","
    read = [_result(record, name, options, decimal_comma=decimal_comma) for record in table.records]
    return ImportedResults(
        file=name,
        file_sha256=hashlib.sha256(data).hexdigest(),
        dataset=_one_dataset(read, name),
        classes=options.classes,
        results=_with_replicates(read, name),
        is_percent=options.percent,
        ignored=tuple(column for column in table.columns if column not in (*REQUIRED, *OPTIONAL)),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{', '.join(names[:10])}{more}"


def _printable(file: str) -> str:
    """A file's name as text that any table can hold: it may have undecodable bytes."""
    text = file.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _result(record: Record, file: str, options: ImportOptions, *, decimal_comma: bool) -> ImportedResult:
    where, fields = f"{file} line {record.line}", record.fields
    value = _accuracy(where, fields["top1"], percent=options.percent, decimal_comma=decimal_comma)
    state, score, reason = _outcome(where, fields.get("state", ""), value, options.classes)
    return ImportedResult(
        line=record.line,
        backbone=canonical_backbone(_name(f"{where}: backbone", fields["backbone"])),
        recipe=_name(f"{where}: recipe", fields.get("recipe") or options.recipe),
        optimizer=canonical_optimizer(_name(f"{where}: optimizer", fields["optimizer"])),
        dataset=_name(f"{where}: dataset", fields.get("dataset") or options.dataset),
        seed=_seed(where, fields["seed"]) if "seed" in fields else None,
        replicate=0,
        state=state,
        score=score,
        reason=reason,
    )


def _outcome(
    where: str, given: str, value: float | None, classes: int | None
) -> tuple[str, float | None, str | None]:
    """State, score and reason of a row."""
    state = given.upper() or "COMPLETE"
    if state not in STATES:
        raise UsageError(f"{where}: state {given[:50]!r} is not accepted; give {', '.join(STATES)} or nothing")
    if state == "DIVERGED":
        if classes is None:
            raise UsageError(
                f"{where}: a diverged result scores chance, which the file does not say; give --classes N for 1/N"
            )
        return state, 1 / classes, f"diverged, says {where}"
    if state == "FAIL":
        if value is not None:
            raise UsageError(
                f"{where}: state FAIL means that there is no result, and top1 has one; remove one of them"
            )
        return state, None, f"failed, says {where}"
    return ("FAIL", None, f"no value in {where}") if value is None else (state, value, None)


def _accuracy(where: str, given: str, *, percent: bool, decimal_comma: bool) -> float | None:
    """An accuracy as a fraction; None where there is none."""
    text = given.casefold()
    if text in _MISSING:
        return None
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if text.endswith("%"):
        raise UsageError(
            f"{where}: top1 {given[:50]!r} has a percent sign; write the number alone and give --percent"
        )
    try:
        value = Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:
        value = None
    if value is None:
        raise UsageError(f"{where}: top1 {given[:50]!r} is not a number; leave it empty where there is no result")
    if value > 1 and value <= 100 and not percent:
        raise UsageError(f"{where}: top1 {given[:50]} is above 1; give --percent if the accuracies are percentages")
    if not 0 <= value <= (100 if percent else 1):
        accepted = "0 to 100" if percent else "0 to 1, or with --percent 0 to 100"
        raise UsageError(f"{where}: top1 {given[:50]} is not an accuracy; {accepted} is accepted")
    # By decimals, so that 66.76 % is the number nearest to 0.6676 and not its neighbour.
    return abs(float(value / 100 if percent else value))


def _seed(where: str, given: str) -> int:
    if not _INTEGER.fullmatch(given) or not -(2**63) <= int(given) < 2**63:
        raise UsageError(f"{where}: seed {given[:50]!r} is not accepted; give an integer below 2**63 in every row")
    return int(given)


def _name(what: str, given: str) -> str:
    """A name as it was given.

    Raises:
        UsageError: It is empty, too long, not printable, or a path, and so hardly a name.
    """
    if not given:
        raise UsageError(f"{what} is empty; give a name")
    if len(given) > NAME_LENGTH or not given.isprintable():
        raise UsageError(
            f"{what} {given[:50]!r} is not accepted; a name has at most {NAME_LENGTH} printable characters"
        )
    if given[0] in "/~." or "\\" in given or ".." in given.split("/"):
        raise UsageError(f"{what} {given!r} looks like a path; give a name")
    return given


def canonical_backbone(name: str) -> str:
    """The catalogue's name of a backbone, whatever its case or its name in the paper; an unknown one as given."""
    return _backbones().get(name.casefold(), name)


def canonical_optimizer(name: str) -> str:
    """As `canonical_backbone`, of an optimizer."""
    return _optimizers().get(name.casefold(), name)


@cache
def _backbones() -> dict[str, str]:
    names = {info.name: info.name for info in list_backbones()}
    return {alias.casefold(): name for alias, name in {**SHORT_NAMES, **names}.items()}


@cache
def _optimizers() -> dict[str, str]:
    names = {info.name: info.name for info in list_optimizers()}
    return {alias.casefold(): name for alias, name in {**OPTIMIZER_SHORT_NAMES, **names}.items()}


def _one_dataset(results: Sequence[ImportedResult], file: str) -> str:
    """The data set of a file: results on different ones do not belong into one table."""
    first = results[0]
    for other in results:
        if other.dataset != first.dataset:
            raise UsageError(
                f"{file} has results on {first.dataset} (line {first.line}) and on {other.dataset} "
                f"(line {other.line}); make a file, and a sweep, of each"
            )
    return first.dataset


def _with_replicates(results: Sequence[ImportedResult], file: str) -> tuple[ImportedResult, ...]:
    """Numbers the results of each cell: by seed, so that a replicate is the same in every cell, else in order."""
    by_seed = results[0].seed is not None
    places = {seed: place for place, seed in enumerate(sorted({one.seed for one in results if one.seed is not None}))}
    seen: dict[tuple[str, str, str], dict[int, int]] = defaultdict(dict)
    numbered = []
    for one in results:
        lines = seen[one.backbone, one.recipe, one.optimizer]
        replicate = places[one.seed] if by_seed and one.seed is not None else len(lines)
        if replicate in lines:
            raise UsageError(
                f"{file} has {one.backbone} with {one.optimizer} and seed {one.seed} in line {lines[replicate]} and "
                f"again in line {one.line}; keep one"
            )
        lines[replicate] = one.line
        numbered.append(replace(one, replicate=replicate))
    return tuple(numbered)
