from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import ArrayLike

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.coupling import coupling_section
from orchestrator.analysis.answers.coupling_records import Coupling, CouplingSection, ScaleCoupling
from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.scales import logit_scale, rank_scale, winsorised
from orchestrator.analysis.trials.cells import RowKey
from orchestrator.analysis.trials.score_table import ScoreTable, ScoreTables
from tests.score_examples import paper_table, planted


def score_table(
    response: str, scores: ArrayLike, rows: tuple[str, ...] = (), columns: tuple[str, ...] = ()
) -> ScoreTable:
    array = np.asarray(scores, dtype=np.float64)
    array = array[:, :, np.newaxis] if array.ndim == 2 else array
    none = np.zeros(array.shape[:2], dtype=np.int64)
    names = rows or tuple(f"b{i}" for i in range(array.shape[0]))
    return ScoreTable(
        response=response,
        rows=tuple(RowKey(backbone=name, recipe="plain", label=name) for name in names),
        optimizers=columns or tuple(f"o{j}" for j in range(array.shape[1])),
        scores=array,
        diverged=none,
        failed=none,
    )


def section(*tables: ScoreTable, seed: int = 0) -> CouplingSection:
    return coupling_section(ScoreTables(tables=tables, excluded=()), seed=seed)


def strict_json(value: CouplingSection) -> str:
    return json.dumps(as_json(value), allow_nan=False)


def test_the_papers_table() -> None:
    table, rows, columns = paper_table()
    found = section(score_table("imported", table, rows, columns))
    assert (found.response, found.scale, found.n_replicates, found.noise_separated) == (
        "imported",
        "points",
        1,
        False,
    )
    assert found.variance is not None
    shares = [100 * part / found.variance.total for part in (found.variance.backbone, found.variance.optimizer)]
    assert [*shares, 100 * (found.share or 0)] == pytest.approx([38.6, 21.6, 39.7], abs=0.06)
    assert found.index == pytest.approx(0.648, abs=5e-4)
    assert found.ammi is not None
    assert found.ammi[:4] == pytest.approx([0.60, 0.24, 0.11, 0.03], abs=0.005)
    assert found.ecovalence is not None
    assert found.ecovalence.optimizer["AdaGrad"] == pytest.approx(0.418 * 10357, rel=2e-3)
    assert (found.variance.error, found.f, found.p_f, found.p_wild, found.theta_ci) == (None,) * 5
    assert (found.sigma2_interaction, found.sigma2_cross_seed, found.omega2, found.ammi_above_noise) == (None,) * 4
    assert found.note is not None
    assert "noise" in found.note
    assert found.scales is not None
    assert found.scales.logit is not None
    # METHODS gives these of the other scales.
    assert found.scales.winsorised.share == pytest.approx(0.087, abs=5e-4)
    assert found.scales.winsorised.index == pytest.approx(0.662, abs=5e-4)
    assert found.scales.rank.index == pytest.approx(0.563, abs=5e-4)
    assert found.scales.rank.tukey is None  # all backbones have the same mean rank
    assert found.scales.cells_winsorised == 28
    strict_json(found)


def test_replicates_give_every_number_and_all_are_plain_json() -> None:
    scores = planted(np.random.default_rng(0), (5, 4, 3))
    found = section(score_table("confirmed", scores))
    undefined = {column.name for column in fields(Coupling) if getattr(found, column.name) is None}
    assert undefined == {"note"}
    anova = two_way_anova(scores)
    assert anova is not None
    assert found.variance is not None
    assert found.df is not None
    assert found.variance.interaction == anova.ss_interaction
    assert (found.df.interaction, found.df.error, found.df.total) == (12, 40, 59)
    assert found.sigma2_interaction == pytest.approx(((anova.ms_interaction or 0) - (anova.ms_error or 0)) / 3)
    written = json.loads(strict_json(found))
    assert written["theta_ci"][0] < written["theta"] < written["theta_ci"][1]
    assert written["ammi"] == sorted(written["ammi"], reverse=True)
    assert set(written["ecovalence"]["backbone"]) == {"b0", "b1", "b2", "b3", "b4"}
    assert 3 * sum(written["ecovalence"]["optimizer"].values()) == pytest.approx(anova.ss_interaction)
    assert sum(written["muir"].values()) == pytest.approx(1)
    assert set(written["tukey"]) == {"f", "p"}
    assert written["by_response"]["confirmed"]["share"] == written["share"]
    assert set(written) - {"by_response"} == set(written["by_response"]["confirmed"])


@pytest.mark.parametrize(
    ("name", "transform"), [("logit", logit_scale), ("rank", rank_scale), ("winsorised", winsorised)]
)
def test_other_scales_are_analysed_alike(name: str, transform: object) -> None:
    scores = planted(np.random.default_rng(1), (5, 4, 3))
    found = section(score_table("confirmed", scores))
    assert callable(transform)
    anova = two_way_anova(transform(scores))
    assert anova is not None
    on_scale = getattr(found.scales, name)
    assert isinstance(on_scale, ScaleCoupling)
    assert (on_scale.scale, on_scale.f, on_scale.share) == (name, anova.f, anova.eta2)
    assert on_scale.p_wild is not None


def test_the_headline_is_the_most_trustworthy_response_that_is_a_table() -> None:
    rng = np.random.default_rng(2)
    default, tuned = (score_table(name, planted(rng, (3, 4, 2))) for name in ("default", "tuned@4"))
    confirmed = np.full((3, 4, 2), np.nan)
    confirmed[0] = 70.0
    found = section(default, tuned, score_table("confirmed", confirmed))
    assert found.response == "default"
    assert set(found.by_response) == {"default", "tuned@4", "confirmed"}
    assert found.by_response["confirmed"].share is None
    assert found.by_response["tuned@4"].p_wild is not None
    assert section(score_table("confirmed", planted(rng, (3, 4, 2))), default).response == "confirmed"


def test_the_same_seed_gives_the_same_answers_whatever_else_there_is() -> None:
    rng = np.random.default_rng(3)
    scores, other = planted(rng, (4, 4, 3), interaction=0.3), score_table("default", planted(rng, (4, 4, 3)))
    table = score_table("confirmed", scores)
    first, again, beside = section(table), section(table), section(other, table)
    assert strict_json(first) == strict_json(again)
    assert first.p_wild == beside.p_wild
    assert section(table, seed=1).p_wild != first.p_wild


def test_what_has_no_result_is_named_and_left_out() -> None:
    scores = planted(np.random.default_rng(4), (4, 5, 3))
    scores[1] = np.nan
    scores[:, 2] = np.nan
    scores[0, 0] = np.nan
    found = section(score_table("confirmed", scores))
    assert found.df is not None
    assert (found.n_cells_missing, found.n_replicates, found.df.interaction) == (1, 3, 3 * 4 - 1 - 6)
    assert found.ecovalence is not None
    assert found.ammi_scores is not None
    assert found.ecovalence.backbone["b1"] is None
    assert found.ammi_scores.optimizer["o2"] is None
    assert found.ammi_scores.optimizer["o3"] is not None
    assert found.influence is not None
    assert {left.names[0] for left in found.influence.backbone} == {"b0", "b2", "b3"}
    strict_json(found)


def test_unequal_replicates_are_said() -> None:
    scores = planted(np.random.default_rng(5), (3, 3, 2))
    scores[0, 0, 1] = np.nan
    found = section(score_table("confirmed", scores))
    assert found.n_replicates == pytest.approx(9 / (8 / 2 + 1))
    assert found.note == "p_wild leaves out cells with a single result (1 of 9)"


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (np.full((2, 2), np.nan), "no results yet"),
        ([[1.0, 2.0, 3.0]], "fewer than two"),
        ([[1.0, np.nan], [np.nan, 2.0]], "parts"),
        ([[1.0, 2.0], [3.0, np.nan]], "no interaction can be seen"),
        (np.repeat([[[1.0], [2.0]], [[3.0], [5.0]]], 2, axis=2), "no noise to test against"),
    ],
)
def test_what_is_undefined_is_none_and_says_why(scores: ArrayLike, reason: str) -> None:
    found = section(score_table("default", scores))
    response = found.by_response["default"]
    assert response.note is not None
    assert reason in response.note
    assert (response.f, response.p_f, response.p_wild, response.theta_ci) == (None,) * 4
    strict_json(found)


def test_no_tables_and_scores_that_are_no_accuracies() -> None:
    found = section()
    assert (found.response, found.share, found.by_response) == (None, None, {})
    assert found.note is not None
    found = section(score_table("imported", [[120.0, 2.0, 3.0], [3.0, 5.0, 9.0], [2.0, 2.0, 7.0]]))
    assert found.scales is not None
    assert found.scales.logit is None
    assert found.share is not None


def test_constant_scores_have_no_shares() -> None:
    found = section(score_table("default", np.full((3, 4, 2), 70.1)))
    assert (found.share, found.index, found.omega2, found.ammi, found.muir, found.tukey) == (None,) * 6
    assert found.variance is not None
    assert found.variance.total == 0
    strict_json(found)
