"""The paper's tuned settings, what is inferred from them, and its grid: as data, in a plan, and in a sweep."""

from __future__ import annotations

import csv
import html
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.analysis.page.report import render
from orchestrator.analysis.trials.load import load_page_data
from orchestrator.errors import SpecError
from orchestrator.planning.grid import make_plan
from orchestrator.planning.plan import Plan, PlannedTrial, Role, default_trials, grid_trial
from orchestrator.planning.spec import parse_spec
from orchestrator.running.cell_work import CellWork
from orchestrator.store.query import read
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import TrialRow
from orchestrator.store.store import open_store
from orchestrator.upkeep.verification import verify_sweep
from search_spaces import paper_settings
from search_spaces.errors import UserError
from search_spaces.optimizers import list_optimizers
from search_spaces.paper_names import PAPER20, SHORT_NAMES
from search_spaces.paper_recipes import PAPER_FAMILY
from search_spaces.paper_settings import GRID_SIZE, WEIGHT_DECAYS, paper_grid, paper_setting
from search_spaces.published_optimizers import PAPER20 as OPTIMIZERS
from tests.planned_sweeps import ended, small_plan
from tests.sweeps_in_process import run_here

PAPER = Path(__file__).parents[2] / "shared" / "paper"
COPIED = Path(paper_settings.__file__).with_suffix(".csv")
INFERRED = {"densenet121", "repvgg_a1", "convnextv2_tiny", "unireplknet_tiny", "transnext_tiny", "caformer_s12"}

with_paper = pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's tables are not beside this checkout")


@with_paper
def test_the_settings_are_the_papers() -> None:
    assert COPIED.read_bytes() == (PAPER / "hyperparameters_cifar100.csv").read_bytes()


@with_paper
def test_the_recipes_that_settings_are_inferred_within_are_those_of_table_a1() -> None:
    with (PAPER / "tableA1_backbones.csv").open(encoding="utf-8") as file:
        table = {SHORT_NAMES[row["backbone"]]: row["training_setting"] for row in csv.DictReader(file)}
    assert {name: PAPER_FAMILY[name] for name in PAPER20} == {
        name: family.lower().replace(" ", "-") for name, family in table.items()
    }


def test_every_printed_setting_is_found_under_our_names() -> None:
    with COPIED.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["backbone"] in SHORT_NAMES]
    assert len(rows) == 15 * 20
    for row in rows:
        name = {"SGD-M": "sgd"}.get(row["optimizer"], row["optimizer"].lower())
        setting = paper_setting(SHORT_NAMES[row["backbone"]], name)
        assert (setting.lr, setting.weight_decay) == (float(row["lr"]), float(row["weight_decay"]))
        assert setting.source == "paper"


def test_all_400_pairs_have_a_setting() -> None:
    sources = {(b, o): paper_setting(b, o).source for b in PAPER20 for o in OPTIMIZERS}
    assert {backbone for (backbone, _), source in sources.items() if source == "inferred"} == INFERRED
    assert Counter(sources.values()) == {"paper": 280, "inferred": 120}


@pytest.mark.parametrize(
    ("backbone", "optimizer", "lr", "weight_decay"),
    [
        # By hand from the table. PyTorch: AlexNet, VGG-13, R-50, MobV2.
        ("densenet121", "sgd", 0.1, 1e-4),  # 1e-3 0.3 0.1 0.1; 5e-4 2e-4 1e-4 1e-4
        ("repvgg_a1", "adamax", 5e-4, 1e-4),  # 5e-4 5e-4 1e-3 1e-3: the lower of the two middle ones
        ("densenet121", "adam", 5e-4, 1e-8),  # decays 0 1e-8 1e-8 0: of all fourteen, eight have 1e-8 and six 0
        # DeiT: DeiT-S, MLP-S.
        ("transnext_tiny", "adafactor", 2e-4, 1e-2),  # 2e-4 1e-3
        ("transnext_tiny", "sophia", 1e-4, 2e-1),  # decays 2e-1 5e-4: of all fourteen, six have 2e-1 and one 5e-4
        # ConvNeXt: Swin-T, CNX-T, Moga-S.
        ("convnextv2_tiny", "sgd", 5e-2, 1e-8),  # 5e-2 three times; 1e-4 1e-8 1e-8
        ("unireplknet_tiny", "lars", 6e-2, 0.0),  # 0.8 6e-2 6e-2; 1e-4 0 0
        # RSB A2: Eff-B0, IF-12, PFV2-12, CF-12, AF-12.
        ("caformer_s12", "lamb", 5e-3, 5e-2),  # 5e-3 5e-3 1e-3 5e-3 5e-3; 2e-2 5e-2 1e-2 5e-2 5e-2
        ("caformer_s12", "adadelta", 1.5, 0.0),  # 1.5 1.2 1.0 1.5 2.0; 0 0 0 1e-4 1e-4
    ],
)
def test_what_is_inferred(backbone: str, optimizer: str, lr: float, weight_decay: float) -> None:
    found = paper_setting(backbone, optimizer)
    assert (found.lr, found.weight_decay, found.source) == (lr, weight_decay, "inferred")


def test_released_forms_have_the_setting_of_the_published_name() -> None:
    released = [info.name for info in list_optimizers() if info.name.endswith("_released")]
    assert len(released) >= 4
    for name in released:
        assert paper_setting("resnet50", name) == paper_setting("resnet50", name.removesuffix("_released"))


@pytest.mark.parametrize(
    ("backbone", "optimizer", "said"),
    [
        ("resnet18_cifar", "sgd", "no setting for backbone resnet18_cifar; it has settings for resnet101 and"),
        ("resnet50", "muon", "no setting of optimizer muon; it has settings for sgd, sgdp, lion"),
    ],
)
def test_other_pairs_have_none(backbone: str, optimizer: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        paper_setting(backbone, optimizer)


@pytest.mark.parametrize(
    ("backbone", "optimizer", "rates", "decays"),
    [
        # 1 on the ladder; the list's middle.
        ("resnet50", "sgd", (0.02, 0.05, 0.1, 0.2, 0.5), (1e-6, 5e-5, 1e-4, 2e-4, 5e-4)),
        # 2 and 5 on the ladder; moved inwards at either end of the list.
        ("deit_small", "adafactor", (5e-5, 1e-4, 2e-4, 5e-4, 1e-3), (5e-4, 1e-3, 1e-2, 2e-2, 5e-2)),
        ("vgg13_bn", "nadam", (1e-4, 2e-4, 5e-4, 1e-3, 2e-3), (0.0, 1e-8, 1e-6, 5e-5, 1e-4)),
        ("deit_small", "sophia", (2e-5, 5e-5, 1e-4, 2e-4, 5e-4), (1e-2, 2e-2, 5e-2, 1e-1, 2e-1)),
        # Not on the ladder.
        ("resnet50", "lars", (0.24, 0.6, 1.2, 2.4, 6.0), (1e-6, 5e-5, 1e-4, 2e-4, 5e-4)),
        ("convnext_tiny", "lars", (0.012, 0.03, 0.06, 0.12, 0.3), (0.0, 1e-8, 1e-6, 5e-5, 1e-4)),
    ],
)
def test_the_grid(backbone: str, optimizer: str, rates: tuple[float, ...], decays: tuple[float, ...]) -> None:
    grid = paper_grid(backbone, optimizer)
    assert sorted((s.lr, s.weight_decay) for s in grid) == [(lr, decay) for lr in rates for decay in decays]


def test_every_grid_starts_at_the_setting_and_goes_outwards() -> None:
    for backbone in PAPER20:
        for optimizer in OPTIMIZERS:
            grid, centre = paper_grid(backbone, optimizer), paper_setting(backbone, optimizer)
            assert grid[0] == centre
            assert len(set(grid)) == GRID_SIZE
            rates, decays = sorted({s.lr for s in grid}), sorted({s.weight_decay for s in grid})
            assert (len(rates), rates[2]) == (5, centre.lr)
            first = WEIGHT_DECAYS.index(decays[0])
            assert tuple(decays) == WEIGHT_DECAYS[first : first + 5]
            row, column = rates.index(centre.lr), decays.index(centre.weight_decay)
            rings = [max(abs(rates.index(s.lr) - row), abs(decays.index(s.weight_decay) - column)) for s in grid]
            assert rings == sorted(rings)


def paper_plan(protocol: dict[str, Any], **grid: Any) -> Plan:
    return make_plan(
        parse_spec(
            {
                "sweep": {"name": "p"},
                "grid": {"backbones": ["resnet50", "densenet121"], "optimizers": ["sgd", "adamw"], **grid},
                "data": {"name": "cifar100", "path": "/nowhere", "image_size": 32},
                "training": {"epochs": 2},
                "protocol": protocol,
            }
        )
    )


def test_default_trials_take_the_papers_setting_and_keep_every_other_default() -> None:
    plan = paper_plan({"default": {"seeds": 2, "setting": "paper"}})
    cells = {(cell.backbone.name, cell.optimizer.name): default_trials(plan, cell) for cell in plan.cells}
    for (backbone, optimizer), trials in cells.items():
        setting = paper_setting(backbone, optimizer)
        for trial in trials:
            defaults = trial.cell.optimizer.defaults
            assert trial.hp == {**defaults, "lr": setting.lr, "weight_decay": setting.weight_decay}
            assert (trial.hp_source, trial.point, trial.role) == (setting.source, None, Role.DEFAULT)
    assert {trials[0].hp_source for trials in cells.values()} == {"paper", "inferred"}
    (published,) = default_trials(paper_plan({"default": {"seeds": 1}}), plan.cells[0])
    assert (published.hp, published.hp_source) == (plan.cells[0].optimizer.defaults, "default")


def drain(work: CellWork) -> list[PlannedTrial]:
    taken = []
    while (trial := work.take()) is not None:
        taken.append(trial)
    return taken


@pytest.mark.parametrize("batch", [1, 4])
def test_the_grid_waits_for_nothing(batch: int) -> None:
    """Its settings are known, so that neither the design nor the trials before it hold it up."""
    plan = paper_plan({"design": {"points": 2}, "tune": {"trials": 25, "sampler": "paper-grid", "batch": batch}})
    trials = drain(CellWork(plan, plan.cells[0]))
    assert [trial.role for trial in trials] == [Role.DESIGN] * 2 + [Role.TUNE] * 25
    settings = [(trial.hp["lr"], trial.hp["weight_decay"]) for trial in trials[2:]]
    assert settings == [(s.lr, s.weight_decay) for s in paper_grid("resnet50", "sgd")]
    assert {(trial.hp_source, trial.point) for trial in trials[2:]} == {("paper-grid", None)}


def test_a_pruned_grid_runs_one_by_one_in_the_same_order() -> None:
    plan = paper_plan({"tune": {"trials": 9, "sampler": "paper-grid", "pruner": "median"}})
    work, found = CellWork(plan, plan.cells[0]), []
    while trials := drain(work):
        (trial,) = trials
        found.append(trial)
        work.close(ended(plan, trial, score=0.5))
    assert found == [grid_trial(plan, plan.cells[0], number) for number in range(9)]


def test_a_grid_around_an_inferred_setting_says_so() -> None:
    plan = paper_plan({"tune": {"trials": 1, "sampler": "paper-grid"}})
    sources = {cell.backbone.name: grid_trial(plan, cell, 0).hp_source for cell in plan.cells}
    assert sources == {"resnet50": "paper-grid", "densenet121": "inferred"}


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"protocol": {"default": {"setting": "papers"}}}, "protocol.default.setting = 'papers' is not accepted"),
        (
            {"protocol": {"default": {"setting": "paper"}}},
            'protocol.default.setting = "paper": the paper tuned no setting for backbone synthetic_a',
        ),
        (
            {"protocol": {"tune": {"trials": 3, "sampler": "paper-grid"}}},
            'protocol.tune.sampler = "paper-grid": the paper tuned no setting for backbone synthetic_a',
        ),
        (
            {"protocol": {"tune": {"trials": 26, "sampler": "paper-grid"}}},
            "has 25 settings for each pair; got trials",
        ),
        (
            {"protocol": {"design": {"points": 2}, "tune": {"warm_start": 2, "sampler": "paper-grid"}}},
            "leave out warm_start",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_starts(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as refused:
        small_plan(**sections)
    assert said in str(refused.value)


def test_ranges_that_no_trial_would_use_are_refused() -> None:
    tables = {
        "sweep": {"name": "p"},
        "grid": {"backbones": ["resnet50"], "optimizers": ["sgd"]},
        "data": {"name": "cifar100", "path": "/nowhere", "image_size": 32},
        "training": {"epochs": 2},
        "protocol": {"tune": {"sampler": "paper-grid"}},
        "search_spaces": {"sgd": {"lr": [0.1, 1.0]}},
    }
    with pytest.raises(SpecError, match=r"\[search_spaces\.sgd\] changes no trial"):
        make_plan(parse_spec(tables))


@pytest.fixture
def planted_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The paper's numbers under the names of synthetic networks, which train in milliseconds."""
    monkeypatch.setattr(paper_settings, "SHORT_NAMES", {"R-50": "synthetic_a", "DeiT-S": "synthetic_b"})
    paper_settings._tuned.cache_clear()
    yield
    monkeypatch.undo()
    paper_settings._tuned.cache_clear()


PROTOCOL = {
    "default": {"seeds": 1, "setting": "paper"},
    "design": {"points": 2},
    "tune": {"trials": 3, "sampler": "paper-grid", "pruner": "median"},
    "confirm": {"top": 2, "seeds": 1},
}


@pytest.mark.usefixtures("planted_settings")
def test_a_sweep_over_the_grid_is_stopped_continued_verified_and_reported(tmp_path: Path) -> None:
    plan = small_plan(protocol=PROTOCOL, grid={"backbones": ["synthetic_a"], "optimizers": ["sgd"]})
    run_here(plan, tmp_path / "cut", trials=4)
    sweep = run_here(plan, tmp_path / "cut")
    whole = run_here(plan, tmp_path / "whole")
    rows, same = ({row.trial_id: row for row in read_rows(part, TrialRow)} for part in (sweep, whole))
    assert {key: row.history_sha256 for key, row in rows.items()} == {k: r.history_sha256 for k, r in same.items()}
    assert verify_sweep(sweep).problems == []
    for row in rows.values():
        assert (row.point is None) == (row.hp_source in ("paper", "paper-grid"))
        if row.hp_source == "paper":
            setting = paper_setting(row.backbone, row.optimizer)
            assert (row.hp_lr, row.hp_weight_decay) == (setting.lr, setting.weight_decay)
            assert json.loads(row.hp)["lr"] == setting.lr
    assert {row.hp_source for row in rows.values() if row.role == Role.TUNE} == {"paper-grid"}
    repeated = {row.repeats: row for row in rows.values() if row.role == Role.CONFIRM}
    assert all(
        row.hp == rows[key].hp and row.hp_source == rows[key].hp_source for key, row in repeated.items() if key
    )
    page = read(open_store(str(tmp_path / "cut")), lambda connection: load_page_data(connection, "small"))
    assert "default: 1 seed at the paper's setting" in html.unescape(render(page, written_at=datetime.now(UTC)).html)


@pytest.mark.usefixtures("planted_settings")
def test_a_longer_grid_adds_trials_and_another_setting_is_refused(tmp_path: Path) -> None:
    def plan(trials: int, setting: str = "paper") -> Plan:
        protocol = {"default": {"seeds": 1, "setting": setting}, "tune": {"trials": trials, "sampler": "paper-grid"}}
        return small_plan(protocol=protocol)

    run_here(plan(2), tmp_path)
    sweep = run_here(plan(4), tmp_path)
    assert len(read_rows(sweep, TrialRow)) == plan(4).trials
    with pytest.raises(SpecError, match=r"protocol\.default\.setting was 'paper' .* is now 'published'"):
        run_here(plan(4, "published"), tmp_path)
