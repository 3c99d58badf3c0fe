"""The digest of a user's own source: what changes it, what does not, and that it is the planned one that runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.planning.plan import Plan
from orchestrator.running.history import read_history
from orchestrator.store.reader import read_rows
from orchestrator.store.schema import TrialRow
from search_spaces.errors import UserError
from search_spaces.optimizers import custom_optimizer
from tests.planned_sweeps import small_plan
from tests.sweeps_in_process import run_here
from tests.trial_examples import trial
from trainers.config import TrainOn, config_digest
from trainers.data.datasets import load_trial_data
from trainers.imports import own_modules, package_sha256, source_sha256
from trainers.networks.backbones import build_backbone, resolve_backbone
from trainers.optimization.optimizers import optimizer_class

NETWORK = """
import json, torch
from torch import nn

def {name}(num_classes):
    from bocb_own_layers.parts import Linear
    return nn.Sequential(nn.Flatten(), Linear(64, num_classes))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bocb_own_network.py").write_text(NETWORK.format(name="flat"))
    package = tmp_path / "bocb_own_layers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text("from torch.nn import Linear as Linear\n")
    (package / "table.csv").write_text("1\n")
    (tmp_path / "bocb_not_imported.py").write_text("")
    (tmp_path / "json").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def digest(path: str = "bocb_own_network:flat") -> str | None:
    package_sha256.cache_clear()
    return source_sha256(path)


def test_what_a_module_imports_of_the_users_own_belongs_to_it(folder: Path) -> None:
    assert own_modules("bocb_own_network:flat") == {
        "bocb_own_network": (folder / "bocb_own_network.py",),
        "bocb_own_layers": (folder / "bocb_own_layers",),
    }


@pytest.mark.parametrize(
    "path", ["torch.optim:Adam", "timm.optim:Lion", "pytorch_optimizer:SophiaH", "math:sqrt", "trainers.synthetic:a"]
)
def test_recorded_versions_need_no_digest(path: str) -> None:
    assert source_sha256(path) is None


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("bocb_own_network.py", True),
        ("bocb_own_layers/parts.py", True),
        ("bocb_own_layers/new.py", True),
        ("bocb_own_layers/table.csv", False),
        ("bocb_not_imported.py", False),
    ],
)
def test_every_line_of_it_counts(folder: Path, file: str, counts: bool) -> None:
    before = digest()
    with (folder / file).open("a") as opened:
        opened.write("# a comment\n")
    assert (digest() != before) == counts


def test_imports_are_found_wherever_they_are_written(folder: Path) -> None:
    module = folder / "bocb_own_network.py"
    module.write_text(
        "class Network:\n    def build(self, kind):\n        match kind:\n            case 1:\n                try:\n"
        "                    pass\n                except ValueError:\n                    with kind:\n"
        "                        import os, bocb_own_layers.parts as parts\n    shape = lambda: 0\n"
    )
    assert set(own_modules("bocb_own_network:flat")) == {"bocb_own_network", "bocb_own_layers"}


def test_where_it_lies_does_not_count(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        before = digest()
        moved = folder.rename(tmp_path_factory.mktemp("elsewhere") / "code")
        patch.syspath_prepend(str(moved))
        assert digest() == before is not None


def test_another_source_than_the_planned_one_is_refused(folder: Path) -> None:
    """As on a worker that started after an edit, or on a node with another copy."""
    info = resolve_backbone("bocb_own_network:flat")
    build_backbone(info, classes=3, channels=1, image_size=8)
    own = custom_optimizer("mine", class_path="torch.optim:SGD", arguments={"lr": 0.1}, ranges={})
    sentence = "on this machine is not the one that the sweep was started with; stop the sweep and resume it"
    with pytest.raises(UserError, match=f"backbone .*{sentence}"):
        build_backbone(replace(info, source_sha256="0" * 64), classes=3, channels=1, image_size=8)
    with pytest.raises(UserError, match=f"optimizer mine: .*{sentence}"):
        optimizer_class(replace(own, source_sha256="0" * 64))


def test_a_checkpoint_of_other_source_does_not_fit(folder: Path) -> None:
    config = trial()
    edited = replace(config, backbone=replace(config.backbone, source_sha256="0" * 64))
    assert config_digest(config) != config_digest(edited)


def test_trials_say_which_source_made_them_and_a_later_run_that_it_changed(folder: Path, tmp_path: Path) -> None:
    module = folder / "bocb_own_curves.py"
    module.write_text("def curve():\n    from trainers.synthetic import Behaviour\n    return Behaviour()\n")
    name = "bocb_own_curves:curve"

    def plan() -> Plan:
        package_sha256.cache_clear()
        return small_plan(
            grid={"backbones": [name, "synthetic_a"], "optimizers": ["sgd"]}, data={"name": "synthetic"}
        )

    first = plan()
    sweep = run_here(first, tmp_path / "store", trials=4)
    assert read_history(sweep, first).of_other_source == {}
    module.write_text(module.read_text() + "# another\n")
    second = plan()
    rows = {row.trial_id: row for row in read_rows(sweep, TrialRow)}
    ours = [row for row in rows.values() if row.backbone == name]
    assert read_history(sweep, second).of_other_source == {f"backbone {name}": len(ours)}
    run_here(second, tmp_path / "store")
    after = {row.trial_id: row for row in read_rows(sweep, TrialRow)}
    assert rows.items() <= after.items(), "what has ended stays"
    digests = {row.source_sha256 for row in after.values() if row.backbone == name}
    expected = {plan.backbones[name].source_sha256 for plan in (first, second)}
    assert {json.loads(digest)["backbone"] for digest in digests if digest} == expected
    assert {row.source_sha256 for row in after.values() if row.backbone == "synthetic_a"} == {None}


def test_a_function_that_gives_the_data_is_own_source_too(tmp_path: Path) -> None:
    name = "tests.own_images:stripes"
    sections = {"data": {"name": name}, "protocol": {"default": {"seeds": 1}}}
    plan = small_plan(
        grid={"backbones": ["resnet_digits"], "optimizers": ["sgd"]}, training={"epochs": 1}, **sections
    )
    assert plan.data.source_sha256 == source_sha256(name)
    sweep = run_here(plan, tmp_path)
    (row,) = read_rows(sweep, TrialRow)
    assert json.loads(str(row.source_sha256)) == {"data": source_sha256(name)}
    edited = replace(plan, data=replace(plan.data, source_sha256="0" * 64))
    assert read_history(sweep, edited).of_other_source == {f"data {name}": 1}
    with pytest.raises(UserError, match=r"data set tests\.own_images:stripes: the source .* is not the one"):
        load_trial_data(replace(plan.data, source_sha256="0"), TrainOn.TRAIN)
