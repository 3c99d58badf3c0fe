"""The files of one table: is each one sound, is none missing, is each key there once, does every row count?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.latest import newest_first
from orchestrator.store.live import DamagedManifestError, TableFiles, table_files
from orchestrator.store.paths import PartName, manifest_name, parse_compacted, parse_manifest, parse_part
from orchestrator.store.schema import CorruptionRow, CurveRow, LayerRow, Row, arrow_schema
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.verify_files import DamagedFileError, NewerFileError, rows_claimed, rows_of_file

PASSES = 50
"""Over the files of a table that changes; each after the first reads only what is new."""
_NEEDED: dict[type[Row], set[str]] = {
    CurveRow: {"sweep", "trial_id", "epoch", "attempt", "driver_epoch", "val_top1"},
    LayerRow: {"sweep", "trial_id", "layer", "attempt", "driver_epoch"},
    CorruptionRow: {"sweep", "trial_id", "corruption", "severity", "attempt", "driver_epoch"},
}
"""What other checks need of the long tables."""
_LONG_TEXTS = {"log", "traceback"}
# ruff: noqa: S608 - names come from the schema, values are parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTable:
    """What was found out about a table."""

    row_type: type[Row]
    files: TableFiles
    sound: tuple[str, ...]
    """Parquet files without a fault, whether they count or were replaced."""
    broken: tuple[str, ...]
    """Files that are damaged, whether or not they count; also the list of those that do."""
    damages: Mapping[str, str]
    """What is wrong with each file that is damaged or missing and that may have cost rows."""
    findings: Findings

    @property
    def is_newer(self) -> bool:
        """Whether a newer bocb has written to it, so that this one does not know all of its rows."""
        return any(problem.remedy is Remedy.NEWER for problem in self.findings.problems)

    @property
    def is_to_be_rebuilt(self) -> bool:
        """Whether compacting it anew from its sound files is what mends it."""
        return bool(self.damages) or any(p.remedy is Remedy.REBUILD for p in self.findings.problems)


class TableCheck:
    """Checks a table, and leaves the rows of its sound files in a database.

    They are then in a table `all_<name>`, with the `file` of each; and in a view `<name>` the newest of each key, as
    a rebuild of the table would have it. Files never change, so a second check only reads those that are new: that is
    how one ends beside a sweep whose files are replaced all the time.
    """

    def __init__(self, sweep: SweepStore, row_type: type[Row], connection: duckdb.DuckDBPyConnection) -> None:
        self._sweep = sweep
        self._row_type = row_type
        self._connection = connection
        self._rows: dict[str, int] = {}
        self._damaged: dict[str, str] = {}
        self._newer: dict[str, str] = {}
        self._create()

    def check(self) -> CheckedTable:
        """The table as it is now.

        Raises:
            StoreError: It changes faster than it can be read.
        """
        suspicious: set[str] | None = None
        for _ in range(PASSES):
            checked, doubts = self._check_once()
            # A listing taken while files are replaced may lack one: what is wrong is so in the next one too.
            if not doubts or doubts == suspicious:
                return checked
            suspicious = doubts
        raise StoreError(
            f"table {self._row_type.TABLE} of sweep {self._sweep.name!r} changes too fast to be verified; try again"
        )

    def _create(self) -> None:
        table, row_type = self._row_type.TABLE, self._row_type
        self._connection.register("incoming", _numbered(arrow_schema(row_type).empty_table(), row_type, "", 0))
        self._connection.execute(f"CREATE TABLE all_{table} AS FROM incoming")
        self._connection.execute(f"CREATE TABLE files_of_{table} (file VARCHAR, counts BOOLEAN)")
        newest = newest_first(row_type, ("counts", "file", "file_row_number"))
        self._connection.execute(
            f"CREATE VIEW {table} AS SELECT * FROM all_{table} JOIN files_of_{table} USING (file) "
            f"QUALIFY row_number() OVER (PARTITION BY {', '.join(row_type.KEY)} ORDER BY {newest}) = 1"
        )

    def _check_once(self) -> tuple[CheckedTable, set[str]]:
        """Also gives the files that seem to be missing or left out."""
        files, why = self._list()
        parquet = [name for name in files.names if parse_part(name) or parse_compacted(name)]
        there = [name for name in parquet if self._read(name)]
        counting = set(parquet if why else files.live)
        left_out = self._left_out(there, counting)
        damaged = {name: self._damaged[name] for name in there if name in self._damaged}
        is_list_gone = any(
            (parse_compacted(name) or 0) > files.manifest.last_compaction
            for name in {*left_out, *damaged}.difference(counting)
        )
        missing = {} if why or is_list_gone else _missing(files, there)
        checked = CheckedTable(
            row_type=self._row_type,
            files=files,
            sound=tuple(name for name in there if name in self._rows),
            broken=(*damaged, *([manifest_name(files.manifest.generation)] if why else [])),
            damages=missing | {name: damaged[name] for name in damaged if is_list_gone or name in counting},
            findings=Findings(
                files=len(there) + (files.manifest.generation > 0),
                rows=sum(self._rows.get(name, 0) for name in there),
            ),
        )
        checked.findings.problems += [
            self._problem(name, f"it was written by a newer bocb ({self._newer[name]})", "nothing", Remedy.NEWER)
            for name in there
            if name in self._newer
        ]
        if why:
            checked.findings.problems.append(self._damaged_list(files, why))
        if left_out:
            checked.findings.problems.append(self._rows_left_out(left_out, is_list_gone=is_list_gone))
        checked.findings.problems += self._repeated_keys(files)
        checked.findings.notes += self._notes(files, sorted(damaged.keys() - checked.damages.keys()))
        return checked, {*missing, *left_out}

    def _notes(self, files: TableFiles, leftovers: Sequence[str]) -> list[str]:
        strange = [
            name for name in files.names if not (parse_part(name) or parse_compacted(name) or parse_manifest(name))
        ]
        folder = self._sweep.paths.table(self._row_type)
        return [
            *(f"{folder}/{name} does not count and is damaged; the next compaction removes it" for name in leftovers),
            *(f"{folder}/{name} is no file of the store's" for name in strange),
        ]

    def _list(self) -> tuple[TableFiles, str]:
        """The table's files, and why the list of those that count cannot be read."""
        try:
            return table_files(self._sweep, self._row_type), ""
        except DamagedManifestError as error:
            # One that is gone is noticed by what its files hold.
            return error.files, str(error.__cause__) if error.files.manifest.generation else ""

    def _read(self, name: str) -> bool:
        """Checks a file, if it is new, and puts its rows into the database; returns whether it is there."""
        if name in self._rows or name in self._damaged or name in self._newer:
            return True
        table, count = self._row_type.TABLE, 0
        try:
            for rows in rows_of_file(self._sweep, self._row_type, name):
                self._connection.register("incoming", _numbered(rows, self._row_type, name, count))
                self._connection.execute(f"INSERT INTO all_{table} BY NAME FROM incoming")
                count += rows.num_rows
        except FileNotFoundError:
            return False
        except NewerFileError as newer:
            self._newer[name] = str(newer)
        except DamagedFileError as error:
            self._connection.execute(f"DELETE FROM all_{table} WHERE file = ?", [name])
            claimed = rows_claimed(self._sweep, self._row_type, name)
            said = "" if claimed is None else f"; it had {claimed} rows by its own account"
            self._damaged[name] = f"it is damaged: {error}{said}"
        else:
            self._rows[name] = count
        return True

    def _left_out(self, there: Sequence[str], counting: set[str]) -> dict[str, int]:
        """Files that do not count, though they have rows that none has which counts; and how many."""
        table = f"files_of_{self._row_type.TABLE}"
        counts = pa.array([name in counting for name in there], pa.bool_())
        self._connection.register("incoming", pa.table({"file": pa.array(there, pa.string()), "counts": counts}))
        self._connection.execute(f"DELETE FROM {table}")
        self._connection.execute(f"INSERT INTO {table} FROM incoming")
        if counting.issuperset(there):
            return {}
        return dict(
            self._connection.execute(
                f"SELECT file, count(*) FROM {self._row_type.TABLE} WHERE NOT counts GROUP BY file ORDER BY file"
            ).fetchall()
        )

    def _repeated_keys(self, files: TableFiles) -> list[Problem]:
        keys = ", ".join(self._row_type.KEY)
        ((repeated, first),) = self._connection.execute(
            f"SELECT count(*), min(file) FROM (SELECT min(file) AS file FROM all_{self._row_type.TABLE} "
            f"WHERE list_contains(?, file) GROUP BY {keys} HAVING count(*) > 1)",
            [list(files.compacted)],
        ).fetchall()
        why = f"{repeated} keys are in the compacted files more than once"
        return [self._problem(first, why, "nothing; queries count these rows twice")] if repeated else []

    def _damaged_list(self, files: TableFiles, why: str) -> Problem:
        return Problem(
            sweep=self._sweep.name,
            file=self._sweep.paths.manifest(self._row_type, files.manifest.generation),
            why=f"the list of the table's compacted files is damaged ({why}), so no row of the table can be read",
            lost="nothing, as long as the table's other files are sound",
            remedy=Remedy.REBUILD,
        )

    def _rows_left_out(self, left_out: Mapping[str, int], *, is_list_gone: bool) -> Problem:
        others = f" and {len(left_out) - 1} other files have" if len(left_out) > 1 else " has"
        why = f"this file{others} {sum(left_out.values())} rows that no file has which counts"
        if is_list_gone:
            why += ": the table's list of files is gone"
        return self._problem(min(left_out), why, "nothing of what is in there")

    def _problem(self, name: str, why: str, lost: str, remedy: Remedy = Remedy.REBUILD) -> Problem:
        path = self._sweep.paths.in_table(self._row_type, name)
        return Problem(sweep=self._sweep.name, file=path, why=why, lost=lost, remedy=remedy)


def _numbered(rows: pa.Table, row_type: type[Row], file: str, first: int) -> pa.Table:
    """The columns that other checks need, and where each row is: its file, and its number in it."""
    kept = rows.select([
        name
        for name in rows.column_names
        if name not in _LONG_TEXTS and name in _NEEDED.get(row_type, {name})
    ])  # fmt: skip
    numbers = pa.array(range(first, first + rows.num_rows), pa.int64())
    return kept.append_column("file", pa.repeat(pa.scalar(file), rows.num_rows)).append_column(
        "file_row_number", numbers
    )


def _missing(files: TableFiles, there: Sequence[str]) -> dict[str, str]:
    """Files that are listed, and numbers that a driver must have used: those below one that it did use."""
    listed = "it is missing, and the table's list of files has it"
    missing = {name: listed for name in files.live if name not in there}
    used: dict[int, set[int]] = defaultdict(set)
    for part in filter(None, map(parse_part, files.names)):
        used[part.driver_epoch].add(part.sequence)
    for epoch, sequences in sorted(used.items()):
        for sequence in range(files.manifest.folded.get(epoch, 0) + 1, max(sequences)):
            if sequence not in sequences:
                name = PartName(driver_epoch=epoch, sequence=sequence).file
                missing[name] = "it is missing, and a later one of its driver is there"
    return missing
