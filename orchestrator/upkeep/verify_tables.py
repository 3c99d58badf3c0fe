"""The files of one table: is each one sound, is none missing, is each key there once?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.live import RETRIES, Manifest, TableFiles, table_files
from orchestrator.store.paths import PartName, parse_compacted, parse_manifest, parse_part
from orchestrator.store.schema import NEWEST_FIRST, CurveRow, Row, arrow_schema, columns_of
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.findings import Findings, Problem, Remedy
from orchestrator.upkeep.verify_files import DamagedFileError, NewerFileError, rows_claimed, rows_of_file

_FROM_CURVES = ("sweep", "trial_id", "epoch", "attempt", "driver_epoch", "val_top1")
"""What other checks need of the one long table."""
# ruff: noqa: S608 - names come from the schema, values are parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A Parquet file of a table that is damaged or missing."""

    name: str
    why: str


@dataclass(slots=True, kw_only=True)
class TableLook:
    """What was seen of a table."""

    row_type: type[Row]
    damages: list[Damage] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)


class _ChangedError(Exception):
    """A compaction finished meanwhile: the listing is out of date."""


def look_at_table(sweep: SweepStore, row_type: type[Row], connection: duckdb.DuckDBPyConnection) -> TableLook:
    """Checks a table's files, and leaves the rows of the sound ones in the database.

    They are then in a table `all_<name>`, with the `file` of each, and the newest of each key in a view `<name>`.

    Raises:
        StoreError: The table changes faster than it can be read.
    """
    for _ in range(2 * RETRIES):
        look = TableLook(row_type=row_type)
        _create(connection, row_type)
        try:
            _look(sweep, look, connection)
        except _ChangedError:
            continue
        return look
    raise StoreError(f"table {row_type.TABLE} of sweep {sweep.name!r} changes too fast to be verified; try again")


def columns_kept(row_type: type[Row]) -> tuple[str, ...]:
    """The columns that `look_at_table` leaves in the database."""
    return _FROM_CURVES if row_type is CurveRow else tuple(column.name for column in columns_of(row_type))


def numbered(tables: Iterable[pa.Table], name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Rows of a file with two more columns: the `file`, and the `place` of each row in it, from 0.

    Args:
        tables: The file's row groups.
        name: The file's name.
        columns: Those to keep; all of them by default.
    """
    start = 0
    for table in tables:
        kept = table.select([column for column in table.column_names if columns is None or column in columns])
        count = kept.num_rows
        yield kept.append_column("file", pa.repeat(pa.scalar(name), count)).append_column(
            "place", pa.array(range(start, start + count), pa.int64())
        )
        start += count


def _create(connection: duckdb.DuckDBPyConnection, row_type: type[Row]) -> None:
    table, keys = row_type.TABLE, ", ".join(row_type.KEY)
    kept = arrow_schema(row_type).empty_table().select(columns_kept(row_type))
    connection.register("incoming", next(numbered(iter([kept]), "", columns_kept(row_type))))
    newest = ", ".join(f"{name} DESC NULLS LAST" for name in (*NEWEST_FIRST[table], "file", "place"))
    for name in (f"all_{table}", f"aside_{table}"):
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM incoming")
    connection.execute(
        f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM all_{table} "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {newest}) = 1"
    )


def _look(sweep: SweepStore, look: TableLook, connection: duckdb.DuckDBPyConnection) -> None:
    files, manifest_problem = _listing(sweep, look.row_type)
    table = look.row_type.TABLE
    names = files.live
    if manifest_problem is not None:
        look.findings.problems.append(manifest_problem)
        names = tuple(name for name in files.names if parse_part(name) or parse_compacted(name))
    for name in names:
        _load(sweep, look, connection, files, name, f"all_{table}")
    for part in _missing_parts(files):
        if not sweep.files.exists(sweep.paths.in_table(look.row_type, part.file)):
            look.damages.append(Damage(name=part.file, why="it is missing, and a later one of its driver is there"))
    if manifest_problem is None:
        _look_aside(sweep, look, connection, files)
        _look_for_repeated_keys(sweep, look, connection, files)
    look.findings.files += files.manifest.generation > 0
    for name in files.names:
        if not (parse_part(name) or parse_compacted(name) or parse_manifest(name)):
            look.findings.notes.append(f"{sweep.paths.in_table(look.row_type, name)} is no file of the store's")
    if _newest_manifest(sweep, look.row_type) != files.manifest.generation:
        raise _ChangedError


def _listing(sweep: SweepStore, row_type: type[Row]) -> tuple[TableFiles, Problem | None]:
    """The table's files; where the list of those that count is damaged, all there are."""
    try:
        return table_files(sweep, row_type), None
    except StoreError as error:
        generation = _newest_manifest(sweep, row_type)
        if not generation or not sweep.files.is_folder(sweep.paths.table(row_type)):
            raise
        names = tuple(sweep.files.names(sweep.paths.table(row_type)))
        why = str(error.__cause__ or error)
    problem = Problem(
        file=sweep.paths.manifest(row_type, generation),
        problem=f"the list of the table's compacted files is damaged ({why}), so no row of the table can be read",
        lost="nothing, as long as the table's other files are sound",
        mend=f"bocb verify {sweep.name} --mend lists them anew",
        remedy=Remedy.REBUILD,
        table=row_type,
    )
    return TableFiles(names=names, manifest=Manifest(generation=generation)), problem


def _load(
    sweep: SweepStore,
    look: TableLook,
    connection: duckdb.DuckDBPyConnection,
    files: TableFiles,
    name: str,
    target: str,
) -> None:
    """Checks one file and puts its rows into a table; a damaged one leaves none there."""
    look.findings.files += 1
    path = sweep.paths.in_table(look.row_type, name)
    try:
        for rows in numbered(rows_of_file(sweep, look.row_type, name), name, columns_kept(look.row_type)):
            connection.register("incoming", rows)
            connection.execute(f"INSERT INTO {target} BY NAME SELECT * FROM incoming")
            connection.unregister("incoming")
            look.findings.rows += rows.num_rows
    except NewerFileError as newer:
        look.findings.problems.append(
            Problem(
                file=path,
                problem=f"it was written by a newer bocb ({newer})",
                lost="nothing",
                mend="verify the store with the bocb that wrote it, or a newer one",
            )
        )
        return
    except FileNotFoundError:
        if _newest_manifest(sweep, look.row_type) != files.manifest.generation:
            raise _ChangedError from None
        look.damages.append(Damage(name=name, why="it is missing, and the table's list of files has it"))
        return
    except DamagedFileError as error:
        claimed = rows_claimed(sweep, look.row_type, name)
        said = "" if claimed is None else f"; it had {claimed} rows by its own account"
        look.damages.append(Damage(name=name, why=f"it is damaged: {error}{said}"))
        connection.execute(f"DELETE FROM {target} WHERE file = ?", [name])


def _missing_parts(files: TableFiles) -> list[PartName]:
    """The numbers that a driver must have used: those below one that it did use and not yet compacted."""
    used: dict[int, set[int]] = {}
    for name in files.names:
        part = parse_part(name)
        if part is not None:
            used.setdefault(part.driver_epoch, set()).add(part.sequence)
    return [
        PartName(driver_epoch=epoch, sequence=sequence)
        for epoch, sequences in sorted(used.items())
        for sequence in range(files.manifest.folded.get(epoch, 0) + 1, max(sequences))
        if sequence not in sequences
    ]


def _look_aside(sweep: SweepStore, look: TableLook, connection: duckdb.DuckDBPyConnection, files: TableFiles) -> None:
    """Compacted files that do not count: harmless leftovers, unless they have rows that no file that counts has."""
    row_type, table = look.row_type, look.row_type.TABLE
    for name in files.names:
        if parse_compacted(name) is None or name in files.compacted:
            continue
        aside = TableLook(row_type=row_type)
        _load(sweep, aside, connection, files, name, f"aside_{table}")
        look.findings.files += 1
        if aside.damages and sweep.files.exists(sweep.paths.in_table(row_type, name)):
            look.findings.notes.append(f"{sweep.paths.in_table(row_type, name)} does not count and is damaged")
    rank = [f"coalesce({{0}}.{column}, '0001-01-01')" if column == "ended_at" else f"{{0}}.{column}"
            for column in NEWEST_FIRST[table]]  # fmt: skip
    theirs, ours = (f"({', '.join(rank)})".format(alias) for alias in ("aside", "counted"))
    same_key = " AND ".join(f"aside.{key} = counted.{key}" for key in row_type.KEY)
    for name, rows in connection.execute(
        f"SELECT aside.file, count(*) FROM aside_{table} aside ANTI JOIN {table} counted "
        f"ON {same_key} AND {ours} >= {theirs} GROUP BY aside.file ORDER BY ALL"
    ).fetchall():
        look.findings.problems.append(
            Problem(
                file=sweep.paths.in_table(row_type, name),
                problem=f"it has {rows} rows that no file has which counts: the table's list of files is gone",
                lost="nothing that is not in this file",
                mend=f"bocb verify {sweep.name} --mend lists the table's files anew",
                remedy=Remedy.REBUILD,
                table=row_type,
            )
        )


def _look_for_repeated_keys(
    sweep: SweepStore, look: TableLook, connection: duckdb.DuckDBPyConnection, files: TableFiles
) -> None:
    keys = ", ".join(look.row_type.KEY)
    ((repeated, first),) = connection.execute(
        f"SELECT count(*), min(file) FROM (SELECT {keys}, min(file) AS file FROM all_{look.row_type.TABLE} "
        "WHERE list_contains(?, file) GROUP BY ALL HAVING count(*) > 1)",
        [list(files.compacted)],
    ).fetchall()
    if repeated:
        look.findings.problems.append(
            Problem(
                file=sweep.paths.in_table(look.row_type, first),
                problem=f"{repeated} keys are in the compacted files more than once",
                lost="nothing; queries count these rows twice",
                mend=f"bocb verify {sweep.name} --mend compacts the table anew",
                remedy=Remedy.REBUILD,
                table=look.row_type,
            )
        )


def _newest_manifest(sweep: SweepStore, row_type: type[Row]) -> int:
    return max((parse_manifest(name) or 0 for name in sweep.files.names(sweep.paths.table(row_type))), default=0)
