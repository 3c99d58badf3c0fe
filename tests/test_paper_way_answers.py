"""A sweep by the paper's statistics: its own table, and small sweeps worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from orchestrator.analysis.answers.as_json import as_json
from orchestrator.analysis.answers.paper_way import paper_way
from orchestrator.analysis.answers.paper_way_records import PaperWay
from orchestrator.analysis.statistics.robustness.hp_distance import Ties, hp_distances, own_list_steps
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.score_tables import score_tables
from orchestrator.store.schema import TrialRow
from search_spaces.optimizers import full_optimizer_name
from search_spaces.paper_names import PAPER20
from search_spaces.paper_settings import paper_setting
from tests import paper_csv
from tests.paper_table import paper_table
from tests.sweep_rows import trial


def answer(trials: list[TrialRow]) -> PaperWay:
    found = paper_way(trials, score_tables(trials, rng=np.random.default_rng(0)))
    assert found is not None
    return found


def imported(**values: object) -> TrialRow:
    return trial(role="imported", hp_lr=None, hp_weight_decay=None, train_seconds=None, device=None, **values)


def papers_own_sweep() -> list[TrialRow]:
    """Table 1, and the paper's tuned settings, inferred where it has none, as confirmed trials of one seed."""
    table = paper_table()
    return [
        trial(
            trial_id=f"{backbone}.{optimizer}", backbone=backbone, optimizer=optimizer, score=top1 / 100,
            hp_lr=setting.lr, hp_weight_decay=setting.weight_decay, train_seconds=60.0 + column,
        )
        for backbone, scores in zip(table.backbones, table.top1.tolist(), strict=True)
        for column, (optimizer, top1) in enumerate(zip(table.optimizers, scores, strict=True))
        if (setting := paper_setting(backbone, optimizer))
    ]  # fmt: skip


def test_the_papers_table_gives_its_own_numbers() -> None:
    table = paper_table()
    found = answer(
        [
            imported(trial_id=f"{b}.{o}", backbone=b, optimizer=o, score=table.top1[i, j] / 100)
            for i, b in enumerate(table.backbones)
            for j, o in enumerate(table.optimizers)
        ]
    )
    assert found.response == "imported"
    assert found.gamma_source.startswith("3 points")
    printed = {row["backbone"]: row for row in paper_csv.read(paper_csv.FOLDER / "table1_cifar100_summary.csv")}
    summary = {entry.backbone: entry.summary for entry in found.summary}
    vgg = summary["vgg13_bn"]
    assert vgg is not None
    # The mean and the deviation as printed, to the last printed digit.
    assert round(vgg.mean, 2) == float(printed["VGG-13"]["mean"])
    assert round(vgg.std, 1) == float(printed["VGG-13"]["std"])
    assert [failures.count for failures in found.failures] == [258, 136, 42, 54, 54]
    assert {failures.cells for failures in found.failures} == {400}
    assert all(failures.count == len(failures.flagged) for failures in found.failures)
    worst = next(cell for cell in found.failures[2].flagged if cell.score == pytest.approx(33.26))
    assert (worst.backbone, worst.optimizer) == ("moganet_small", "lars")
    # Accuracies have no settings and no times: the ranking says so and makes nothing up.
    assert all(entry.overall_rank is None and entry.performance_rank is not None for entry in found.ranking)
    assert len(found.ranking_missing) == 2
    json.dumps(as_json(found), allow_nan=False)


def test_the_ranking_agrees_with_table_4_as_far_as_its_sentences_say() -> None:
    found = {entry.optimizer: entry for entry in answer(papers_own_sweep()).ranking}
    rows = paper_csv.read(paper_csv.FOLDER / "table4_optimizer_ranking.csv")
    entries = [found[full_optimizer_name(row["optimizer"])] for row in rows]
    performance = spearmanr([e.performance_rank for e in entries], [int(r["performance_rank"]) for r in rows])
    assert round(performance.statistic, 2) == 0.97
    assert sum(e.bocb == int(r["bocb"]) for e, r in zip(entries, rows, strict=True)) == 18
    assert all(entry.overall_rank is not None for entry in entries)
    overall = spearmanr([e.overall_rank for e in entries], [int(r["overall_rank"]) for r in rows])
    assert overall.statistic > 0.9
    assert set(PAPER20) == set(paper_table().backbones)


def test_the_distances_of_the_papers_settings_agree_with_its_ranks_as_far_as_said() -> None:
    rows = paper_csv.read(paper_csv.SETTINGS)
    lr, decay = (paper_csv.grid(rows, name).astype(np.float64) for name in ("lr", "weight_decay"))
    distances = hp_distances(own_list_steps(lr), own_list_steps(decay), Ties.LOWEST).optimizers
    printed = paper_csv.read(paper_csv.FOLDER / "table4_optimizer_ranking.csv")
    assert [row["optimizer"] for row in printed] == list(dict.fromkeys(row["optimizer"] for row in rows))
    means = [distance.mean_ordinal for distance in distances if distance]
    found = spearmanr(means, [int(row["hyperparameter_rank"]) for row in printed])
    assert round(found.statistic, 2) == 0.87


def test_shaded_cells_give_the_papers_column_of_bias_but_for_one() -> None:
    rows = paper_csv.read(paper_csv.FOLDER / "table1_cifar100_top1.csv")
    shaded = np.isin(paper_csv.grid(rows, "highlight"), ("failed", "worst")).any(axis=0)
    column = [row["bocb"] == "1" for row in paper_csv.read(paper_csv.FOLDER / "table4_optimizer_ranking.csv")]
    names = list(dict.fromkeys(row["optimizer"] for row in rows))
    assert [name for name, one, two in zip(names, shaded, column, strict=True) if one != two] == ["AdaBelief"]


def small(**values: object) -> list[TrialRow]:
    scores = {"sgd": (0.70, 0.60), "adam": (0.69, 0.75), "lion": (0.60, 0.74)}
    return [
        trial(
            trial_id=f"{backbone}.{optimizer}", backbone=backbone, optimizer=optimizer, score=pair[row],
            train_seconds=seconds * (1 + row), **values,
        )
        for row, backbone in enumerate(("resnet18", "vit"))
        for seconds, (optimizer, pair) in zip((10.0, 20.0, 15.0), scores.items(), strict=True)
    ]  # fmt: skip


def test_a_small_sweep_by_hand() -> None:
    found = answer(small())
    assert [entry.summary for entry in found.summary] == [None, None]
    assert "at least 3 must be left" in (found.summary[0].why_none or "")
    median = found.failures[2]
    assert [(cell.backbone, cell.optimizer) for cell in median.flagged] == [("resnet18", "lion"), ("vit", "sgd")]
    assert [cell.threshold for cell in median.flagged] == pytest.approx([66.0, 71.0])
    ranks = {entry.optimizer: entry for entry in found.ranking}
    assert [ranks[name].performance_rank for name in ("sgd", "adam", "lion")] == [3, 1, 2]
    assert [ranks[name].bocb for name in ("sgd", "adam", "lion")] == [1, 0, 1]
    assert [ranks[name].computation_rank for name in ("sgd", "adam", "lion")] == [1, 3, 2]
    # 0.4 * 1 + 0.2 * 1 + 0 + 0.2 * 3.
    assert ranks["adam"].score == pytest.approx(1.2)
    assert [ranks[name].overall_rank for name in ("sgd", "adam", "lion")] == [3, 1, 2]


def test_an_optimizer_without_a_result_on_a_backbone_is_not_ranked() -> None:
    trials = small()
    trials[-1] = trial(trial_id="failed", backbone="vit", optimizer="lion", state="FAIL", score=None)
    found = {entry.optimizer: entry for entry in answer(trials).ranking}
    assert found["lion"].overall_rank is None
    assert {found["sgd"].overall_rank, found["adam"].overall_rank} == {1, 2}


def test_an_optimizer_that_has_not_begun_is_not_ranked() -> None:
    trials = small()
    names = ("sgd", "adam", "lion", "lars")
    grid = [CellKey(backbone=b, recipe="plain", optimizer=o) for b in ("resnet18", "vit") for o in names]
    found = paper_way(trials, score_tables(trials, grid=grid, rng=np.random.default_rng(0)))
    assert found is not None
    ranks = {entry.optimizer: entry.overall_rank for entry in found.ranking}
    assert ranks == {"sgd": 3, "adam": 1, "lion": 2, "lars": None}


def test_times_of_different_devices_are_not_ranked() -> None:
    trials = small()
    trials[0] = trial(
        trial_id="resnet18.sgd", backbone="resnet18", optimizer="sgd", score=0.7, train_seconds=1.0, device="H100"
    )
    found = answer(trials)
    assert all(entry.computation_rank is None and entry.overall_rank is None for entry in found.ranking)
    assert found.ranking_missing[0].startswith("computation")


def test_imagenet_has_its_own_gamma_and_nothing_is_nothing() -> None:
    assert answer(small(dataset="imagenet")).failures[0].gamma == 1.0
    assert paper_way([], score_tables([], rng=np.random.default_rng(0))) is None
