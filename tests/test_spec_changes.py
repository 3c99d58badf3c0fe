"""Edits of a spec that has run: what only adds trials is legal, what spoils comparison is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.planning.spec import Spec, parse_spec, spec_from_record
from orchestrator.planning.spec_changes import check_change
from tests.planned_sweeps import spec_tables


def spec(**sections: dict[str, Any]) -> Spec:
    return parse_spec(spec_tables(**sections))


SMALL = {"default": {"seeds": 1}, "design": {"points": 4}, "tune": {"trials": 3}, "confirm": {"top": 1, "seeds": 2}}


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"grid": {"optimizers": ["sgd", "adamw", "lion"]}},
        {"grid": {"backbones": ["synthetic_c"]}},
        {"grid": {"exclude": [["synthetic_a", "sgd"]]}},
        {"protocol": {**SMALL, "design": {"points": 8}, "tune": {"trials": 9}}},
        {"resources": {"max_concurrent": 7, "max_gpu_hours": 3}},
        {"checkpoints": {"interval_seconds": 1}},
        {"evaluation": {"layers": []}},
        {"evaluation": {"layers": ["design", "tune"]}},
        {"grid": {"optimizers": ["sgd", "adamw", "lion"]}, "search_spaces": {"lion": {"lr": [1e-5, 1e-2]}}},
    ],
)
def test_additions_are_legal(sections: dict[str, Any]) -> None:
    check_change(spec(), spec(**sections))


@pytest.mark.parametrize(
    ("sections", "field", "was", "now"),
    [
        ({"sweep": {"seed": 5}}, "sweep.seed", "0", "5"),
        ({"training": {"epochs": 4}}, "training.epochs", "3", "4"),
        ({"training": {"label_smoothing": 0.1}}, "training.label_smoothing", "None", "0.1"),
        ({"data": {"validation": "test"}}, "data.validation", "'split'", "'test'"),
        ({"protocol": {**SMALL, "tune": {"trials": 3, "sampler": "gp"}}}, "protocol.tune.sampler", "'tpe'", "'gp'"),
        ({"resources": {"cpus_per_trial": 2}}, "resources.cpus_per_trial", "1", "2"),
        ({"search_spaces": {"sgd": {"lr": [0.1, 1.0]}}}, "search_spaces.sgd.lr", "None", "[0.1, 1.0]"),
    ],
)
def test_what_spoils_comparison_is_refused(sections: dict[str, Any], field: str, was: str, now: str) -> None:
    with pytest.raises(SpecError) as refused:
        check_change(spec(), spec(**sections))
    assert f"{field} was {was} " in str(refused.value)
    assert f"is now {now}" in str(refused.value)


def test_names_are_compared_as_the_cells_have_them() -> None:
    """A spec may name optimizers by a family; what the ranges belong to are the optimizers in it."""
    edited = spec(grid={"optimizers": ["sgd", "lion"]}, search_spaces={"lion": {"lr": [1e-5, 1e-2]}})
    check_change(spec(), edited, shared={"sgd"})
    with pytest.raises(SpecError, match=r"search_spaces\.lion\.lr was None "):
        check_change(spec(), edited, shared={"sgd", "lion"})


def test_an_optimizer_may_be_dropped_with_its_ranges() -> None:
    ranges = {"sgd": {"lr": [0.1, 1.0]}}
    check_change(spec(search_spaces=ranges), spec(grid={"optimizers": ["adamw"]}))


def test_a_recorded_spec_is_the_spec() -> None:
    before = spec(search_spaces={"sgd": {"lr": {"low": 0.1, "high": 1, "scale": "linear"}}})
    assert spec_from_record(before.canonical_json()) == before
    assert spec_from_record(before.canonical_json()).digest() == before.digest()
