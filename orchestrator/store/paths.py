"""The names of all files of a sweep, in one place: what is made here is parsed here, and nowhere else.

STORE/SWEEP/
    sweeps/ trials/ curves/ layers/ corruptions/ attempts/      one folder per table
        part-<driver_epoch>-<sequence>.parquet      written as results arrive
        compact-<generation>-<n>.parquet            what compaction makes of them
        _manifest-<generation>.json                 which files count; `_` hides it from readers of folders
    drivers/<driver_epoch>.json  <driver_epoch>.beat.json  <driver_epoch>.stop.json
    checkpoints/<trial_id>/<driver_epoch>-<attempt>.ckpt
                           <driver_epoch>-<attempt>.log     what a running attempt has printed
    .tmp/                                   files being written
    .damaged/<driver_epoch>/...             what `bocb verify --mend` found damaged and put out of the way
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.errors import StoreError, UsageError
from orchestrator.store.schema import Row

SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TRIAL_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_PART = re.compile(r"part-(\d{6,})-(\d{8,})\.parquet")
_COMPACTED = re.compile(r"compact-(\d{6,})-(\d{3,})\.parquet")
_MANIFEST = re.compile(r"_manifest-(\d{6,})\.json")
_DRIVER = re.compile(r"(\d{6,})\.json")
_OF_DRIVER = re.compile(r"\d{6,}(\.beat|\.stop)?\.json")
_CHECKPOINT = re.compile(r"(\d{6,})-(\d{4,})\.ckpt")


def check_sweep_name(name: str) -> str:
    """Returns the name of a sweep, which is also the name of its folder.

    Raises:
        UsageError: The name could be read as a path or is not portable.
    """
    if SWEEP_NAME.fullmatch(name):
        return name
    raise UsageError(
        f"{name!r} cannot name a sweep: use up to 100 letters, digits, dots, dashes and underscores, "
        "beginning with a letter or digit"
    )


def check_trial_id(trial_id: str) -> str:
    """Returns the id of a trial, which is also the name of its checkpoint folder.

    Raises:
        StoreError: The id could be read as a path or is not portable.
    """
    if TRIAL_ID.fullmatch(trial_id):
        return trial_id
    raise StoreError(
        f"{trial_id!r} cannot be a trial id: up to 200 letters, digits, dots, dashes and underscores are accepted, "
        "not beginning with a dot"
    )


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PartName:
    """Which driver wrote a part, and as its how-manieth of the table (from 1)."""

    driver_epoch: int
    sequence: int

    @property
    def file(self) -> str:
        """The file's name within the folder of its table."""
        return f"part-{self.driver_epoch:06d}-{self.sequence:08d}.parquet"


@dataclass(frozen=True, slots=True)
class SweepPaths:
    """Every file name of one sweep, relative to the root of the store."""

    sweep: str

    def __post_init__(self) -> None:
        check_sweep_name(self.sweep)

    def table(self, row_type: type[Row]) -> str:
        """The folder of a table."""
        return f"{self.sweep}/{row_type.TABLE}"

    def in_table(self, row_type: type[Row], name: str) -> str:
        """A file in the folder of a table."""
        return f"{self.table(row_type)}/{name}"

    def part(self, row_type: type[Row], driver_epoch: int, sequence: int) -> str:
        """A part that a driver writes."""
        return self.in_table(row_type, PartName(driver_epoch=driver_epoch, sequence=sequence).file)

    def manifest(self, row_type: type[Row], generation: int) -> str:
        """The list of files that count after a compaction."""
        return self.in_table(row_type, manifest_name(generation))

    @property
    def drivers(self) -> str:
        """The folder of the drivers' claims."""
        return f"{self.sweep}/drivers"

    def driver(self, driver_epoch: int) -> str:
        """The claim of a driver, written once."""
        return f"{self.drivers}/{driver_epoch:06d}.json"

    def beat(self, driver_epoch: int) -> str:
        """The heartbeat of a driver, replaced again and again."""
        return f"{self.drivers}/{driver_epoch:06d}.beat.json"

    @property
    def all_checkpoints(self) -> str:
        """The folder with a folder of checkpoints for each trial that has any."""
        return f"{self.sweep}/checkpoints"

    def checkpoints(self, trial_id: str) -> str:
        """The folder of a trial's checkpoints."""
        return f"{self.all_checkpoints}/{check_trial_id(trial_id)}"

    def checkpoint(self, trial_id: str, driver_epoch: int, attempt: int) -> str:
        """The checkpoint of one attempt."""
        return f"{self.checkpoints(trial_id)}/{driver_epoch:06d}-{attempt:04d}.ckpt"

    def log(self, trial_id: str, driver_epoch: int, attempt: int) -> str:
        """What a running attempt has printed so far; it goes with the checkpoints."""
        return f"{self.checkpoints(trial_id)}/{driver_epoch:06d}-{attempt:04d}.log"

    def damaged(self, driver_epoch: int, name: str) -> str:
        """Where a damaged file of the sweep is kept, whose name is given relative to the store's root."""
        return f"{self.sweep}/.damaged/{driver_epoch:06d}/{name.removeprefix(f'{self.sweep}/')}"

    def stop(self, driver_epoch: int) -> str:
        """A request to a driver to stop the sweep."""
        return f"{self.drivers}/{driver_epoch:06d}.stop.json"


def compacted_name(generation: int, number: int) -> str:
    """Name of the `number`-th file (from 0) of a compaction, within the folder of its table."""
    return f"compact-{generation:06d}-{number:03d}.parquet"


def manifest_name(generation: int) -> str:
    """Name of a manifest, within the folder of its table."""
    return f"_manifest-{generation:06d}.json"


def parse_part(name: str) -> PartName | None:
    """The part a file name stands for, or None for any other file."""
    match = _PART.fullmatch(name)
    return PartName(driver_epoch=int(match[1]), sequence=int(match[2])) if match else None


def parse_compacted(name: str) -> int | None:
    """The generation of a compacted file, or None for any other file."""
    match = _COMPACTED.fullmatch(name)
    return int(match[1]) if match else None


def parse_manifest(name: str) -> int | None:
    """The generation of a manifest, or None for any other file."""
    match = _MANIFEST.fullmatch(name)
    return int(match[1]) if match else None


def parse_driver(name: str) -> int | None:
    """The epoch of a driver's claim, or None for any other file."""
    match = _DRIVER.fullmatch(name)
    return int(match[1]) if match else None


def parse_driver_file(name: str) -> str | None:
    """What a file in the drivers' folder is: "claim", "beat" or "stop"; None for any other file."""
    match = _OF_DRIVER.fullmatch(name)
    return (match[1] or ".claim")[1:] if match else None


def is_checkpoint(name: str) -> bool:
    """Whether a file in the folder of a trial's checkpoints is one."""
    return _CHECKPOINT.fullmatch(name) is not None
