"""The ready answers of `bocb query`, as SQL over the tables.

Scores: COMPLETE and DIVERGED trials have one (a diverged trial's is chance, because leaving it out would flatter its
cell), PRUNED and FAIL have none.
"""

from __future__ import annotations

CELL = "sweep, backbone, recipe, optimizer"

# ruff: noqa: S608 - no part of this SQL comes from outside

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
            avg(score) FILTER (role = 'default') AS default_mean
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
