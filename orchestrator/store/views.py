"""What `bocb query` shows: a view of each table, one row per key, and ready answers as SQL over these.

Scores: COMPLETE and DIVERGED trials have one (a diverged trial's is chance, because leaving it out would flatter its
cell), PRUNED and FAIL have none.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from orchestrator.store.connection import quote
from orchestrator.store.latest import column_list, newest_rows, rows_of
from orchestrator.store.listing import Listing
from orchestrator.store.schema import ROW_TYPES, AttemptRow
from orchestrator.store.store import Store

CELL = "sweep, backbone, recipe, optimizer"

# ruff: noqa: S608 - what comes from outside is quoted

READY_ANSWERS: dict[str, str] = {
    # The best COMPLETE trial of each cell, ties to the lower number. `score_rule` tells on which data it was scored.
    "best": f"""
        SELECT {CELL}, score, trial_id, role, number, replicate, seed, hp, score_rule FROM trials
        WHERE state = 'COMPLETE' AND score IS NOT NULL AND NOT isnan(score)
        QUALIFY row_number() OVER (PARTITION BY {CELL} ORDER BY score DESC, number, replicate, trial_id) = 1
        ORDER BY {CELL}
    """,
    "cells": f"""
        SELECT {CELL},
            count(*) FILTER (state = 'COMPLETE') AS complete,
            count(*) FILTER (state = 'DIVERGED') AS diverged,
            count(*) FILTER (state = 'PRUNED') AS pruned,
            count(*) FILTER (state = 'FAIL') AS failed,
            count(score) FILTER (role = 'confirm') AS n_confirm,
            avg(score) FILTER (role = 'confirm') AS confirm_mean,
            stddev_samp(score) FILTER (role = 'confirm') AS confirm_sd,
            max(score) FILTER (state = 'COMPLETE') AS best_score,
            avg(score) FILTER (role = 'default') AS default_mean,
            count(score) FILTER (role = 'imported') AS n_imported,
            avg(score) FILTER (role = 'imported') AS imported_mean,
            stddev_samp(score) FILTER (role = 'imported') AS imported_sd
        FROM trials WHERE NOT superseded GROUP BY {CELL} ORDER BY {CELL}
    """,
    "failures": f"""
        SELECT {CELL}, trial_id, role, state, reason, attempts, exception, traceback, ended_at
        FROM trials LEFT JOIN (
            SELECT sweep, trial_id, count(*) AS attempts,
                arg_max(exception, attempt) FILTER (exception IS NOT NULL) AS exception,
                arg_max(traceback, attempt) FILTER (traceback IS NOT NULL) AS traceback
            FROM attempts GROUP BY sweep, trial_id
        ) USING (sweep, trial_id)
        WHERE state IN ('FAIL', 'DIVERGED')
        ORDER BY {CELL}, trial_id
    """,
    "cost": f"""
        SELECT {CELL}, count(*) AS trials, CAST(sum(epochs_done) AS BIGINT) AS epochs,
            sum(train_seconds) AS train_seconds, sum(wall_seconds) AS wall_seconds
        FROM trials GROUP BY {CELL} ORDER BY {CELL}
    """,
    "lr_response": f"""
        SELECT {CELL}, trial_id, hp_lr, hp_weight_decay, score, state FROM trials
        WHERE role = 'design' ORDER BY {CELL}, hp_lr, trial_id
    """,
}
VIEWS = (*(row_type.TABLE for row_type in ROW_TYPES), *READY_ANSWERS)


def create_views(connection: duckdb.DuckDBPyConnection, store: Store, listing: Listing) -> None:
    """Creates all `VIEWS` over the files of a listing.

    Raises:
        duckdb.Error: A file has vanished, or cannot be read.
    """

    def locations(names: Sequence[str]) -> list[str]:
        return [store.files.location(name) for name in names]

    # Files are immutable, and each is scanned more than once: its footer need not be read again.
    connection.execute("SET parquet_metadata_cache = true")
    # Creating a view opens all files below it. The ready answers are therefore made over empty tables first, and find
    # the files when they are asked.
    for row_type in listing.tables:
        connection.execute(f"CREATE VIEW {row_type.TABLE} AS {rows_of(row_type, [])}")
    for name, sql in READY_ANSWERS.items():
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    for row_type, table in listing.tables.items():
        sql = newest_rows(row_type, compacted=locations(table.compacted), tail=locations(table.tail), filtered=True)
        if table.without_tail:
            sql = f"{rows_of(row_type, locations(table.without_tail))} UNION ALL SELECT * FROM ({sql})"
        if row_type is AttemptRow:
            sql = _with_lost(sql, listing.running)
        columns = column_list(row_type)
        connection.execute(f"CREATE OR REPLACE VIEW {row_type.TABLE} AS SELECT {columns} FROM ({sql})")


def _with_lost(sql: str, running: Sequence[tuple[str, int]]) -> str:
    """An attempt that began and did not end is lost unless the driver that began it is at work."""
    alive = " OR ".join(f"(sweep = {quote(name)} AND driver_epoch = {epoch})" for name, epoch in running) or "false"
    lost = f"CASE WHEN outcome = 'RUNNING' AND NOT ({alive}) THEN 'LOST' ELSE outcome END"
    return f"SELECT * REPLACE ({lost} AS outcome) FROM ({sql})"
