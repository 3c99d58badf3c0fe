"""The numbers behind the page, against values worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from orchestrator.analysis.answers.learning_curves import curve_set
from orchestrator.analysis.answers.rate_points import response_set
from orchestrator.analysis.answers.summary import summarise
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.report import render
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.counts import Counts
from orchestrator.analysis.trials.curves import Curve, trials_to_draw
from orchestrator.analysis.trials.headline import Source, headline_of
from orchestrator.analysis.trials.load import load_page_data
from orchestrator.analysis.trials.score_tables import score_tables
from orchestrator.errors import UsageError
from orchestrator.store.schema import AttemptRow, TrialRow
from tests import sweep_rows
from tests.sweep_rows import START, trial

KEY = CellKey(backbone="resnet18", recipe="plain", optimizer="sgd")


def confirmed(*scores: float, **values: object) -> list[TrialRow]:
    name = f"{values.get('backbone', 'resnet18')}.{values.get('optimizer', 'sgd')}"
    return [trial(trial_id=f"{name}.c{i}", score=score, replicate=i, **values) for i, score in enumerate(scores)]


def test_diverged_counts_at_chance_and_pruned_and_failed_do_not() -> None:
    trials = [
        *confirmed(0.70, 0.72),
        trial(trial_id="d", state="DIVERGED", score=0.01),
        trial(trial_id="p", state="PRUNED", score=None),
        trial(trial_id="f", state="FAIL", score=None),
    ]
    (cell,) = summarise(trials, 5).cells
    assert cell.headline is not None
    assert cell.headline.estimate.n == 3
    assert cell.headline.estimate.mean == pytest.approx((0.70 + 0.72 + 0.01) / 3)
    assert cell.headline.diverged == 1
    assert cell.counts == Counts(complete=2, diverged=1, pruned=1, failed=1)
    assert cell.counts.ended == 5


def test_headline_falls_back_and_says_to_what() -> None:
    design = [trial(trial_id=f"s{i}", role="design", number=i, score=0.6 + 0.02 * i) for i in range(3)]
    tune = [trial(trial_id="u", role="tune", score=0.65), trial(trial_id="v", role="tune", state="FAIL", score=None)]
    default = [trial(trial_id=f"d{i}", role="default", score=0.4 + 0.1 * i) for i in range(2)]

    headline = headline_of([*default, *design, *tune])
    assert headline is not None
    assert (headline.source, headline.estimate.mean, headline.candidates) == (Source.SEARCH, 0.65, 4)
    assert headline.estimate.low is None
    assert wording.evidence(headline) == "best of 4, no interval"

    headline = headline_of(default)
    assert headline is not None
    assert (headline.source, headline.estimate.n) == (Source.DEFAULT, 2)
    assert headline.estimate.mean == pytest.approx(0.45)

    headline = headline_of([*default, *design, *confirmed(0.6)])
    assert headline is not None
    assert (headline.source, headline.estimate.mean) == (Source.CONFIRM, 0.6)
    assert headline_of([trial(state="FAIL", score=None)]) is None


def test_gap_compares_one_kind_of_number() -> None:
    trials = [
        *confirmed(0.70, 0.72, optimizer="sgd"),
        *confirmed(0.66, 0.68, optimizer="adam"),
        trial(trial_id="lucky", role="design", optimizer="lion", score=0.99),
    ]
    (row,) = summarise(trials, None).rows
    assert row.source is Source.CONFIRM
    assert [cell.key.optimizer for cell in row.ranking] == ["sgd", "adam"]
    gaps = {cell.key.optimizer: cell.gap for cell in row.cells}
    assert gaps["sgd"] == 0
    assert gaps["adam"] == pytest.approx(-0.04)
    assert gaps["lion"] is None
    assert wording.leader(row) == "sgd"


def test_a_tie_is_called_one() -> None:
    trials = [*confirmed(0.7, 0.7, optimizer="sgd"), *confirmed(0.7, 0.7, optimizer="adam")]
    (row,) = summarise(trials, None).rows
    assert wording.leader(row) == "adam and sgd share the first place"


def test_planned_cells_without_trials_are_listed_and_named_missing() -> None:
    grid = [CellKey(backbone=b, recipe="plain", optimizer=o) for b in ("vit", "resnet18") for o in ("sgd", "adam")]
    summary = summarise([*confirmed(0.7), trial(trial_id="f", state="FAIL", score=None)], 12, grid=grid)
    assert [row.label for row in summary.rows] == ["vit", "resnet18"]
    assert summary.optimizers == ("sgd", "adam")
    assert "2 of 12 trials have ended; the numbers below will change." in summary.missing
    assert "1 trial failed and gave no result: they can be retried." in summary.missing
    assert "3 cells of 4 without any score yet." in summary.missing
    assert "1 cell with a single repetition, so without an interval." in summary.missing


def test_without_a_grid_the_names_seen_are_crossed_and_recipes_are_labelled() -> None:
    trials = [*confirmed(0.7, recipe="a"), *confirmed(0.7, recipe="b", optimizer="adam", backbone="vit")]
    summary = summarise(trials, None)
    assert [row.label for row in summary.rows] == ["resnet18 · a", "vit · b"]
    assert len(summary.cells) == 4


def test_totals() -> None:
    late = trial(trial_id="z", role="design", epochs_done=2, started_at=START + timedelta(hours=1),
                 ended_at=START + timedelta(hours=2))  # fmt: skip
    summary = summarise([*confirmed(0.7, 0.7), late], 3)
    assert (summary.epochs, summary.train_seconds) == (12, 510.0)
    assert (summary.first_start, summary.last_end) == (START, START + timedelta(hours=2))
    assert [(role.role, role.counts.complete) for role in summary.roles] == [("design", 1), ("confirm", 2)]


def test_an_empty_sweep_summarises() -> None:
    summary = summarise([], 8)
    assert summary.rows == ()
    assert summary.missing == ("0 of 8 trials have ended; the numbers below will change.",)


def test_cells_and_curves_are_of_the_setting_that_the_search_ranked_first() -> None:
    first = confirmed(0.7, 0.8, repeats="x")
    lucky = [trial(trial_id="other", number=1, score=0.95, repeats="y")]
    assert trials_to_draw([*lucky, *first]) == {KEY: tuple(first)}
    headline = headline_of([*lucky, *first])
    assert headline is not None
    assert (headline.estimate.mean, headline.candidates) == (pytest.approx(0.75), 2)
    # The table that every statistic is computed on has the same mean.
    tables = score_tables([*lucky, *first], rng=np.random.default_rng(0)).tables
    assert [float(table.means[0, 0]) for table in tables] == [pytest.approx(75.0)]
    # Where nothing of the first setting gave a result, the second stands in, in all three places.
    failed = [trial(trial_id="f", number=0, state="FAIL", score=None)]
    assert trials_to_draw([*lucky, *failed]) == {KEY: tuple(lucky)}
    headline = headline_of([*lucky, *failed])
    assert headline is not None
    assert headline.estimate.mean == 0.95


def test_mean_curve_ends_with_the_shortest_repetition() -> None:
    drawn = {KEY: confirmed(0.7, 0.7)}
    curves = [
        Curve(trial_id="resnet18.sgd.c0", epochs=(1, 2, 3), val_top1=(0.1, 0.2, 0.3)),
        Curve(trial_id="resnet18.sgd.c1", epochs=(1, 2), val_top1=(0.3, 0.4)),
    ]
    (mean,) = (line for line in curve_set(drawn, curves).lines if line.is_mean)
    assert mean.epochs == (1, 2)
    assert mean.val_top1 == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize("budget", [100_000, 2_000, 300])
def test_curves_keep_to_their_budget_and_to_their_ends(budget: int) -> None:
    keys = [CellKey(backbone="b", recipe="plain", optimizer=f"o{i}") for i in range(20)]
    drawn = {key: [trial(trial_id=f"{key.optimizer}.{s}") for s in range(3)] for key in keys}
    epochs = tuple(range(1, 101))
    curves = [
        Curve(trial_id=row.trial_id, epochs=epochs, val_top1=tuple(e / 100 for e in epochs))
        for rows in drawn.values()
        for row in rows
    ]
    shown = curve_set(drawn, curves, budget=budget)
    # The first epoch comes on top of every k-th.
    assert sum(len(line.epochs) for line in shown.lines) <= budget + len(shown.lines)
    assert all((line.epochs[0], line.epochs[-1]) == (1, 100) for line in shown.lines)
    assert shown.only_means == (budget < 900)


def test_response_keeps_the_same_first_points_in_every_cell() -> None:
    trials = [
        trial(trial_id=f"{o}{n}", role="design", optimizer=o, number=n, hp_lr=10.0 ** -(n % 4))
        for o in ("sgd", "adam")
        for n in range(16)
    ]
    response = response_set(trials, budget=20)
    assert (response.shown, response.designed) == (8, 16)
    assert sorted({point.number for point in response.points}) == list(range(8))
    assert len(response.points) == 16
    assert len(response_set(trials).points) == 32


def test_loading_takes_the_newest_spec_and_this_sweep_only() -> None:
    tables = sweep_rows.spec(["resnet18"], ["sgd"])
    failed = trial(trial_id="bad", state="FAIL", score=None, reason="out of memory", attempt=2)
    done = trial(trial_id="good", score=0.7)
    rows = sweep_rows.Rows(
        sweeps=[sweep_rows.sweep(tables, 11), sweep_rows.sweep(tables, 14, version=2)],
        trials=[failed, done, trial(sweep="another", trial_id="x")],
        curves=sweep_rows.curve_of(done, 5, sweep_rows.np.random.default_rng(0)),
        attempts=[
            sweep_rows.attempt(failed, exception="OutOfMemoryError"),
            sweep_rows.attempt(done),
            AttemptRow(sweep="s", trial_id="new", attempt=1, driver_epoch=1, outcome="RUNNING", started_at=START),
        ],
    )
    data = load_page_data(sweep_rows.connect(rows), "s")
    assert data.planned == 14
    assert {row.trial_id for row in data.trials} == {"good", "bad"}
    assert data.facts.grid == (KEY,)
    assert data.facts.protocol == (
        "design: 8 points with 1 seed each",
        "confirm: the best 1 setting with 3 seeds each",
    )
    assert [(f.trial_id, f.reason, f.exception, f.attempts) for f in data.failures] == [
        ("bad", "out of memory", "OutOfMemoryError", 2)
    ]
    assert data.running == 1
    (curve,) = data.curves
    assert (curve.trial_id, curve.epochs) == ("good", (1, 2, 3, 4, 5))


def test_failures_of_a_cell_that_the_spec_no_longer_has_are_not_listed() -> None:
    gone = trial(trial_id="gone", backbone="vgg11", state="FAIL", score=None, superseded=True)
    rows = sweep_rows.Rows(
        sweeps=[sweep_rows.sweep(sweep_rows.spec(["resnet18"], ["sgd"]), 1, version=2)],
        trials=[gone, trial(trial_id="good", score=0.7)],
        attempts=[sweep_rows.attempt(gone, exception="OutOfMemoryError")],
    )
    data = load_page_data(sweep_rows.connect(rows), "s")
    assert data.failures == ()
    assert data.data.superseded == 1
    assert "vgg11" not in render(data, written_at=START).html


def test_an_unknown_sweep_is_a_users_mistake() -> None:
    rows = sweep_rows.Rows(sweeps=[sweep_rows.sweep(sweep_rows.spec(["a"], ["b"]), 1, sweep="digits")])
    with pytest.raises(UsageError, match="unknown sweep 'digit'; did you mean digits"):
        load_page_data(sweep_rows.connect(rows), "digit")


def test_analysis_needs_neither_ray_nor_torch_nor_pandas() -> None:
    # scipy looks into `sys.modules` for these, so they cannot be forbidden by a None there.
    code = (
        "import sys; import orchestrator.analysis.page.report, orchestrator.analysis.trials.load; "
        "assert not {'ray', 'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
