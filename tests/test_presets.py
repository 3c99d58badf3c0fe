"""The sweeps that come along: each is planned, and what its header says of its size is what the plan says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.catalogue import catalogue, sweep_file
from orchestrator.planning.grid import make_plan
from orchestrator.planning.plan import Cell, Plan
from orchestrator.planning.spec import load_spec
from search_spaces.datasets import get_dataset
from trainers.config import Precision, Validation

PRESETS = {
    "audit_released": (25, 33),
    "cifar100_small": (12, 20),
    "first_look": (60, 3),
    "paper_cifar100": (400, 3),
    "paper_grid_cifar100": (400, 28),
    "paper_imagenet": (40, 3),
    "quickstart": (16, 11),
    "recipe_control": (16, 33),
    "sensitivity_cifar100": (400, 33),
    "synthetic_small": (16, 10),
    "weekend_cifar100": (36, 33),
}
"""Cells, and trials of each."""
HEADER = re.compile(r"# (?P<trials>[\d,]+) trials, (?P<epochs>[\d,]+) epochs; (?P<cost>.+)\.")
GPU_HOURS = re.compile(r"about (?P<hours>[\d,]+) GPU-hours on one NVIDIA H200 \(estimated, not measured\)")

RATE = {Precision.FLOAT32: 33e12, Precision.AUTO: 60e12}
"""Operations per second that the headers state."""
LAUNCH_SECONDS = 0.012
"""Shortest time of a step that the headers state."""
STEM_SHARE = (32 / 56) ** 2
"""Work of a network on 32 px, relative to its ImageNet form: its map after the stem, or after its patches of 4 px in
place of 16, has 32 x 32 places for 56 x 56. Within 6 % of what is counted for ResNet-50 and DenseNet-121."""


@pytest.fixture(autouse=True)
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOCB_DATA", str(tmp_path))


def plan_of(name: str) -> Plan:
    return make_plan(load_spec(sweep_file(Path(name))))


def header_of(name: str) -> re.Match[str]:
    line = sweep_file(Path(name)).read_text(encoding="utf-8").splitlines()[1]
    found = HEADER.fullmatch(line)
    assert found, f"the second line of {name}.toml does not state its size: {line}"
    return found


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("name", PRESETS)
def test_its_size_is_what_its_header_says(name: str) -> None:
    plan, header = plan_of(name), header_of(name)
    cells, trials = PRESETS[name]
    assert (len(plan.cells), plan.trials) == (cells, cells * trials)
    assert (number(header["trials"]), number(header["epochs"])) == (plan.trials, plan.epochs)
    assert plan.spec.sweep.name == name


def macs_of(cell: Cell) -> float:
    """Multiply-accumulates of a forward pass at the size that the cell trains at."""
    info = cell.backbone
    assert info.macs
    assert info.input_size
    assert cell.image_size in (32, info.input_size)
    return info.macs * (STEM_SHARE if cell.image_size < info.input_size else 1)


def gpu_hours(plan: Plan) -> float:
    """The estimate that headers describe: 6 operations per multiply-accumulate of a trained image, 2 of another."""
    training, dataset = plan.spec.training, get_dataset(plan.spec.data.name)
    rate, batch = RATE[training.precision], training.batch_size
    is_test = plan.spec.data.validation is Validation.TEST
    held_out = 0 if is_test else round(dataset.train_count * plan.spec.data.validation_fraction)
    trained, scored = dataset.train_count - held_out, dataset.test_count if is_test else held_out
    seconds = 0.0
    for cell in plan.cells:
        macs = macs_of(cell)
        step = max(LAUNCH_SECONDS, batch * 6 * macs / rate)
        seconds += trained / batch * step + scored * 2 * macs / rate
    return seconds * plan.epochs / len(plan.cells) / 3600


@pytest.mark.parametrize("name", sorted(PRESETS.keys() - {"quickstart", "synthetic_small"}))
def test_its_gpu_hours_are_the_estimate_it_describes(name: str) -> None:
    stated = GPU_HOURS.fullmatch(header_of(name)["cost"])
    assert stated
    # Headers round to two digits, short sweeps to a whole hour.
    assert number(stated["hours"]) == pytest.approx(gpu_hours(plan_of(name)), rel=0.05, abs=0.5)


def test_all_are_listed_with_what_they_are_for() -> None:
    listed = {entry["name"]: entry["about"] for entry in catalogue("sweeps")}
    assert listed.keys() == PRESETS.keys()
    assert all(about.endswith(".") and not HEADER.fullmatch(f"# {about}") for about in listed.values())
