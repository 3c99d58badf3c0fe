"""The section on robustness: small sweeps worked out by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import binomtest, pearsonr

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.corruptions import corruption_answer
from orchestrator.analysis.answers.layers import layer_answer
from orchestrator.analysis.answers.robustness import robustness
from orchestrator.analysis.answers.robustness_records import Robustness, SideRobustness
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.score_tables import score_tables
from orchestrator.analysis.trials.tuned_settings import setting_table
from orchestrator.store.schema import TrialRow
from tests.sweep_rows import made_up_sweep, trial


def answer(trials: list[TrialRow], **values: object) -> Robustness:
    found = robustness(trials, score_tables(trials, rng=np.random.default_rng(0)), **values)  # type: ignore[arg-type]
    json.dumps(as_json(found), allow_nan=False)
    return found


def confirmed(backbone: str, optimizer: str, scores: list[float], **values: object) -> list[TrialRow]:
    return [
        trial(trial_id=f"{backbone}.{optimizer}.c{seed}", backbone=backbone, optimizer=optimizer, score=score,
              replicate=seed, **values)
        for seed, score in enumerate(scores)
    ]  # fmt: skip


def backbone_of(found: Robustness, name: str) -> SideRobustness:
    return next(entry for entry in found.backbones if entry.backbone == name)


def optimizer_of(found: Robustness, name: str) -> SideRobustness:
    return next(entry for entry in found.optimizers if entry.optimizer == name)


def test_the_tuned_setting_is_the_confirmed_one_else_the_best_of_the_search() -> None:
    trials = [
        *confirmed("a", "sgd", [0.6, 0.6], hp_lr=0.1, number=0),
        replace(confirmed("a", "sgd", [0.9], hp_lr=0.5, number=1)[0], trial_id="second"),
        trial(backbone="a", trial_id="d", role="design", score=0.99, hp_lr=3.0),
        # Two seeds of design point 1: their mean decides, and a setting of which all diverged is none.
        trial(backbone="b", trial_id="e", role="design", number=1, replicate=0, score=0.8, hp_lr=1.0),
        trial(backbone="b", trial_id="f", role="design", number=1, replicate=1, score=0.2, hp_lr=1.0),
        trial(backbone="b", trial_id="g", role="tune", number=0, score=0.6, hp_lr=0.2),
        trial(backbone="b", trial_id="h", role="tune", number=1, score=0.6, hp_lr=0.3),
        trial(backbone="b", trial_id="i", role="tune", number=2, state="DIVERGED", score=0.7, hp_lr=9.0),
        trial(backbone="c", trial_id="j", role="default", score=0.6, hp_source="default", hp_lr=0.05),
        trial(backbone="c", trial_id="k", role="tune", state="PRUNED", score=None, hp_lr=0.4),
    ]
    table = setting_table(trials)
    np.testing.assert_array_equal(table.lr, [[0.1], [0.2], [np.nan]])
    assert (table.confirmed, table.searched) == (1, 1)
    assert table.default_lr.tolist() == [0.05]


def test_defaults_come_from_the_catalogue_where_none_was_run_and_are_unknown_for_own_optimizers() -> None:
    trials = [
        *confirmed("a", "sgd", [0.6]),
        *confirmed("a", "mine", [0.6]),
        trial(trial_id="p", role="default", optimizer="sgd", hp_source="paper", hp_lr=7.0),
    ]
    table = setting_table(trials)
    assert dict(zip(table.optimizers, table.default_lr.tolist(), strict=True)) == {
        "sgd": 0.1,
        "mine": pytest.approx(np.nan, nan_ok=True),
    }
    found = answer(trials)
    assert optimizer_of(found, "mine").hp_distance.from_default is None


def test_distances_of_settings_by_both_conventions() -> None:
    rates = {("a", "sgd"): 0.1, ("b", "sgd"): 0.1, ("c", "sgd"): 1.0, ("a", "adamw"): 1e-3, ("b", "adamw"): 1e-4}
    trials = [
        row for (backbone, optimizer), lr in rates.items() for row in confirmed(backbone, optimizer, [0.6], hp_lr=lr)
    ]
    found = answer(trials)
    sgd = optimizer_of(found, "sgd").hp_distance
    assert sgd.own_list is not None
    assert sgd.from_default is not None
    assert sgd.own_list.ordinal == (0, 0, 1)
    # A factor of ten is three steps of the ladder 1, 2, 5.
    assert sgd.from_default.ordinal == (0, 0, 3)
    assert sgd.from_default.one_hot == (0, 0, 2)
    c = backbone_of(found, "c").hp_distance
    assert c.own_list is None
    stopped = answer([*confirmed("a", "sgd", [0.5], hp_lr=0.0), *confirmed("b", "sgd", [0.5], hp_lr=0.1)])
    assert optimizer_of(stopped, "sgd").hp_distance.from_default is not None


def test_distance_from_the_default_rate_needs_a_design() -> None:
    design = [
        trial(trial_id=f"d{n}", role="design", number=n, hp_lr=10.0**-n, score=score)
        for n, score in enumerate((0.01, 0.50, 0.70, 0.695))
    ]
    default = trial(trial_id="z", role="default", hp_source="default", hp_lr=0.1, score=0.5)
    found = backbone_of(answer([*design, default]), "resnet18").default_distance
    assert found is not None
    # 0.01 and 0.001 are within a point of 70 %; the default 0.1 is not.
    assert found.median_decades == pytest.approx(1.0)
    assert (found.cells, found.default_optimal, found.default_known) == (1, 0, 1)
    good = backbone_of(answer([*design, replace(default, score=0.70)]), "resnet18").default_distance
    assert good is not None
    assert (good.median_decades, good.default_optimal) == (0.0, 1)
    # Trials at the paper's rate say nothing about the optimizer's own default, which the catalogue knows.
    paper = backbone_of(answer([*design, replace(default, hp_source="paper", hp_lr=0.5, score=0.9)]), "resnet18")
    assert paper.default_distance is not None
    assert (paper.default_distance.median_decades, paper.default_distance.default_known) == (pytest.approx(1.0), 0)
    far = answer([*design, default, *confirmed("resnet18", "sgd", [0.9, 0.9])])
    missed = backbone_of(far, "resnet18").default_distance
    assert missed is not None
    assert (missed.median_decades, missed.cells, missed.without_point) == (None, 0, 1)
    assert backbone_of(answer([default]), "resnet18").default_distance is None


def test_divergence_is_counted_in_the_design_with_an_exact_interval() -> None:
    states = ["DIVERGED", "COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    design = [
        trial(trial_id=f"d{n}", role="design", number=n, state=state, score=None if state == "FAIL" else 0.1)
        for n, state in enumerate(states)
    ]
    found = answer([*design, *confirmed("resnet18", "sgd", [0.5, 0.5], state="DIVERGED")])
    rate = backbone_of(found, "resnet18").divergence
    assert found.divergence_role == "design"
    assert rate is not None
    assert (rate.diverged, rate.trials, rate.rate) == (1, 4, 0.25)
    expected = binomtest(1, 4).proportion_ci(method="exact")
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_spread_over_the_other_side_and_over_seeds() -> None:
    trials = [
        *confirmed("a", "sgd", [0.60, 0.62]),
        *confirmed("a", "adamw", [0.70, 0.70]),
        *confirmed("b", "sgd", [0.50, 0.50]),
        *confirmed("b", "adamw", [0.52, 0.56]),
        *confirmed("c", "sgd", [0.40, 0.44]),
    ]
    found = answer(trials, lr_widths={CellKey(backbone="a", recipe="plain", optimizer="sgd"): 1.5})
    a = backbone_of(found, "a")
    assert (found.response, a.n) == ("confirmed", 2)
    assert a.range == pytest.approx(9.0)
    assert a.std == pytest.approx(9 / 2**0.5)
    assert a.lr_width_median == 1.5
    assert backbone_of(found, "b").lr_width_median is None
    # Less the backbones' means, sgd lies at -4.5 and -2; c has nothing to be compared with.
    sgd = optimizer_of(found, "sgd")
    assert (sgd.n, sgd.range) == (2, pytest.approx(2.5))
    assert backbone_of(found, "c").std is None
    assert a.seeds is not None
    # One cell with a variance of 2 and one of 0.
    assert a.seeds.sd == pytest.approx(1.0)
    assert (a.seeds.df, a.seeds.cells) == (2, 2)
    assert found.seed_variance is not None
    assert found.seed_variance.response == "confirmed"
    assert len(found.seed_variance.cells) == 6


def test_a_cell_in_which_a_seed_diverged_is_told_apart_from_noise() -> None:
    trials = [
        row
        for i, backbone in enumerate("abc")
        for j, optimizer in enumerate(("sgd", "adamw"))
        for row in confirmed(backbone, optimizer, [0.60, 0.61 + 0.01 * i, 0.63 + 0.01 * j])
    ]
    trials[2] = replace(trials[2], state="DIVERGED", score=0.01)
    found = answer(trials).seed_variance
    assert found is not None
    assert found.tests.cells == 6
    assert found.tests_without_diverged.cells == 5
    assert found.tests.pooled_sd is not None
    assert found.tests_without_diverged.pooled_sd is not None
    assert found.tests.pooled_sd > 5 * found.tests_without_diverged.pooled_sd


@dataclass(frozen=True)
class Layer:
    trial_id: str
    alpha: float | None
    rows: int = 64
    columns: int = 576
    entropy: float | None = 4.0
    l2_norm: float | None = 10.0
    pca_energy: float | None = 0.5


def test_layers_are_summed_up_by_cell_and_set_beside_accuracy_within_backbones() -> None:
    alphas = {("a", "sgd"): 2.0, ("a", "adamw"): 3.0, ("a", "lion"): 4.5, ("b", "sgd"): 5.0, ("b", "adamw"): 6.5}
    scores = {("a", "sgd"): 0.6, ("a", "adamw"): 0.55, ("a", "lion"): 0.5, ("b", "sgd"): 0.9, ("b", "adamw"): 0.8}
    trials = [row for key, score in scores.items() for row in confirmed(*key, [score, score])]
    trials.append(trial(trial_id="dead", backbone="a", optimizer="sgd", state="DIVERGED", score=0.01, replicate=2))
    layers = [
        Layer(trial_id=f"{backbone}.{optimizer}.c{seed}", alpha=alpha + delta)
        for (backbone, optimizer), alpha in alphas.items()
        for seed in range(2)
        for delta in (-1.0, 0.0, 1.0)
    ]
    layers += [
        Layer(trial_id="a.sgd.c0", alpha=99.0, rows=10),
        Layer(trial_id="a.sgd.c0", alpha=None),
        Layer(trial_id="dead", alpha=None),
        Layer(trial_id="of another sweep", alpha=1.0),
    ]
    found = answer(trials, layers=layers).layers
    assert found is not None
    cell = next(cell for cell in found.cells if (cell.backbone, cell.optimizer) == ("a", "sgd"))
    assert (cell.role, cell.trials, cell.alpha, cell.alpha_layers) == ("confirm", 2, 2.0, 6)
    assert (cell.alpha_dropped_small, cell.alpha_dropped_undefined) == (1, 1)
    assert cell.score == pytest.approx(60.0)
    assert found.dropped_trials == 1
    alpha = next(entry for entry in found.correlations if entry.statistic == "alpha")
    x, y = [-7 / 6, -1 / 6, 4 / 3, -0.75, 0.75], [5, 0, -5, 5, -5]
    assert alpha.by_backbone.within == pytest.approx(pearsonr(x, y).statistic)
    assert alpha.reverses
    norm = next(entry for entry in found.correlations if entry.statistic == "l2_norm")
    assert norm.by_backbone.within is None
    assert layer_answer(trials, []) is None


@dataclass(frozen=True)
class Corrupted:
    trial_id: str
    corruption: str
    severity: int
    top1: float


def test_corruptions_by_cell() -> None:
    clean = {("a", "sgd"): 0.8, ("a", "adamw"): 0.7, ("b", "sgd"): 0.6}
    trials = [row for key, top1 in clean.items() for row in confirmed(*key, [top1], test_top1=top1)]
    trials += confirmed("b", "adamw", [0.5], test_top1=0.5)
    scores = [
        Corrupted(f"{backbone}.{optimizer}.c0", name, severity, top1 - 0.1 * severity)
        for (backbone, optimizer), top1 in clean.items()
        for name in ("fog", "snow")
        for severity in (1, 2)
    ]
    scores.append(Corrupted("b.adamw.c0", "fog", 1, 0.4))
    found = answer(trials, corruptions=scores).corruption
    assert found is not None
    assert (found.corruptions, found.severities, found.dropped_trials) == (("fog", "snow"), (1, 2), 1)
    best = next(cell for cell in found.cells if (cell.backbone, cell.optimizer) == ("a", "sgd"))
    assert (best.clean, best.corrupted, best.drop) == pytest.approx((80.0, 65.0, 15.0))
    # Errors of 35 % against 45 % on average; corruption adds 15 points to every cell.
    assert best.error.mce == pytest.approx(100 * 35 / 45)
    assert best.error.relative_mce == pytest.approx(100.0)
    assert best.matched_drop == pytest.approx(15.0)
    assert found.slope == pytest.approx(0.0, abs=1e-12)
    assert corruption_answer(trials, []) is None


def test_rows_are_backbones_under_a_recipe_and_planned_cells_are_there() -> None:
    grid = [CellKey(backbone=b, recipe=r, optimizer="sgd") for b in ("a", "b") for r in ("x", "y")]
    found = answer(confirmed("a", "sgd", [0.5, 0.6], recipe="y"), grid=grid)
    assert [(entry.backbone, entry.recipe) for entry in found.backbones] == [
        ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"),
    ]  # fmt: skip
    assert [entry.seeds is not None for entry in found.backbones] == [False, True, False, False]


def test_an_empty_and_a_whole_sweep() -> None:
    empty = answer([])
    assert (empty.response, empty.backbones, empty.seed_variance) == (None, (), None)
    rows = made_up_sweep(["resnet18", "vit", "convnext"], ["sgd", "adamw", "lion"], epochs=2)
    found = answer(rows.trials)
    assert len(found.backbones) == len(found.optimizers) == 3
    assert found.seed_variance is not None
    assert (found.seed_variance.tests.pooled_df, found.confirmed_settings) == (18, 9)
