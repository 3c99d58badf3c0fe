"""Ranks, regret, contrasts and failures of whole sweeps: the paper's table, and sweeps with all that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.contrasts import contrast_answer
from orchestrator.analysis.answers.failures import failure_answer
from orchestrator.analysis.answers.ranks import rank_answer
from orchestrator.analysis.answers.regret import regret_answer
from orchestrator.analysis.statistics.intervals import exact_rates
from orchestrator.analysis.trials.cells import RowKey
from orchestrator.analysis.trials.complete_table import complete_part
from orchestrator.analysis.trials.score_table import ScoreTable
from orchestrator.store.schema import TrialRow
from tests.paper_table import paper_table
from tests.sweep_rows import trial


def table_of(
    scores: np.ndarray, backbones: list[str], optimizers: list[str], recipes: list[str] | None = None
) -> ScoreTable:
    rows = tuple(
        RowKey(backbone=backbone, recipe=recipe, label=f"{backbone} · {recipe}")
        for backbone, recipe in zip(backbones, recipes or ["plain"] * len(backbones), strict=True)
    )
    none = np.zeros(scores.shape[:2], dtype=np.int64)
    return ScoreTable(
        response="confirmed", rows=rows, optimizers=tuple(optimizers), scores=scores, diverged=none, failed=none
    )


def paper_scores() -> ScoreTable:
    paper = paper_table()
    return table_of(paper.top1[:, :, None], list(paper.backbones), list(paper.optimizers))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_papers_ranks() -> None:
    found = rank_answer(paper_scores())
    assert found is not None
    assert found.kendall_w == pytest.approx(0.437, abs=5e-4)
    assert found.kendall_w_by_family["primary+classical"] == pytest.approx(0.559, abs=5e-4)
    assert found.kendall_w_by_family["modern"] == pytest.approx(0.655, abs=5e-4)
    assert list(found.kendall_w_by_family) == ["primary", "classical", "modern", "primary+classical"]
    assert found.kendall_w_without_family["modern"] == found.kendall_w_by_family["primary+classical"]
    assert found.spearman_between_families == pytest.approx(0.20, abs=5e-3)
    assert min(found.mean_rank, key=found.mean_rank.__getitem__) == "adan"
    assert found.critical_difference == pytest.approx(6.63, abs=5e-3)
    assert found.groups[0][:2] == ("adan", "lamb")
    assert (len(found.pairs), len(found.generalist_pairs)) == (190, 19)
    assert {pair.first for pair in found.generalist_pairs} == {"adan"}
    assert (found.n_rows, found.n_backbones, found.n_without_family, found.left_out) == (20, 20, 0, ())


def test_the_papers_regret_and_which_optimizer_for_which_backbone() -> None:
    found = regret_answer(paper_scores(), rng=rng())
    assert found is not None
    assert (found.generalist, found.generalist_regret) == ("adan", pytest.approx(0.65, abs=5e-3))
    assert found.max["lamb"] == pytest.approx(3.34, abs=5e-3)
    assert sum(found.win_share.values()) == pytest.approx(1.0)
    assert (found.gain.cross_fitted, found.gain.ci, found.top_overlap, found.claims_tested) == (
        None,
        None,
        None,
        None,
    )
    alexnet = found.best_of_backbone[0]
    assert (alexnet.backbone, alexnet.ci, alexnet.separated) == ("alexnet", None, None)
    assert np.mean([best.generalist_regret or 0.0 for best in found.best_of_backbone]) == pytest.approx(
        found.generalist_regret
    )


def test_the_papers_contrasts() -> None:
    found = contrast_answer(paper_scores(), rng=rng())
    assert found is not None
    points, winsorised, ranks = found.scales
    assert points.fixed_rate is not None
    assert points.fixed_rate.estimate == pytest.approx(1.78 + 4.24, abs=0.01)
    shares = [scale.family_by_category.share for scale in (points, winsorised, ranks) if scale.family_by_category]
    assert shares == pytest.approx([0.020, 0.088, 0.127], abs=5e-4)
    assert (len(found.residuals), found.n_discoveries) == (400, None)
    largest = max(found.residuals, key=lambda cell: abs(cell.residual))
    assert (largest.backbone, largest.optimizer) == ("moganet_small", "lars")


def test_every_answer_is_json_without_nan() -> None:
    scores = np.random.default_rng(1).normal(70, 1, (6, 4, 3))
    scores[0, 0] = scores[1, 1, 0] = np.nan
    table = table_of(scores, ["alexnet", "resnet50", "resnet50", "swin_tiny", "mine:net", "vgg13_bn"],
                     ["sgd", "adam", "muon", "lion"], ["x", "x", "y", "x", "x", "x"])  # fmt: skip
    answers = [rank_answer(table), regret_answer(table, rng=rng()), contrast_answer(table, rng=rng())]
    assert None not in answers
    text = json.dumps([as_json(answer) for answer in answers], allow_nan=False)
    assert "mine:net" in text
    ranks, regret, contrasts = answers
    assert (ranks.n_rows, ranks.n_backbones, ranks.n_without_family) == (5, 4, 1)
    assert (contrasts.n_backbones, contrasts.n_without_era, contrasts.n_without_category) == (4, 1, 1)
    assert [(out.backbone, out.missing) for out in regret.left_out] == [("alexnet", ("sgd",))]
    # A row that is not complete still has a best optimizer, and its pairs still count.
    assert regret.best_of_backbone[0].backbone == "alexnet"
    assert next(pair for pair in ranks.pairs if "sgd" not in (pair.first, pair.second)).n == 6
    assert regret.claims_tested == 5 * 6 + 3
    assert regret_answer(table, rng=rng()) == regret


def test_the_recipes_of_a_backbone_are_averaged_before_contrasts() -> None:
    scores = np.random.default_rng(4).normal(70, 1, (5, 4, 1))
    optimizers = ["sgd", "adam", "lars", "lion"]
    recipes = table_of(
        scores, ["vgg13_bn", "vgg13_bn", "alexnet", "swin_tiny", "deit_small"], optimizers, list("xyxxx")
    )
    means = np.concatenate([scores[:2].mean(axis=0, keepdims=True), scores[2:]])
    plain = table_of(means, ["vgg13_bn", "alexnet", "swin_tiny", "deit_small"], optimizers)
    found, expected = contrast_answer(recipes, rng=rng()), contrast_answer(plain, rng=rng())
    assert found is not None
    assert expected is not None
    assert found.scales == expected.scales
    assert (len(found.residuals), len(expected.residuals)) == (20, 16)


def test_an_optimizer_that_hardly_ran_does_not_take_the_backbones_with_it() -> None:
    scores = np.random.default_rng(2).normal(70, 1, (5, 3, 2))
    scores[1:, 2] = np.nan
    scores[4] = np.nan
    table = table_of(scores, ["a", "b", "c", "d", "e"], ["sgd", "adam", "soap"])
    complete = complete_part(table)
    assert complete.optimizers == ("sgd", "adam")
    assert [row.backbone for row in complete.rows] == ["a", "b", "c", "d"]
    assert [(out.backbone, out.optimizer) for out in complete.left_out] == [(None, "soap"), ("e", None)]
    ranks = rank_answer(table)
    assert ranks is not None
    assert list(ranks.mean_rank) == ["sgd", "adam"]


def test_means_of_equal_counts_tie_though_they_differ_in_their_last_bits() -> None:
    counts = np.array(
        [[[7012, 7013, 7014], [7013, 7013, 7013], [7014, 7014, 7011]], [[1, 2, 3], [5, 5, 5], [7, 7, 7]]]
    )
    scores = 100 * (counts / 10_000)
    assert len(set(scores[0, :2].mean(axis=1))) == 2
    table = table_of(scores, ["a", "b"], ["sgd", "adam", "lion"])
    ranks, regret = rank_answer(table), regret_answer(table, rng=rng())
    assert ranks is not None
    assert regret is not None
    assert ranks.mean_rank == {"sgd": 2.5, "adam": 2.0, "lion": 1.5}
    assert regret.win_share == pytest.approx({"sgd": 1 / 6, "adam": 1 / 6, "lion": 4 / 6})
    pair = next(pair for pair in ranks.pairs if (pair.first, pair.second) == ("sgd", "adam"))
    assert (pair.n, pair.mean_difference, pair.p) == (2, pytest.approx(-0.015), 1.0)


@pytest.mark.parametrize("shape", [(0, 0, 1), (1, 1, 1), (1, 3, 2), (3, 1, 2), (2, 2, 1)])
@pytest.mark.parametrize("value", [70.0, np.nan])
def test_small_flat_and_empty_tables_have_answers_or_none(shape: tuple[int, int, int], value: float) -> None:
    names = ["sgd", "adam", "lion"][: shape[1]]
    table = table_of(np.full(shape, value), ["resnet50", "swin_tiny", "alexnet"][: shape[0]], names)
    answers = [rank_answer(table), regret_answer(table, rng=rng()), contrast_answer(table, rng=rng())]
    json.dumps([as_json(answer) for answer in answers], allow_nan=False)
    if np.isnan(value) or shape[1] < 2:
        assert answers == [None, None, None]
    elif shape[0] == 1:
        assert answers[0] is None
        assert answers[1] is not None
    else:
        assert answers[1] is not None
        assert answers[1].gain.plug_in == 0.0


def outcomes(backbone: str, optimizer: str, states: str, **values: object) -> Iterator[TrialRow]:
    full = {"C": "COMPLETE", "D": "DIVERGED", "P": "PRUNED", "F": "FAIL"}
    for number, letter in enumerate(states):
        yield trial(
            trial_id=f"{backbone}.{optimizer}.{number}", backbone=backbone, optimizer=optimizer, number=number,
            state=full[letter], score={"C": 0.5, "D": 0.01}.get(letter), **{"role": "design", **values},
        )  # fmt: skip


def test_divergence_is_an_outcome_and_failure_is_none() -> None:
    trials = [
        *outcomes("a", "sgd", "CCCD"),
        *outcomes("a", "adam", "CCFF"),
        *outcomes("b", "sgd", "DDDD"),
        *outcomes("b", "adam", "CCCP"),
        *outcomes("b", "adam", "DDDD", role="tune"),
    ]
    found = failure_answer(trials, rng=rng())
    assert (found.n_complete, found.n_diverged, found.n_pruned, found.n_failed) == (8, 9, 1, 2)
    cells = {(cell.backbone, cell.optimizer, cell.role): cell for cell in found.cells}
    failing = cells["a", "adam", "design"]
    assert (failing.divergence_rate, failing.failure_rate) == (0.0, 0.5)
    expected = exact_rates(np.array([2]), np.array([4]))
    assert failing.failure_ci == (expected.low[0], expected.high[0])
    assert cells["b", "adam", "tune"].divergence_rate == 1.0
    assert found.summary is not None
    assert found.summary.role == "design"
    a, b = found.summary.backbones
    assert (a.n, a.n_diverged, b.n, b.n_diverged) == (6, 1, 7, 4)
    assert a.log_odds is not None
    assert b.log_odds == pytest.approx(-a.log_odds)
    assert a.log_odds < 0
    assert 0 < (found.summary.p_optimizers or 0) <= 1
    json.dumps(as_json(found), allow_nan=False)


def test_failures_without_outcomes_have_no_rates() -> None:
    found = failure_answer([*outcomes("a", "sgd", "FF"), *outcomes("a", "adam", "C", role="tune")], rng=rng())
    assert found.summary is None
    assert found.cells[0].divergence_rate is None or found.cells[1].divergence_rate is None
    assert failure_answer([], rng=rng()).cells == ()
    calm = failure_answer([*outcomes("a", "sgd", "CC"), *outcomes("b", "adam", "C")], rng=rng())
    assert calm.summary is not None
    assert calm.summary.backbones[0].log_odds is None
    json.dumps(as_json([found, calm]), allow_nan=False)


def test_replicates_give_intervals_and_claims() -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, (8, 4, 3))
    truth = np.zeros((8, 4))
    truth[:4, 0] = truth[4:, 1] = 3.0
    table = table_of(70 + truth[:, :, None] + noise, [f"n{i}" for i in range(8)], ["sgd", "adam", "lion", "adan"])
    found = regret_answer(table, rng=rng())
    assert found is not None
    assert all(best.separated and best.probability_best == 1.0 for best in found.best_of_backbone)
    assert [best.optimizer for best in found.best_of_backbone] == ["sgd"] * 4 + ["adam"] * 4
    assert found.gain.cross_fitted == pytest.approx(1.5, abs=0.1)
    assert found.gain.ci is not None
    assert found.gain.ci[0] < 1.5 < found.gain.ci[1]
    assert len(found.claims) >= 8 * 3
    assert found.top_overlap is not None
    scores = table.scores.copy()
    scores[0, 0] = np.nan
    partly = regret_answer(replace(table, scores=scores), rng=rng())
    assert partly is not None
    assert partly.best_of_backbone[0].optimizer != "sgd"
