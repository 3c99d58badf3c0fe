"""The sections `sensitivity`, `optimizers` and C(n) of sweeps whose landscapes are planted."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.budget import coupling_by_budget
from orchestrator.analysis.answers.optimizers import optimizer_sensitivities
from orchestrator.analysis.answers.sensitivity import sensitivity
from orchestrator.analysis.answers.sensitivity_records import CellSensitivity, Sensitivity
from orchestrator.analysis.statistics.sensitivity.tuning_curves import expected_best
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.planning.plan import design_points
from orchestrator.store.schema import TrialRow
from search_spaces.optimizers import get_optimizer
from tests.sweep_rows import trial
from trainers.synthetic import CHANCE, planted_truth

BACKBONES = ("synthetic_a", "synthetic_b", "synthetic_c", "synthetic_d")
OPTIMIZERS = ("sgd", "adamw", "lion", "adagrad")
NAMES = {"dataset": "synthetic", "classes": 10, "score_rule": "final on validation"}


def planted_sweep(points: int = 32, seeds: int = 1, noise: float = 0.002) -> list[TrialRow]:
    """Design, default and confirm trials at the truth of the synthetic trainer, with a little noise."""
    rng = np.random.default_rng(0)
    rows = []
    for backbone in BACKBONES:
        for optimizer in OPTIMIZERS:
            names = {"backbone": backbone, "optimizer": optimizer, **NAMES}
            info, truth = get_optimizer(optimizer), planted_truth(backbone, optimizer)
            decay = next(d for d in info.space.dimensions if d.name == "weight_decay")
            middle = math.log10(decay.low * decay.high) / 2
            for number, coordinates in enumerate(design_points(3, points)):
                point = dict(zip(info.space.names, coordinates, strict=False))
                hp = info.space.values_at(point)
                distance = math.log10(hp["weight_decay"]) - middle if hp["weight_decay"] else 0.0
                expected = truth.accuracy(hp["lr"], distance)
                for seed in range(seeds):
                    score = CHANCE if expected is None else expected + noise * rng.normal()
                    rows.append(
                        trial(
                            trial_id=f"{backbone}.{optimizer}.design-{number:03d}-s{seed}", role="design",
                            number=number, replicate=seed, hp=json.dumps(hp), hp_lr=hp["lr"], score=score,
                            state="DIVERGED" if expected is None else "COMPLETE", point=json.dumps(point), **names,
                        )
                    )  # fmt: skip
            for seed in range(3):
                default = truth.accuracy(float(str(info.defaults["lr"])))
                rows.append(trial(trial_id=f"{backbone}.{optimizer}.default-s{seed}", role="default",
                                  replicate=seed, score=default, **names))  # fmt: skip
                rows.append(trial(trial_id=f"{backbone}.{optimizer}.confirm-x-s{seed}", role="confirm",
                                  replicate=seed, score=truth.ceiling, point='{"lr":0.97,"weight_decay":0.05}',
                                  hp='{"lr":1,"weight_decay":0.0}', **names))  # fmt: skip
    return rows


SWEEP = planted_sweep()


def of_role(rows: list[TrialRow], role: str) -> list[TrialRow]:
    return [row for row in rows if row.role == role]


@pytest.fixture(scope="module")
def found() -> Sensitivity:
    return sensitivity(SWEEP, rng=np.random.default_rng(0))


def cell_of(found: Sensitivity, backbone: str, optimizer: str) -> CellSensitivity:
    return next(cell for cell in found.cells if (cell.backbone, cell.optimizer) == (backbone, optimizer))


def test_every_cell_has_what_its_truth_says(found: Sensitivity) -> None:
    assert len(found.cells) == 16
    assert found.excluded == ()
    for cell in found.cells:
        truth = planted_truth(cell.backbone, cell.optimizer)
        default = truth.accuracy(float(str(get_optimizer(cell.optimizer).defaults["lr"]))) or CHANCE
        rows = [
            row
            for row in of_role(SWEEP, "design")
            if (row.backbone, row.optimizer) == (cell.backbone, cell.optimizer)
        ]
        scores = np.array([100 * (row.score or 0.0) for row in rows])
        assert (cell.n, cell.n_trials, cell.n_failed) == (32, 32, 0)
        assert cell.n_diverged == sum(row.state == "DIVERGED" for row in rows)
        assert cell.optimum_from == "confirm"
        assert cell.optimum == pytest.approx(100 * truth.ceiling)
        assert cell.mean_regret == pytest.approx(100 * truth.ceiling - scores.mean())
        assert cell.default_regret == pytest.approx(100 * (truth.ceiling - default))
        for volume in cell.p_eps:
            assert volume.near == (scores >= 100 * truth.ceiling - volume.epsilon).sum()
        assert cell.n95 == cell.p_eps[1].n95
        curve = expected_best(scores, list(range(1, 33)))
        assert [point.mean for point in cell.tuning_curve] == pytest.approx(list(curve))
        assert cell.pp == pytest.approx(scores.max())
        assert cell.cpu == pytest.approx(curve.mean())
        assert cell.boundary == ("lr",)
        assert cell.missing is None


def test_the_width_follows_the_planted_curvature(found: Sensitivity) -> None:
    ratios = []
    for cell in found.cells:
        if cell.lr_width is None or cell.lr_censored is not None:
            continue
        ratios.append(cell.lr_width / (2 / math.sqrt(100 * planted_truth(cell.backbone, cell.optimizer).curvature)))
    assert len(ratios) > 8
    # Four points per bin and chords across a parabola make it too small by a quarter, not more.
    assert 0.55 < np.mean(ratios) < 1.05


def test_shares_are_of_the_rate_where_only_the_rate_matters(found: Sensitivity) -> None:
    suppressed = [cell.sobol.reason for cell in found.cells if cell.sobol and not cell.sobol.shares]
    assert len(suppressed) < 8
    for cell in found.cells:
        assert cell.sobol is not None
        assert cell.ped_anova is not None
        assert cell.ped_anova.reason == "it needs 50 points, five in the best tenth; there are 32"
        if cell.sobol.shares:
            assert [share.name for share in cell.sobol.shares] == ["lr", "weight_decay"]
            assert cell.sobol.shares[0].total > 0.8
            assert cell.sobol.r_squared is not None
            assert cell.sobol.r_squared >= 0.5


def test_the_same_seed_gives_the_same_json(found: Sensitivity) -> None:
    again = sensitivity(SWEEP, rng=np.random.default_rng(0))
    assert json.dumps(as_json(found)) == json.dumps(as_json(again))


def test_without_confirm_trials_the_best_point_stands_in() -> None:
    rows = of_role(SWEEP, "design")
    cell = sensitivity(rows, rng=np.random.default_rng(0)).cells[0]
    assert cell.optimum_from == "design"
    assert cell.optimum == cell.pp
    assert cell.default_regret is None
    assert min(volume.near for volume in cell.p_eps) >= 1


def test_a_confirmed_score_of_another_part_is_no_optimum() -> None:
    rows = [replace(row, score_rule="final on test") if row.role == "confirm" else row for row in SWEEP]
    cell = sensitivity(rows, rng=np.random.default_rng(0)).cells[0]
    assert cell.optimum_from == "design"
    assert cell.default_regret is not None


def test_cells_without_a_design_say_so() -> None:
    gone = CellKey(backbone="synthetic_a", recipe="plain", optimizer="adan")
    failed = [
        replace(row, state="FAIL", score=None)
        for row in of_role(SWEEP, "design")
        if (row.backbone, row.optimizer) == ("synthetic_a", "sgd")
    ]
    others = [row for row in SWEEP if (row.backbone, row.optimizer) != ("synthetic_a", "sgd")]
    grid = [gone, *(CellKey(backbone=b, recipe="plain", optimizer=o) for b in BACKBONES for o in OPTIMIZERS)]
    answer = sensitivity([*others, *failed], grid=grid, rng=np.random.default_rng(0))
    assert cell_of(answer, "synthetic_a", "adan").missing == "no design trial has ended"
    cell = cell_of(answer, "synthetic_a", "sgd")
    assert cell.missing == "no design trial has a score"
    assert (cell.n, cell.n_trials, cell.n_failed) == (0, 32, 32)
    assert cell.mean_regret is None
    json.dumps(as_json(answer))
    assert sensitivity([], rng=np.random.default_rng(0)).cells == ()


def test_a_sweep_of_nearly_nothing_has_no_made_up_number() -> None:
    rows = [
        trial(trial_id="x.design-000-s0", role="design", score=0.7),
        trial(trial_id="y.design-000-s0", role="design", backbone="vgg", score=0.5, state="DIVERGED", hp_lr=None),
    ]
    answer = sensitivity(rows, rng=np.random.default_rng(0))
    for cell in answer.cells:
        assert cell.mean_regret == (None if cell.n_diverged else 0)
        assert (cell.mean_regret_low, cell.lr_sensitivity, cell.lr_width, cell.boundary) == (None,) * 4
        assert cell.sobol is not None
        assert cell.sobol.reason == "where the points lie in the search space was not recorded"
    (optimizer,) = optimizer_sensitivities(rows, answer.cells, rng=np.random.default_rng(0))
    assert optimizer.phi is None
    assert optimizer.missing is not None
    budget = coupling_by_budget(rows, rng=np.random.default_rng(0))
    assert budget.missing is not None
    assert coupling_by_budget([], rng=np.random.default_rng(0)).missing == "no design trial has a score"
    json.dumps(as_json([answer, optimizer, budget]))


def test_a_cell_that_always_diverges_is_not_the_least_sensitive_of_all() -> None:
    lost = [
        replace(row, state="DIVERGED", score=CHANCE)
        for row in of_role(SWEEP, "design")
        if (row.backbone, row.optimizer) == ("synthetic_a", "sgd")
    ]
    (cell,) = sensitivity(lost, rng=np.random.default_rng(0)).cells
    assert (cell.n, cell.n_diverged, cell.missing) == (32, 32, None)
    assert (cell.mean_regret, cell.n95, cell.lr_sensitivity, cell.lr_width) == (None,) * 4
    assert cell.p_eps == ()
    assert cell.pp == pytest.approx(100 * CHANCE), "its scores are results"
    json.dumps(as_json(cell))


def test_points_without_coordinates_still_have_a_rate() -> None:
    rows = [replace(row, point=None) for row in of_role(SWEEP, "design")]
    answer = sensitivity(rows, rng=np.random.default_rng(0))
    assert all(cell.lr_sensitivity is not None and cell.boundary is None for cell in answer.cells)
    budget = coupling_by_budget(rows, rng=np.random.default_rng(0))
    assert budget.estimator == "disjoint sets"
    one_without = [replace(row, point=None) if row.number == 1 else row for row in of_role(SWEEP, "design")]
    assert coupling_by_budget(one_without, rng=np.random.default_rng(0)).estimator == "disjoint sets"


def test_optimizers_are_measured_against_one_setting_for_all(found: Sensitivity) -> None:
    design = of_role(SWEEP, "design")
    answers = optimizer_sensitivities(design, found.cells, rng=np.random.default_rng(0))
    assert [answer.optimizer for answer in answers] == sorted(OPTIMIZERS)
    for answer in answers:
        scores = np.array(
            [
                [100 * (row.score or 0) for row in design if (row.backbone, row.optimizer) == (b, answer.optimizer)]
                for b in BACKBONES
            ]
        )
        best = int(scores.mean(axis=0).argmax())
        assert answer.shared_score == pytest.approx(scores[:, best].mean())
        assert answer.tuned_score == pytest.approx(scores.max(axis=1).mean())
        assert answer.shared_regret == pytest.approx(scores.max(axis=1).mean() - scores[:, best].mean())
        space = get_optimizer(answer.optimizer).space
        point = dict(zip(space.names, design_points(3, 32)[best], strict=False))
        assert answer.shared_setting == pytest.approx(space.values_at(point))
        assert answer.phi is not None
        assert answer.phi >= 0
        assert (answer.cells, answer.phi_backbones, answer.phi_points, answer.dimensions) == (4, 4, 32, 2)
        assert answer.phi_split_seed is None
        assert answer.default_regret_cells == 4
        assert answer.boundary_share == 1.0
        assert answer.effective_dimension is None or answer.effective_dimension in (0, 1, 2)
    assert any(answer.effective_dimension is not None for answer in answers)


def test_seeds_are_split_where_there_are_several() -> None:
    rows = planted_sweep(points=8, seeds=2)
    answer = sensitivity(rows, rng=np.random.default_rng(0))
    assert (answer.cells[0].n, answer.cells[0].n_trials) == (8, 16)
    for optimizer in optimizer_sensitivities(of_role(rows, "design"), answer.cells, rng=np.random.default_rng(0)):
        assert optimizer.phi_split_seed is not None
        assert optimizer.phi is not None
        assert optimizer.phi_split_seed <= optimizer.phi + 0.01
        assert optimizer.shared_regret_split_seed is not None


def test_coupling_by_budget_finds_the_planted_coupling() -> None:
    answer = coupling_by_budget(of_role(SWEEP, "design"), rng=np.random.default_rng(0))
    assert [point.n for point in answer.budgets] == [1, 2, 4, 8, 16, 32]
    assert [point.flagged for point in answer.budgets] == [False] * 5 + [True]
    assert (answer.estimator, answer.points, answer.backbones, answer.optimizers) == ("neighbours", 32, 4, 4)
    ceilings = np.array([[100 * planted_truth(b, o).ceiling for o in sorted(OPTIMIZERS)] for b in BACKBONES])
    rest = ceilings - ceilings.mean(axis=0) - ceilings.mean(axis=1, keepdims=True) + ceilings.mean()
    tuned = answer.budgets[4]
    # Sixteen trials come within a point or two of the ceilings, whose interaction has a variance near 36.
    assert tuned.sigma2_interaction == pytest.approx((rest**2).sum() / 9, rel=0.25)
    assert tuned.low is not None
    assert tuned.low > 0


def test_holes_cost_a_row_or_a_column_and_are_counted() -> None:
    rows = [row for row in of_role(SWEEP, "design") if (row.backbone, row.optimizer) != ("synthetic_b", "lion")]
    rows[0] = replace(rows[0], state="FAIL", score=None)
    answer = coupling_by_budget(rows, rng=np.random.default_rng(0))
    assert (answer.backbones, answer.optimizers) == (3, 4)
    assert answer.backbones_left_out == ("synthetic_b",)
    assert (answer.points, answer.scores_missing) == (31, 1)
