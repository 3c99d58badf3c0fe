"""Two sweeps side by side: which cells belong together, what differs, and what `bocb compare` says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.comparison import compare_sweeps
from orchestrator.analysis.answers.comparison_records import Comparison
from orchestrator.analysis.trials.spec_facts import SpecFacts
from orchestrator.analysis.trials.sweep_data import SweepData
from orchestrator.errors import UsageError
from orchestrator.store.schema import TrialRow
from tests.command_line import Call
from tests.sweep_rows import trial

Scores = dict[tuple[str, str], list[float | None]]


def rows(scores: Scores, **values: Any) -> list[TrialRow]:
    """Confirm trials with these scores, as fractions; None is one that failed."""
    return [
        trial(
            backbone=backbone,
            optimizer=optimizer,
            replicate=place,
            score=score,
            state="COMPLETE" if score is not None else "FAIL",
            **values,
        )
        for (backbone, optimizer), found in scores.items()
        for place, score in enumerate(found)
    ]


def sweep(name: str, trials: list[TrialRow]) -> SweepData:
    return SweepData(sweep=name, planned=None, facts=SpecFacts(), trials=tuple(trials), superseded=0)


def compare(first: Scores, second: Scores, **values: Any) -> Comparison:
    return compare_sweeps(sweep("one", rows(first)), sweep("two", rows(second, **values)))


def planted(backbone: str, optimizer: str, replicate: int) -> int:
    """A number that looks drawn and is always the same."""
    return (7 * ord(backbone) * ord(optimizer) + 5 * replicate**2 + ord(optimizer) * replicate) % 11


FIRST: Scores = {
    ("a", "sgd"): [0.50, 0.52, 0.51],
    ("a", "adam"): [0.60, 0.61, 0.59],
    ("a", "lion"): [0.40, 0.44],
    ("b", "sgd"): [0.70, 0.71],
    ("b", "adam"): [0.75, 0.76],
    ("b", "lion"): [0.60],
    ("c", "sgd"): [0.30],
}
SECOND: Scores = {
    ("a", "sgd"): [0.55, 0.58],
    ("a", "adam"): [0.50, 0.53, 0.52],
    ("a", "lion"): [0.45, 0.49],
    ("b", "sgd"): [0.72, 0.70],
    ("b", "adam"): [None, None],
    ("b", "lion"): [0.61, 0.63],
    ("b", "adan"): [0.80],
    ("d", "sgd"): [0.30],
}


def test_cells_that_both_have_are_compared_with_welchs_interval() -> None:
    found = compare(FIRST, SECOND)
    assert {(cell.backbone, cell.optimizer) for cell in found.cells} == {
        ("a", "sgd"), ("a", "adam"), ("a", "lion"), ("b", "sgd"), ("b", "lion")
    }  # fmt: skip
    for cell in found.cells:
        x = 100 * np.array(FIRST[cell.backbone, cell.optimizer], dtype=float)
        y = 100 * np.array(SECOND[cell.backbone, cell.optimizer], dtype=float)
        assert (cell.n_a, cell.n_b) == (len(x), len(y))
        assert cell.difference == pytest.approx(y.mean() - x.mean(), abs=1e-10)
        if len(x) > 1:
            wanted = stats.ttest_ind(y, x, equal_var=False).confidence_interval()
            assert (cell.low, cell.high) == pytest.approx((wanted.low, wanted.high), abs=1e-9)
        else:
            assert cell.low is cell.high is None
    assert [(cell.backbone, cell.optimizer) for cell in found.only_a] == [("b", "adam"), ("c", "sgd")]
    assert [(cell.backbone, cell.optimizer) for cell in found.only_b] == [("b", "adan"), ("d", "sgd")]
    assert (found.a.cells, found.b.cells) == (7, 7)


def test_the_best_optimizer_and_what_the_other_choice_costs() -> None:
    found = compare(FIRST, SECOND)
    first, second = found.backbones
    assert (first.backbone, first.best_a, first.best_b, first.same_best) == ("a", ("adam",), ("sgd",), False)
    assert (first.lost_a, first.lost_b) == pytest.approx((9, 56.5 - (50 + 53 + 52) / 3))
    assert (second.best_a, second.same_best, second.lost_a, second.lost_b) == (("sgd",), True, 0, 0)
    assert (found.summary.same_best, found.summary.compared_best) == (1, 2)


def test_means_over_cells_backbones_and_optimizers() -> None:
    found = compare(FIRST, SECOND)
    differences = {(cell.backbone, cell.optimizer): cell.difference for cell in found.cells}
    assert found.summary.over_cells.mean == pytest.approx(np.mean(list(differences.values())))
    assert found.summary.over_cells.sd == pytest.approx(np.std(list(differences.values()), ddof=1))
    by_backbone = [np.mean([d for (b, _), d in differences.items() if b == name]) for name in "ab"]
    assert [row.difference.mean for row in found.backbones] == pytest.approx(by_backbone)
    assert found.summary.over_backbones.mean == pytest.approx(np.mean(by_backbone))
    by_optimizer = {row.optimizer: row.difference for row in found.optimizers}
    assert set(by_optimizer) == {"sgd", "adam", "lion"}
    assert by_optimizer["sgd"].mean == pytest.approx((differences["a", "sgd"] + differences["b", "sgd"]) / 2)
    assert (by_optimizer["adam"].n, by_optimizer["adam"].sd) == (1, None)
    pairs = np.array([(cell.mean_a, cell.mean_b) for cell in found.cells]).T
    assert found.summary.correlation == pytest.approx(stats.pearsonr(*pairs).statistic)
    assert found.summary.ranked_backbones == 1
    assert found.backbones[0].kendall == pytest.approx(stats.kendalltau([51, 60, 42], [56.5, 51.7, 47]).statistic)


def test_a_sweep_compared_with_itself_differs_in_nothing() -> None:
    found = compare(FIRST, FIRST)
    assert not found.warnings
    assert not found.only_a
    assert not found.only_b
    assert {cell.difference for cell in found.cells} == {0.0}
    assert found.summary.over_cells.low is None, "no spread is no certainty"
    assert found.summary.correlation == pytest.approx(1)
    assert found.summary.same_best == found.summary.compared_best == 2


def test_the_coupling_of_each_is_that_of_the_common_cells() -> None:
    every: Scores = {
        (b, o): [0.5 + 0.01 * planted(b, o, k) for k in range(3)] for b in "abc" for o in ("x", "y", "z")
    }
    part: Scores = {key: scores[:1] for key, scores in every.items() if key[0] != "c"}
    found = compare(every, part).coupling
    table = 100 * np.array([[every[b, o] for o in ("x", "y", "z")] for b in "ab"])
    means = table.mean(axis=2)
    residuals = means - means.mean(axis=0) - means.mean(axis=1)[:, None] + means.mean()
    assert found.a.share == pytest.approx(3 * (residuals**2).sum() / ((table - table.mean()) ** 2).sum())
    assert (found.a.noise_separated, found.b.noise_separated) == (True, False)
    assert found.a.p_wild is not None
    assert found.b.p_wild is None
    single = table[:, :, 0]
    residuals = single - single.mean(axis=0) - single.mean(axis=1)[:, None] + single.mean()
    assert found.b.share == pytest.approx((residuals**2).sum() / ((single - single.mean()) ** 2).sum())


def test_the_other_way_round_the_signs_change() -> None:
    forth, back = compare(FIRST, SECOND), compare(SECOND, FIRST)
    assert back.summary.over_cells.mean == pytest.approx(-forth.summary.over_cells.mean)
    assert back.summary.correlation == pytest.approx(forth.summary.correlation)
    assert back.only_a == forth.only_b


def test_rows_are_matched_by_recipe_and_without_choice_whatever_it_is() -> None:
    scores: Scores = {("a", "sgd"): [0.5], ("a", "adam"): [0.6]}
    other = compare(scores, scores, recipe="deit")
    assert [(cell.recipe_a, cell.recipe_b) for cell in other.cells] == [("plain", "deit")] * 2
    assert other.warnings == ("The recipes differ: plain in one, deit in two.",)
    several = sweep("two", rows(scores, recipe="deit") + rows(scores, recipe="plain"))
    found = compare_sweeps(sweep("one", rows(scores)), several)
    assert [(cell.recipe_a, cell.recipe_b) for cell in found.cells] == [("plain", "plain")] * 2
    assert [(cell.recipe, cell.optimizer) for cell in found.only_b] == [("deit", "adam"), ("deit", "sgd")]
    # Which of two recipes a third one stands for, nobody knows.
    with pytest.raises(UsageError, match="have no cell in common: three has a with adam, sgd; two has a with"):
        compare_sweeps(sweep("three", rows(scores, recipe="x")), several)


def test_what_else_differs_is_said() -> None:
    scores: Scores = {("a", "sgd"): [0.5], ("a", "adam"): [0.6]}
    found = compare(
        scores, scores, role="default", dataset="cifar10", epochs_planned=0, score_rule="as imported", recipe="plain"
    )
    assert found.warnings == (
        "The data sets differ: cifar100 in one, cifar10 in two.",
        "The epochs differ: 5 in one, not recorded in two.",
        "The rules of the score differ: final val in one, as imported in two.",
        "In two nothing was tuned: its numbers are those of default settings.",
    )
    assert (found.a.response, found.b.response) == ("confirmed", "default")


def test_sweeps_without_a_result_or_a_common_cell_are_refused() -> None:
    scores: Scores = {("a", "sgd"): [0.5]}
    with pytest.raises(UsageError, match="sweep two has no result to compare"):
        compare(scores, scores, role="design")
    with pytest.raises(UsageError, match="have no cell in common: one has a with sgd; two has b with sgd"):
        compare(scores, {("b", "sgd"): [0.5]})
    single = compare(scores, scores)
    assert (single.summary.correlation, single.summary.over_backbones.n) == (None, 1)
    assert single.summary.compared_best == 0, "one optimizer is no choice"
    assert json.dumps(as_json(single), allow_nan=False)


@pytest.fixture
def two_sweeps(call: Call, tmp_path: Path) -> None:
    for name, scores in (("one", FIRST), ("two", SECOND)):
        lines = [f"{b},{o},{'' if s is None else s}" for (b, o), found in scores.items() for s in found]
        (tmp_path / f"{name}.csv").write_text("\n".join(["backbone,optimizer,top1", *lines]))
        assert call("import", f"{name}.csv", "--sweep", name).code == 0


@pytest.mark.usefixtures("two_sweeps")
def test_the_command(call: Call) -> None:
    found = json.loads(call("compare", "one", "two", "--json").out)
    assert [found[side]["sweep"] for side in "ab"] == ["one", "two"]
    assert (len(found["cells"]), len(found["only_a"]), found["warnings"]) == (5, 2, [])
    assert found["summary"]["over_cells"]["n"] == 5
    answer = call("compare", "one", "two")
    assert (answer.code, answer.err) == (0, "")
    said = " ".join(answer.out.split())  # wherever lines end
    assert "two minus one, in percentage points:" in said
    assert "same best optimizer: 1 of 2 backbones" in said
    assert "coupling in one, on the common cells: interaction's share of the sums of squares 0." in said
    assert "only in two: 2 cells (b with adan, d with sgd)" in said
    for arguments, sentence in (
        (["one", "one"], "one is one sweep; name two to compare"),
        (["one", "tow"], "unknown sweep 'tow'; did you mean two"),
        (["one"], "Missing argument 'B'"),
    ):
        refused = call("compare", *arguments)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert sentence in refused.err
