"""The newest row of each key, as SQL: the one definition behind queries, resuming and compaction."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.store.connection import quote
from orchestrator.store.schema import (
    BOOLEAN,
    INTEGER,
    METRIC,
    MOMENT,
    NEWEST_FIRST,
    PRECISE,
    SMALL,
    TEXT,
    Row,
    columns_of,
)

_SQL_TYPES = {
    TEXT: "VARCHAR",
    INTEGER: "BIGINT",
    SMALL: "INTEGER",
    METRIC: "FLOAT",
    PRECISE: "DOUBLE",
    BOOLEAN: "BOOLEAN",
    MOMENT: "TIMESTAMP",
}

FOLLOW_FROM_KEY: dict[str, tuple[str, ...]] = {
    "sweeps": (),
    "trials": ("backbone", "recipe", "optimizer", "role"),
    "curves": ("backbone", "optimizer", "role"),
    "layers": ("backbone", "recipe", "optimizer", "role"),
    "corruptions": ("backbone", "recipe", "optimizer", "role"),
    "attempts": (),
}
"""Per table, the columns that are the same in all rows of a key, because a trial's id is made of them."""


def column_list(row_type: type[Row]) -> str:
    """The columns of a table, in order."""
    return ", ".join(column.name for column in columns_of(row_type))


def newest_first(row_type: type[Row], place: Sequence[str]) -> str:
    """The order in which the first of several rows of one key is the one that counts.

    Args:
        row_type: The table.
        place: What decides between rows that are equal in the columns that decide: where they were written.
    """
    return ", ".join(f"{name} DESC NULLS LAST" for name in (*NEWEST_FIRST[row_type.TABLE], *place))


def rows_of(row_type: type[Row], paths: Sequence[str]) -> str:
    """A SELECT of every row in some files: the columns of the schema, null where a file has no such column."""
    return _scan(row_type, paths, extra=())


def newest_rows(
    row_type: type[Row],
    *,
    compacted: Sequence[str],
    tail: Sequence[str],
    contested: Sequence[str] = (),
    replaced: Sequence[str] = (),
    filtered: bool = False,
) -> str:
    """A SELECT of one row per key.

    Compacted files hold each key once among them, so only keys that also occur in the tail are compared. A row of the
    tail need not be newer: a driver that was superseded may have written it last. Where the deciding columns are
    equal, the row written last counts.

    Every file is named where it is scanned and never through a common table expression, which DuckDB would fill with
    all rows and columns before any filter.

    Args:
        row_type: The table.
        compacted: Paths of compacted files.
        tail: Paths of parts; of one folder, their names sort in the order of writing, after all compacted ones.
        contested: Paths of further compacted files, of which only rows whose keys occur in the tail are wanted.
        replaced: Those of `tail` that other files have replaced: where the deciding columns are equal, a row of the
            others counts.
        filtered: Whether the SELECT will be filtered by columns of `FOLLOW_FROM_KEY`; the filter then reaches the
            files, at the price that rows of one key which differ in these columns would both be given.
    """
    if not tail:
        return rows_of(row_type, compacted)
    columns, keys = column_list(row_type), ", ".join(row_type.KEY)
    place = ("filename", "file_row_number")
    group = ", ".join(row_type.KEY + (FOLLOW_FROM_KEY[row_type.TABLE] if filtered else ()))
    counts = (f"(filename NOT IN ({', '.join(map(quote, replaced))}))",) if replaced else ()
    newest = newest_first(row_type, (*counts, *place))
    older = _scan(row_type, [*compacted, *contested], extra=place)
    return f"""
        WITH tail_keys AS MATERIALIZED (SELECT DISTINCT {keys} FROM ({_scan(row_type, tail, extra=())}))
        SELECT {columns} FROM (
            {_scan(row_type, tail, extra=place)}
            UNION ALL BY NAME SELECT * FROM ({older}) SEMI JOIN tail_keys USING ({keys})
        ) QUALIFY row_number() OVER (PARTITION BY {group} ORDER BY {newest}) = 1
        UNION ALL SELECT {columns} FROM ({rows_of(row_type, compacted)}) ANTI JOIN tail_keys USING ({keys})
    """  # noqa: S608 - names come from the schema


def contested_places(row_type: type[Row], *, compacted: Sequence[str], tail: Sequence[str]) -> str:
    """A SELECT of (filename, file_row_number) of the rows of compacted files whose keys occur in the tail as well."""
    keys = ", ".join(row_type.KEY)
    return f"""
        SELECT filename, file_row_number
        FROM ({_scan(row_type, compacted, extra=("filename", "file_row_number"))})
        SEMI JOIN (SELECT DISTINCT {keys} FROM ({_scan(row_type, tail, extra=())})) USING ({keys})
        ORDER BY ALL
    """  # noqa: S608 - names come from the schema


def _scan(row_type: type[Row], paths: Sequence[str], extra: Sequence[str]) -> str:
    types = {column.name: _SQL_TYPES[column.metadata["arrow"]] for column in columns_of(row_type)}
    types |= {name: "BIGINT" if name == "file_row_number" else "VARCHAR" for name in extra}
    nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
    if not paths:
        return f"SELECT {nothing} WHERE false"
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in types.items())
    files = ", ".join(quote(path) for path in paths)
    options = "".join(f", {name} = true" for name in extra)
    return f"""
        SELECT {casts} FROM (
            SELECT {nothing} WHERE false
            UNION ALL BY NAME
            SELECT * FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false{options})
        )
    """  # noqa: S608 - names come from the schema and paths are quoted
