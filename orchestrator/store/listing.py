"""What there is to read in a store at one moment, over all of its sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.store.drivers import working_driver
from orchestrator.store.live import table_files
from orchestrator.store.schema import READ_ORDER, Row
from orchestrator.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TableNames:
    """The files of one table over all sweeps, named as the store names them."""

    without_tail: list[str] = field(default_factory=list)
    """Compacted files of sweeps that have no tail: one row per key as they are."""
    compacted: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files that count, and who is at work."""

    tables: dict[type[Row], TableNames]
    running: tuple[tuple[str, int], ...]
    """Sweep and epoch of each driver that lives."""

    @property
    def names(self) -> list[str]:
        """All files that were listed."""
        return [
            name for table in self.tables.values() for name in (*table.without_tail, *table.compacted, *table.tail)
        ]


def list_store(store: Store) -> Listing:
    """Lists the tables in `READ_ORDER`, so that what a row rests on is there; files may vanish at any moment."""
    sweeps = [store.sweep(name) for name in store.sweeps()]
    tables = {row_type: TableNames() for row_type in READ_ORDER}
    for row_type, table in tables.items():
        for sweep in sweeps:
            files = table_files(sweep, row_type)
            compacted = table.compacted if files.tail else table.without_tail
            compacted += [sweep.paths.in_table(row_type, name) for name in files.compacted]
            table.tail.extend(sweep.paths.in_table(row_type, name) for name in files.tail)
    drivers = [(sweep.name, driver) for sweep in sweeps if (driver := working_driver(sweep)) is not None]
    return Listing(tables=tables, running=tuple((name, driver.driver_epoch) for name, driver in drivers))


def has_vanished(store: Store, listing: Listing) -> bool:
    """Whether a compaction has deleted a file since it was listed, for another listing to be worth a try."""
    folders = {name.rpartition("/")[0] for name in listing.names}
    there = {f"{folder}/{name}" for folder in folders for name in store.files.names(folder)}
    return not there.issuperset(listing.names)
