"""What the page says of tuning, sensitivity and robustness: what is drawn, and what partial sweeps give."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.analysis.answers.analysis import Analysis, analyse
from orchestrator.analysis.answers.layer_profiles import layer_profiles
from orchestrator.analysis.answers.summary import SweepSummary, summarise
from orchestrator.analysis.page.budget import budget_section
from orchestrator.analysis.page.direct_labels import LETTER, LINE, place_names
from orchestrator.analysis.page.divergence import divergence_section
from orchestrator.analysis.page.good_rates import good_rates_section
from orchestrator.analysis.page.layer_ridges import layer_section
from orchestrator.analysis.page.report import render
from orchestrator.analysis.page.robustness_tables import robustness_section
from orchestrator.analysis.page.section import Section
from orchestrator.analysis.page.sensitivity_plane import plane_section
from orchestrator.analysis.page.tuning import tuning_section
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.load import load_page_data
from orchestrator.analysis.trials.sweep_data import PageData
from orchestrator.store.schema import CorruptionRow, LayerRow, TrialRow, columns_of
from tests import sweep_rows

NETWORKS, OPTIMIZERS = ["vit", "convnext", "resnet18"], ["sgd", "adamw", "lion"]
WRITTEN = datetime(2026, 3, 2, tzinfo=UTC)
EVIL = "</script><img src=x onerror=alert(1)>"


@dataclasses.dataclass(frozen=True)
class Made:
    """A sweep with what the sections are made from."""

    data: PageData
    analysis: Analysis
    labels: dict[CellKey, str]
    summary: SweepSummary


def page_of(rows: sweep_rows.Rows) -> str:
    """The page of a sweep up to its scripts."""
    html = render(load_page_data(sweep_rows.connect(rows), "s"), written_at=WRITTEN).html
    return html.split("<script>")[0]


def made(rows: sweep_rows.Rows, **values: Any) -> Made:
    loaded = load_page_data(sweep_rows.connect(rows), "s")
    data = dataclasses.replace(loaded, data=dataclasses.replace(loaded.data, **values))
    summary = summarise(data.trials, data.planned, grid=data.facts.grid)
    labels = {cell.key: row.label for row in summary.rows for cell in row.cells}
    return Made(data, analyse(data.data), labels, summary)


def without(rows: sweep_rows.Rows, keep: Any) -> sweep_rows.Rows:
    return sweep_rows.Rows(sweeps=rows.sweeps, trials=[trial for trial in rows.trials if keep(trial)])


def values_of(section: Section, name: str, layer: int | None = None) -> list[dict[str, Any]]:
    """The records of a chart, or of one of its layers."""
    chart = section.charts[name]
    part = chart if layer is None else chart["layer"][layer]
    found: list[dict[str, Any]] = chart["datasets"][part.get("data", chart.get("data"))["name"]]
    return found


def vertices(path: str) -> list[tuple[float, float]]:
    """Of an outline of straight lines."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", path)]


def layer(trial: TrialRow, position: int, **values: Any) -> LayerRow:
    row = {column.name: None for column in columns_of(LayerRow)} | {
        "sweep": "s", "trial_id": trial.trial_id, "backbone": trial.backbone, "recipe": trial.recipe,
        "optimizer": trial.optimizer, "role": trial.role, "attempt": 1, "driver_epoch": 1,
        "layer": f"{position}.weight", "position": position, "kind": "Linear", "rows": 64, "columns": 64,
    }  # fmt: skip
    return LayerRow(**{**row, **values})


@pytest.fixture(scope="module")
def rows() -> sweep_rows.Rows:
    return sweep_rows.made_up_sweep(NETWORKS, OPTIMIZERS, epochs=2, points=16)


@pytest.fixture(scope="module")
def whole(rows: sweep_rows.Rows) -> Made:
    return made(rows)


def test_a_tuning_curve_is_solid_to_half_of_its_points_and_dashed_from_there(whole: Made) -> None:
    section = tuning_section(whole.analysis.sensitivity, whole.labels, OPTIMIZERS)
    records = values_of(section, "tuning-curves")
    by_cell = {(r["row"], r["optimizer"], r["part"]): r for r in records}
    for cell in whole.analysis.sensitivity:
        firm, weak, band = (by_cell[cell.backbone, cell.optimizer, part] for part in ("firm", "weak", "band"))
        assert len(vertices(band["path"])) == 2 * (len(firm["n"]) + len(weak["n"]) - 1)
        assert firm["n"][-1] == weak["n"][0] == cell.n // 2
        assert weak["n"][-1] == cell.n
        at = {point.n: point for point in cell.tuning_curve}
        # Rounded to two digits.
        assert firm["mean"] == pytest.approx([at[n].mean for n in firm["n"]], abs=0.005)
        assert firm["ends"][0] == f"{at[1].low:.2f} to {at[1].high:.2f}"
    assert "80 % confidence" in section.html
    assert section.html.count("<tr>") == 1 + len(whole.analysis.sensitivity)


def test_a_long_curve_is_thinned_and_keeps_its_ends(whole: Made) -> None:
    cell = whole.analysis.sensitivity[0]
    point = cell.tuning_curve[0]
    curve = tuple(dataclasses.replace(point, n=n, flagged=n > 500) for n in range(1, 1001))
    section = tuning_section([dataclasses.replace(cell, n=1000, tuning_curve=curve)], whole.labels, OPTIMIZERS)
    band, firm, weak = values_of(section, "tuning-curves")
    assert len(vertices(band["path"])) < 100
    assert (firm["n"][0], firm["n"][-1], weak["n"][0], weak["n"][-1]) == (1, 500, 500, 1000)


def test_the_coupling_is_a_standard_deviation_and_what_lies_below_zero_stands_there(whole: Made) -> None:
    answer = whole.analysis.coupling_by_budget
    first = dataclasses.replace(answer.budgets[0], sigma2_interaction=-3.0, low=-9.0, high=4.0, flagged=False)
    second = dataclasses.replace(first, n=2, sigma2_interaction=6.25, low=None, high=None, flagged=True)
    section = budget_section(dataclasses.replace(answer, budgets=(first, second), optimizers_left_out=(EVIL,)))
    record, other = values_of(section, "coupling-by-budget", 0)
    assert (record["sd"], record["low"], record["high"]) == (0.0, 0.0, 2.0)
    assert (other["sd"], other["low"], other["flagged"]) == (2.5, None, True)
    assert "Hollow" in section.html
    assert "\N{MINUS SIGN}3.00" in section.html
    assert EVIL not in section.html


def test_without_a_complete_table_the_reason_stands_in_place_of_the_plot(rows: sweep_rows.Rows) -> None:
    one = made(without(rows, lambda trial: trial.backbone == "vit"))
    section = budget_section(one.analysis.coupling_by_budget)
    assert not section.charts
    assert "fewer than two backbones" in section.html


def test_every_optimizer_is_named_beside_its_point(whole: Made) -> None:
    section = plane_section(whole.analysis.optimizers, OPTIMIZERS)
    points, *names = [values_of(section, "sensitivity-plane", place) for place in range(4)]
    assert [record["optimizer"] for record in points] == OPTIMIZERS
    assert [record["optimizer"] for (record,) in names] == OPTIMIZERS
    by_name = {one.optimizer: one for one in whole.analysis.optimizers}
    for record in points:
        one = by_name[record["optimizer"]]
        assert one.shared_regret is not None
        assert one.tuned_score is not None
        # Rounded to four digits.
        assert record["x"] == pytest.approx(one.shared_regret, abs=5e-5)
        assert record["y"] == pytest.approx(one.tuned_score, abs=5e-5)


def test_names_beside_points_do_not_cover_each_other() -> None:
    names = [f"optimizer{i}" for i in range(6)]
    x, y = [100.0, 104.0, 108.0, 300.0, 302.0, 395.0], [50.0, 52.0, 49.0, 150.0, 152.0, 10.0]
    placed = place_names(names, x, y, width=400, height=200)
    boxes = []
    for name, place, a, b in zip(names, placed, x, y, strict=True):
        left = a + place.dx - (0 if place.align == "left" else len(name) * LETTER)
        boxes.append((left, b + place.dy - LINE / 2, left + len(name) * LETTER, b + place.dy + LINE / 2))
    for i, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[2] <= 400
        for other in boxes[:i]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart


def test_a_range_of_rates_ends_where_a_point_is_lost(whole: Made) -> None:
    section = good_rates_section(whole.analysis.sensitivity, whole.labels, OPTIMIZERS, {"sgd": 0.1})
    records = {(r["row"], r["optimizer"]): r for r in values_of(section, "good-rates")}
    assert len(records) == 9
    for cell in whole.analysis.sensitivity:
        record = records[cell.backbone, cell.optimizer]
        assert record["low"] <= record["best"] <= record["high"]
        assert cell.lr_width is not None
        # Rates are rounded to four digits, which moves each logarithm by at most 2.2e-4.
        assert math.log10(record["high"] / record["low"]) == pytest.approx(cell.lr_width, abs=5e-4)
        assert (record["default"] == 0.1) == (cell.optimizer == "sgd")
        assert record["low_open"] == (cell.lr_censored in ("low", "both"))


def test_the_map_of_divergence_has_every_planned_cell(rows: sweep_rows.Rows) -> None:
    sweep = made(without(rows, lambda trial: (trial.backbone, trial.optimizer) != ("vit", "lion")))
    section = divergence_section(sweep.analysis.failures, sweep.labels, OPTIMIZERS)
    squares = values_of(section, "divergence", 0)
    assert len(squares) == 9
    by_cell = {(square["row"], square["optimizer"]): square for square in squares}
    assert by_cell["vit", "lion"]["rate"] is None
    for cell in sweep.analysis.failures.cells:
        if cell.role == "design":
            square = by_cell[cell.backbone, cell.optimizer]
            assert cell.divergence_ci is not None
            assert square["counts"] == f"{cell.n_diverged} of {cell.n_complete + cell.n_diverged}"
            assert f"[{100 * cell.divergence_ci[0]:.1f}, {100 * cell.divergence_ci[1]:.1f}]" in square["interval"]


def test_where_nothing_diverged_one_sentence_says_how_much_room_that_leaves(rows: sweep_rows.Rows) -> None:
    steady = made(without(rows, lambda trial: trial.state == "COMPLETE" and trial.number < 8))
    section = divergence_section(steady.analysis.failures, steady.labels, OPTIMIZERS)
    assert not section.charts
    trials = sum(trial.role == "design" for trial in steady.data.trials)
    fewest = min(cell.n for cell in steady.analysis.sensitivity)
    # The exact upper end without an event: 1 - 0.025^(1 / n).
    assert f"None of {trials} design trials diverged" in section.html
    assert f"up to {100 * (1 - 0.025 ** (1 / fewest)):.0f} %" in section.html


def test_layers_run_from_the_first_weight_to_the_last(rows: sweep_rows.Rows) -> None:
    confirmed = [trial for trial in rows.trials if trial.role == "confirm" and trial.state == "COMPLETE"]
    first = confirmed[0]
    same = [t for t in confirmed if (t.backbone, t.optimizer) == (first.backbone, first.optimizer)]
    layers = [
        layer(
            trial, 2 * place, alpha=None if place == 3 else place + seed, entropy=1.0, rows=10 if place == 4 else 64
        )
        for seed, trial in enumerate(same)
        for place in range(6)
    ]
    profiles = layer_profiles(rows.trials, layers)
    assert [profile.statistic for profile in profiles] == ["alpha", "entropy"]
    alpha, entropy = profiles
    assert alpha.trials == len(same)
    # Place 3 has no value, place 4 is too small for a power law; seeds are averaged.
    assert alpha.depth == pytest.approx((0.0, 0.2, 0.4, 1.0))
    shift = (len(same) - 1) / 2
    assert alpha.value == pytest.approx(tuple(place + shift for place in (0, 1, 2, 5)))
    assert len(entropy.value) == 6


def test_many_layers_become_medians_of_equal_parts_of_depth(rows: sweep_rows.Rows) -> None:
    trial = next(trial for trial in rows.trials if trial.role == "confirm" and trial.state == "COMPLETE")
    layers = [layer(trial, place, entropy=100.0 if place == 5 else float(place)) for place in range(100)]
    (profile,) = layer_profiles(rows.trials, layers, places=10)
    assert profile.layers == 100
    assert len(profile.value) == 10
    # The first part has 0 to 9, the 5 replaced by an outlier: the two in the middle are 4 and 6.
    assert profile.value[0] == pytest.approx(5.0)
    assert list(profile.depth) == sorted(profile.depth)


def test_layers_and_corruptions_have_their_place(rows: sweep_rows.Rows) -> None:
    trials = [
        dataclasses.replace(trial, val_top1_final=trial.score) if trial.role == "confirm" else trial
        for trial in rows.trials
    ]
    confirmed = [trial for trial in trials if trial.role == "confirm" and trial.state == "COMPLETE"]
    spoilt = tuple(
        CorruptionRow(**{column.name: None for column in columns_of(CorruptionRow)} | {
            "sweep": "s", "trial_id": trial.trial_id, "corruption": "fog", "severity": severity,
            "top1": (trial.score or 0.0) - 0.1 * severity,
        })
        for trial in confirmed for severity in (1, 3)
    )  # fmt: skip
    layers = tuple(layer(trial, place, alpha=2.0 + place) for trial in confirmed for place in range(3))
    sweep = made(
        sweep_rows.Rows(sweeps=rows.sweeps, trials=trials), layers=layers, corruptions=spoilt, trials=tuple(trials)
    )
    profiles = layer_profiles(sweep.data.trials, layers)
    section = layer_section(profiles, sweep.analysis.robustness.layers, sweep.labels, OPTIMIZERS)
    assert len(values_of(section, "layer-ridges")) == 9
    assert not layer_section((), None, sweep.labels, OPTIMIZERS).html
    html = robustness_section(sweep.analysis.robustness, sweep.labels).html
    assert "Corrupted images" in html
    assert "1 corruption in severities 1, 3" in html
    assert html.count("<table>") == 3


PARTS: dict[str, Sequence[Any]] = {
    "one trial": (lambda t: t.trial_id == "vit.sgd.design-000-s0", "A curve of so few points says little"),
    "one cell": (lambda t: (t.backbone, t.optimizer) == ("vit", "sgd"), "8 cells of 9 have none yet"),
    "confirm only": (lambda t: t.role == "confirm", "No design trial has a score yet"),
    "half a design": (lambda t: t.role == "design" and t.number < 4, "A curve of so few points says little"),
    "nothing": (lambda t: False, "No design trial has a score yet"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_partial_sweep_gives_a_page_that_says_how_little_it_is(rows: sweep_rows.Rows, part: str) -> None:
    keep, sentence = PARTS[part]
    html = page_of(without(rows, keep))
    assert sentence in html
    assert "NaN" not in html


def test_names_are_escaped_in_every_section() -> None:
    html = page_of(sweep_rows.made_up_sweep([EVIL, "b"], [EVIL, "d"], epochs=2, points=8))
    assert EVIL not in html
    assert json.dumps(EVIL)[1:-1] not in html
