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


def column_list(row_type: type[Row]) -> str:
    """The columns of a table, in order."""
    return ", ".join(column.name for column in columns_of(row_type))


def rows_of(row_type: type[Row], paths: Sequence[str]) -> str:
    """A SELECT of every row in some files: the columns of the schema, null where a file has no such column."""
    return _scan(row_type, paths, extra=())


def newest_rows(row_type: type[Row], *, compacted: Sequence[str], tail: Sequence[str]) -> str:
    """A SELECT of one row per key.

    Compacted files hold each key once among them, so only keys that also occur in the tail are compared. A row of the
    tail need not be newer: a driver that was superseded may have written it last. Where the deciding columns are
    equal, the row written last counts.

    Args:
        row_type: The table.
        compacted: Paths of compacted files.
        tail: Paths of parts; of one folder, their names sort in the order of writing, after all compacted ones.
    """
    if not tail:
        return rows_of(row_type, compacted)
    columns, keys = column_list(row_type), ", ".join(row_type.KEY)
    place = ("filename", "file_row_number")
    newest = ", ".join(f"{name} DESC NULLS LAST" for name in NEWEST_FIRST[row_type.TABLE] + place)
    return f"""
        WITH tail AS ({_scan(row_type, tail, extra=place)}),
        tail_keys AS (SELECT DISTINCT {keys} FROM tail),
        compacted AS ({_scan(row_type, compacted, extra=place)}),
        contested AS (
            SELECT * FROM tail UNION ALL BY NAME SELECT * FROM compacted SEMI JOIN tail_keys USING ({keys})
        ),
        newest AS (
            SELECT * FROM contested QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {newest}) = 1
        )
        SELECT {columns} FROM newest
        UNION ALL SELECT {columns} FROM compacted ANTI JOIN tail_keys USING ({keys})
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
