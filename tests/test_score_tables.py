"""From trials to the tables that every statistic of coupling is computed on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.design_scores import design_scores
from orchestrator.analysis.trials.score_table import ScoreTables
from orchestrator.analysis.trials.score_tables import score_tables
from orchestrator.store.schema import TrialRow
from tests.sweep_rows import trial

NAMES = {"A": "resnet18", "B": "deit_tiny"}


def one(cell: str, role: str, score: float | None, **values: Any) -> TrialRow:
    """A trial of the cell `A.sgd`, ...; without a score it failed."""
    row, optimizer = cell.split(".")
    state = values.pop("state", "COMPLETE" if score is not None else "FAIL")
    return trial(backbone=NAMES[row], optimizer=optimizer, role=role, score=score, state=state, **values)


def tables_of(trials: list[TrialRow], **values: Any) -> ScoreTables:
    return score_tables(trials, rng=np.random.default_rng(0), **values)


def every_cell(role: str, scores: list[float], **values: Any) -> list[TrialRow]:
    """One trial of each of four cells."""
    cells = ("A.sgd", "A.adam", "B.sgd", "B.adam")
    return [one(cell, role, score, **values) for cell, score in zip(cells, scores, strict=True)]


def test_replicates_keep_their_place_when_some_are_missing() -> None:
    trials = every_cell("default", [0.1, 0.2, 0.3, 0.4], replicate=0)
    trials += every_cell("default", [0.5, 0.6, 0.7, 0.8], replicate=2)[1:]
    trials += [one("A.sgd", "default", None, replicate=2)]
    table = tables_of(trials).named("default")
    assert table is not None
    assert [row.label for row in table.rows] == ["deit_tiny", "resnet18"]
    assert table.optimizers == ("adam", "sgd")
    np.testing.assert_allclose(table.scores[1], [[20, 60], [10, np.nan]])
    assert table.failed.tolist() == [[0, 0], [0, 1]]
    assert table.means[1, 1] == pytest.approx(10)


def test_confirmed_is_the_setting_that_the_search_ranked_first() -> None:
    trials = every_cell("confirm", [0.1, 0.2, 0.3, 0.4], number=0)
    trials += every_cell("confirm", [0.9, 0.9, 0.9, 0.9], number=1)
    found = tables_of(trials)
    assert found.headline is not None
    np.testing.assert_allclose(found.headline.means, [[40, 30], [20, 10]])
    (left,) = found.excluded
    assert (left.what, left.count) == ("confirm trials", 4)


def test_a_first_setting_without_result_gives_way_to_the_next() -> None:
    trials = [*every_cell("confirm", [0.1, 0.2, 0.3, 0.4]), one("B.adam", "confirm", 0.5, number=1)]
    trials[3] = one("B.adam", "confirm", None)
    table = tables_of(trials).headline
    assert table is not None
    assert table.means[0, 0] == pytest.approx(50)


def test_a_diverged_trial_counts_with_its_score_and_a_failed_one_is_missing() -> None:
    trials = every_cell("default", [0.1, 0.2, 0.3, 0.4])
    trials[0] = one("A.sgd", "default", 0.01, state="DIVERGED")
    trials[1] = one("A.adam", "default", None)
    table = tables_of(trials).named("default")
    assert table is not None
    assert table.diverged.sum() == 1
    assert math.isnan(table.means[1, 0])
    assert table.means[1, 1] == pytest.approx(1)


def test_tuned_at_n_is_the_best_of_disjoint_sets_of_the_same_points() -> None:
    scores = np.random.default_rng(1).uniform(size=(8, 4))
    trials = [row for number in range(8) for row in every_cell("design", list(scores[number]), number=number)]
    found = tables_of(trials)
    assert [table.response for table in found.tables] == ["shared", "tuned@1", "tuned@2", "tuned@4", "tuned@8"]
    whole, single, four = found.named("tuned@8"), found.named("tuned@1"), found.named("tuned@4")
    assert whole is not None
    assert single is not None
    assert four is not None
    best = 100 * scores.max(axis=0)
    np.testing.assert_allclose(whole.scores[:, :, 0], [[best[3], best[2]], [best[1], best[0]]])
    np.testing.assert_allclose(four.scores.max(axis=2), whole.scores[:, :, 0])
    first = single.scores[:, :, 0].ravel() / 100
    assert any(np.allclose(first, row[[3, 2, 1, 0]]) for row in scores), "all cells take the same point"


def test_points_that_a_cell_lacks_are_taken_from_no_cell() -> None:
    trials = [row for number in range(4) for row in every_cell("design", [0.1, 0.2, 0.3, 0.4], number=number)]
    trials[0] = one("A.sgd", "design", None, number=0)
    found = tables_of(trials)
    largest = found.named("tuned@2")
    assert largest is not None
    assert largest.scores.shape[2] == 1, "three points make one pair"
    assert {(left.what, left.count) for left in found.excluded} == {
        ("points of the shared design", 1), ("design trials (FAIL)", 1)
    }  # fmt: skip


def test_the_shared_setting_is_the_best_on_average_and_chosen_on_other_seeds() -> None:
    by_point = {0: [0.9, 0.5, 0.1, 0.5], 1: [0.6, 0.4, 0.6, 0.4]}
    trials = [row for number, scores in by_point.items() for row in every_cell("design", scores, number=number)]
    once = tables_of(trials).named("shared")
    assert once is not None
    np.testing.assert_allclose(once.scores[:, :, 0], [[50, 60], [50, 60]])
    # With the second seed, point 0 is best for sgd: the first seed is scored there, the second where the first led.
    again = {0: [0.9, 0.5, 0.8, 0.5], 1: [0.1, 0.4, 0.1, 0.4]}
    for number, scores in again.items():
        trials += every_cell("design", scores, number=number, replicate=1)
    twice = tables_of(trials).named("shared")
    assert twice is not None
    np.testing.assert_allclose(twice.scores[:, 1], [[10, 10], [90, 10]])


def test_adaptive_and_pruned_trials_are_in_no_table() -> None:
    trials = every_cell("tune", [0.9, 0.9, 0.9, 0.9])
    trials += [one("A.sgd", "tune", None, state="PRUNED"), *every_cell("default", [0.1, 0.2, 0.3, 0.4])]
    found = tables_of(trials)
    assert [table.response for table in found.tables] == ["default"]
    assert {left.what for left in found.excluded} == {"tune trials (COMPLETE)", "tune trials (PRUNED)"}


def test_cells_are_in_the_order_of_the_spec_and_recipes_are_rows() -> None:
    grid = [CellKey(backbone="resnet18", recipe=recipe, optimizer="sgd") for recipe in ("plain", "deit")]
    table = tables_of([one("A.sgd", "default", 0.5, recipe="deit")], grid=grid).tables[0]
    assert [row.label for row in table.rows] == ["resnet18 · plain", "resnet18 · deit"]
    assert math.isnan(table.means[0, 0])
    assert not table.has_answer


def test_no_trials_are_no_tables() -> None:
    assert tables_of([]).tables == ()
    assert tables_of([]).headline is None
    assert design_scores([]) is None
