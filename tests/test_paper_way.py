"""The paper's statistics against the numbers that it prints."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.statistics.paper_way import (
    Eq1Variant,
    TrimRule,
    eq1_failures,
    overall_ranking,
    trimmed_summary,
    trims,
)
from tests import paper_csv
from tests.paper_table import paper_table


def test_the_printed_means_are_those_of_17_of_20_results() -> None:
    summaries = [trimmed_summary(row) for row in paper_table().top1]
    printed = paper_csv.read(paper_csv.FOLDER / "table1_cifar100_summary.csv")
    # Half of the last printed digit, and the binary rounding of numbers such as 78.605.
    wrong = [
        p["backbone"] for p, s in zip(printed, summaries, strict=True) if abs(float(p["mean"]) - s.mean) > 0.00501
    ]
    assert wrong == ["CNX-T"]
    wrong = [p["backbone"] for p, s in zip(printed, summaries, strict=True) if abs(float(p["std"]) - s.std) > 0.0501]
    assert wrong == ["AlexNet", "CNX-T"]
    wrong = [
        p["backbone"] for p, s in zip(printed, summaries, strict=True) if abs(float(p["range"]) - s.range) > 0.501
    ]
    assert wrong == ["MLP-S", "CNX-T"]


def test_the_trimmed_summary_by_hand() -> None:
    summary = trimmed_summary(np.array([np.nan, 10.0, 1.0, 4.0, 6.0, 5.0, 9.0]), TrimRule.COUNT)
    assert (summary.n, summary.dropped_worst, summary.dropped_best) == (6, 1, 2)
    assert summary.mean == pytest.approx(5.0)
    assert summary.std == pytest.approx((2 / 3) ** 0.5)
    assert summary.range == 6.0


@pytest.mark.parametrize(
    ("n", "share", "count"),
    [(20, (1, 2), (1, 2)), (5, (1, 1), None), (6, (1, 1), (1, 2)), (15, (1, 2), (1, 2)), (40, (2, 4), (1, 2))],
)
def test_what_is_dropped_of_other_numbers_of_results(
    n: int, share: tuple[int, int], count: tuple[int, int] | None
) -> None:
    assert trims(n, TrimRule.SHARE) == share
    if count is not None:
        assert trims(n, TrimRule.COUNT) == count
    else:
        with pytest.raises(ValueError, match=r"drops 1 at the bottom and 2 at the top of 5 results"):
            trims(n, TrimRule.COUNT)


@pytest.mark.parametrize("results", [np.array([]), np.array([1.0, 2.0, 3.0, np.nan, 4.0]), np.zeros((3, 20))])
def test_too_few_results_are_refused(results: np.ndarray) -> None:
    with pytest.raises(ValueError):
        trimmed_summary(results)


def test_the_readings_of_equation_1_flag_as_many_cells_of_table_1_as_counted() -> None:
    rows = paper_csv.read(paper_csv.FOLDER / "table1_cifar100_top1.csv")
    shaded = np.isin(paper_csv.grid(rows, "highlight"), ("failed", "worst"))
    assert shaded.sum() == 50
    found = {variant: eq1_failures(paper_table().top1, 3.0, variant) for variant in Eq1Variant}
    assert {variant.value: failures.count for variant, failures in found.items()} == {
        "literal": 258,
        "max": 136,
        "median": 42,
        "median_min": 54,
        "q75_max": 54,
    }
    assert shaded[~found[Eq1Variant.LITERAL].flagged].sum() == 0
    assert not (found[Eq1Variant.MEDIAN].flagged & ~shaded).any()
    assert (found[Eq1Variant.MEDIAN].flagged != shaded).sum() == 8


def test_thresholds_by_hand_and_without_results() -> None:
    # Q25, median, Q75 of 0, 2, 4, 6, 8 are 2, 4, 6.
    results = np.array([[0.0, 2.0, 4.0, 6.0, 8.0], [np.nan, 5.0, np.nan, np.nan, np.nan], [np.nan] * 5])
    expected = {"literal": 5.0, "max": 4.0, "median": 1.0, "median_min": 1.0, "q75_max": 2.0}
    for variant in Eq1Variant:
        failures = eq1_failures(results, 3.0, variant)
        assert failures.thresholds[0] == expected[variant]
        assert failures.thresholds[2] is None
        assert failures.flagged[0].tolist() == (results[0] < expected[variant]).tolist()
        assert not failures.flagged[1:].any()


@pytest.mark.parametrize(
    ("results", "gamma"), [(np.zeros(3), 3.0), (np.zeros((2, 2)), 0.0), (np.zeros((2, 2)), np.nan)]
)
def test_no_failures_of_a_vector_or_without_gamma(results: np.ndarray, gamma: float) -> None:
    with pytest.raises(ValueError):
        eq1_failures(results, gamma, Eq1Variant.LITERAL)


def test_table_4_is_reproduced_exactly() -> None:
    rows = paper_csv.read(paper_csv.FOLDER / "table4_optimizer_ranking.csv")
    names = ("performance_rank", "hyperparameter_rank", "bocb", "computation_rank")
    ranking = overall_ranking(*(np.array([float(row[name]) for row in rows]) for name in names))
    assert list(ranking.rank) == [int(row["overall_rank"]) for row in rows]
    scores = dict(zip((row["optimizer"] for row in rows), ranking.score, strict=True))
    assert scores["Adan"] == scores["AdamP"] == 3.4
    assert scores["AdaBelief"] == scores["AdaFactor"] == 4.0
    assert scores["Adam"] == scores["NAdam"] == 5.0
    assert len(set(ranking.score)) == 17


def test_a_full_tie_shares_the_rank() -> None:
    ones = np.ones(3)
    assert overall_ranking(np.array([1.5, 1.5, 3.0]), ones, ones, ones).rank == (1, 1, 3)
    with pytest.raises(ValueError, match="all four columns"):
        overall_ranking(np.array([1.0, np.nan, 3.0]), ones, ones, ones)
    with pytest.raises(ValueError, match="one length"):
        overall_ranking(np.ones(2), ones, ones, ones)
