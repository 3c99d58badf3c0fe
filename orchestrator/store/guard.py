"""What SQL a user may run: one SELECT that can do nothing but read.

DuckDB's own type of a statement is not enough. DuckDB 2.0 calls `WITH x AS (COPY (...) TO 'file') SELECT ...` a
SELECT, and writes the file into the one folder that must stay open for reading. So the parsed statement is searched
as well: every query in it must be of a kind that reads, and every table function one that is known to only read
(`query()` and `json_execute_serialized_sql()` would hide a statement in a string).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from orchestrator.errors import QueryError

_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_READING_FUNCTIONS = {
    *("read_parquet", "parquet_scan", "parquet_metadata", "parquet_schema", "parquet_file_metadata"),
    *("parquet_kv_metadata", "read_csv", "read_csv_auto", "read_json", "read_json_auto", "read_ndjson"),
    *("read_text", "read_blob", "glob", "range", "generate_series", "repeat", "unnest", "json_each", "json_tree"),
    *("query_table", "duckdb_columns", "duckdb_functions", "duckdb_tables", "duckdb_types", "duckdb_views"),
}
_CATEGORY = re.compile(r"^[A-Z][A-Za-z]*(?: [A-Za-z]+)* Error: ")
# What DuckDB's Parquet reader says of damage has no category, "Invalid" in a streamed answer, or this word.
_NOT_OF_DAMAGE = re.compile(rf"(?!Invalid Error: |.*corrupt)(?:{_CATEGORY.pattern}|Traceback )")


def check_select(sql: str) -> None:
    """Proves that `sql` is one statement that only reads.

    Raises:
        QueryError: It is not, or is not SQL.
    """
    if not sql.isprintable() and any(character == "\0" or "\ud800" <= character <= "\udfff" for character in sql):
        raise QueryError("the SQL is not valid text: it has a null character or a surrogate")
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(f"the SQL is not valid: {one_sentence(error)}") from error
    if not statements:
        raise QueryError("the SQL is empty; give one SELECT statement")
    if len(statements) > 1:
        raise QueryError(f"{len(statements)} statements were given; only one SELECT statement is accepted")
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        hint = " (a PIVOT needs an IN list)" if kind.name == "MULTI" else ""
        raise QueryError(f"{kind.name} is not accepted, only one SELECT statement{hint}: the store is read-only here")
    _check_tree(sql)


def one_sentence(error: duckdb.Error) -> str:
    """DuckDB's message without its category and without the excerpt of the SQL."""
    text = str(error).split("\n\nLINE ", 1)[0].strip()
    if text.startswith("Traceback "):  # what a registered file system raised
        text = text.splitlines()[-1].partition(": ")[2]
    return " ".join(_CATEGORY.sub("", text).split())


def tells_of_damage(error: duckdb.Error) -> bool:
    """Whether an error comes from a damaged file; its message may not say from which."""
    return not _NOT_OF_DAMAGE.match(str(error))


def _check_tree(sql: str) -> None:
    with duckdb.connect(":memory:") as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError as error:
        raise QueryError("the SQL is nested too deeply to be checked; use fewer levels") from error
    if tree["error"]:
        raise QueryError(f"the SQL cannot be checked: {tree.get('error_message', 'DuckDB gave no reason')}")
    for part in _parts(tree):
        kind = part.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READING_NODES:
            what = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise QueryError(f"{what} within a SELECT is not accepted: the store is read-only here")
        if kind == "TABLE_FUNCTION":
            _check_function(part)


def _check_function(part: dict[str, Any]) -> None:
    name = str(part["function"].get("function_name", "")).lower()
    if name not in _READING_FUNCTIONS:
        raise QueryError(f"the table function {name!r} is not accepted: it may do more than read the store")


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within a tree; without recursion, since SQL may nest deeply."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
