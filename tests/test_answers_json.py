"""Answers as JSON: what is undefined is null, and NaN is never printed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.cells import cell_answers
from orchestrator.analysis.trials.score_tables import score_tables
from tests.sweep_rows import trial


def test_a_cell_counts_what_is_behind_its_mean() -> None:
    scores = {0: 0.5, 1: 0.7, 2: 0.01}
    states = {2: "DIVERGED"}
    trials = [
        trial(role="default", replicate=seed, score=score, state=states.get(seed, "COMPLETE"))
        for seed, score in scores.items()
    ]
    trials.append(trial(role="default", replicate=3, score=None, state="FAIL"))
    tables = score_tables(trials, rng=np.random.default_rng(0)).tables
    (cell,) = json.loads(json.dumps(as_json(cell_answers(tables))))
    assert cell == {
        "backbone": "resnet18", "recipe": "plain", "optimizer": "sgd", "response": "default", "n": 3,
        "n_diverged": 1, "n_failed": 1, "mean": pytest.approx(121 / 3),
        "sd": pytest.approx(np.std([50, 70, 1], ddof=1)),
    }  # fmt: skip


def test_one_score_has_no_spread_and_none_no_mean() -> None:
    trials = [trial(role="default", score=0.5), trial(role="default", optimizer="lion", state="FAIL", score=None)]
    answers = {
        cell.optimizer: cell for cell in cell_answers(score_tables(trials, rng=np.random.default_rng(0)).tables)
    }
    assert (answers["sgd"].mean, answers["sgd"].sd) == (pytest.approx(50), None)
    assert (answers["lion"].mean, answers["lion"].n, answers["lion"].n_failed) == (None, 0, 1)


def test_a_number_that_came_out_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no answer"):
        as_json({"share": [1.0, math.nan]})
    with pytest.raises(TypeError, match="set has no form in JSON"):
        as_json({"names": {"a"}})


def test_arrays_and_scalars_of_numpy_are_numbers() -> None:
    assert as_json({"a": np.arange(3).reshape(1, 3), "b": np.float64(0.5), 3: np.bool_(True)}) == {
        "a": [[0, 1, 2]], "b": 0.5, "3": True,
    }  # fmt: skip
