"""Results from elsewhere, read from a CSV file and proven before anything is stored.

One row is one result: `backbone`, `optimizer` and `top1`, and where a pair has several results a `seed` for each. A
file that is wrong anywhere is refused as a whole, with the line that is wrong.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.importing.csv_file import Record, parse_file, read_bytes
from orchestrator.importing.fields import accuracy_of, checked_name, outcome_of, seed_of
from orchestrator.importing.names import canonical_backbone, canonical_optimizer, known_backbones, known_optimizers

REQUIRED = ("backbone", "optimizer", "top1")
OPTIONAL = ("seed", "recipe", "dataset", "state")
UNKNOWN = "unknown"
"""Recipe and data set where neither the file nor the user names them."""


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
        known = known_backbones().values(), known_optimizers().values()
        for kind, names, given in zip(("backbones", "optimizers"), known, (0, 2), strict=True):
            strange = sorted({cell[given] for cell in self.cells}.difference(names))
            if strange:
                said.append(f"{kind} that the catalogue does not have keep their names: {_some(strange)}")
        trained = [one.score for one in self.results if one.state == "COMPLETE" and one.score is not None]
        if self.is_percent and trained and max(trained) <= 0.01:
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
    checked_name("--dataset", options.dataset)
    checked_name("--recipe", options.recipe)
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
    value = accuracy_of(where, fields["top1"], percent=options.percent, decimal_comma=decimal_comma)
    outcome = outcome_of(where, fields.get("state", ""), value, options.classes)
    return ImportedResult(
        line=record.line,
        backbone=canonical_backbone(checked_name(f"{where}: backbone", fields["backbone"])),
        recipe=checked_name(f"{where}: recipe", fields.get("recipe") or options.recipe),
        optimizer=canonical_optimizer(checked_name(f"{where}: optimizer", fields["optimizer"])),
        dataset=checked_name(f"{where}: dataset", fields.get("dataset") or options.dataset),
        seed=seed_of(where, fields["seed"]) if "seed" in fields else None,
        replicate=0,
        state=outcome.state,
        score=outcome.score,
        reason=outcome.reason,
    )


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
