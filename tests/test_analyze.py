"""`bocb analyze` as a user has it: the keys and meanings of the JSON, the words, the mistakes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols

from orchestrator.console import Output
from orchestrator.store.store import open_store
from tests import paper_csv
from tests.command_line import Call
from tests.store_examples import put_part
from tests.sweep_rows import made_up_sweep

BACKBONES, OPTIMIZERS = ["resnet18", "deit_small", "my-net", "Böckbönë · 网"], ["SGD-M", "adamw", "my_opt"]
Row = tuple[str, str, float | None, int]


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def analysed(call: Call, sweep: str, *options: str) -> dict[str, Any]:
    answer = call("analyze", sweep, "--json", *options)
    assert (answer.code, answer.err) == (0, "")
    found: dict[str, Any] = json.loads(answer.out, parse_constant=no_constant)
    return found


def imported(call: Call, name: str, rows: list[Row], *, with_seed: bool = True) -> None:
    with Path(f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["backbone", "optimizer", "top1", "seed"][: 4 if with_seed else 3])
        writer.writerows(row if with_seed else row[:3] for row in rows)
    answer = call("import", f"{name}.csv", "--sweep", name, "--percent")
    assert answer.code == 0, answer.err


def planted(coupling: float, *, replicates: int = 3, noise: float = 0.3) -> list[Row]:
    rng = np.random.default_rng(4)
    cells = 70 + coupling * rng.normal(size=(4, 3)) + 2 * rng.normal(size=3)
    return [
        (backbone, optimizer, round(float(cells[i, j] + noise * rng.normal()), 2), seed)
        for i, backbone in enumerate(BACKBONES)
        for j, optimizer in enumerate(OPTIMIZERS)
        for seed in range(replicates)
    ]


def test_sums_of_squares_and_all_that_follows_are_those_of_statsmodels(call: Call) -> None:
    rows = planted(1.5)
    imported(call, "mine", rows)
    found = analysed(call, "mine")
    coupling = found["coupling"]
    frame = pd.DataFrame(rows, columns=["b", "o", "y", "s"])
    table = sm.stats.anova_lm(ols("y ~ C(b) * C(o)", frame).fit(), typ=2)
    squares = dict(zip(("backbone", "optimizer", "interaction", "error"), table["sum_sq"], strict=True))
    total = float(((frame["y"] - frame["y"].mean()) ** 2).sum())
    # Sums of squares of 36 numbers near 70: ten digits are left.
    near = {"rel": 1e-9}
    assert coupling["variance"] == pytest.approx({**squares, "total": total}, **near)
    df, df_error = table.loc["C(b):C(o)", "df"], table.loc["Residual", "df"]
    f, error = float(table.loc["C(b):C(o)", "F"]), squares["error"] / df_error
    beyond = squares["interaction"] - df * error
    assert coupling["share"] == pytest.approx(squares["interaction"] / total, **near)
    assert (coupling["f"], coupling["p_f"]) == pytest.approx((f, float(table.loc["C(b):C(o)", "PR(>F)"])), **near)
    assert coupling["omega2"] == pytest.approx(beyond / (total + error), **near)
    assert coupling["epsilon2"] == pytest.approx(beyond / total, **near)
    assert coupling["sigma2_interaction"] == pytest.approx(beyond / df / 3, **near)
    ends = [(f / stats.f.ppf(q, df, df_error) - 1) / 3 for q in (0.975, 0.025)]
    assert coupling["theta_ci"] == pytest.approx(ends, **near)
    optimizer = (squares["optimizer"] / 2 - squares["interaction"] / df) / (3 * 4)
    assert coupling["index"] == pytest.approx(beyond / df / 3 / (max(0, optimizer) + beyond / df / 3), **near)
    carried = coupling["ecovalence"]
    for side, names in (("backbone", BACKBONES), ("optimizer", ["sgd", "adamw", "my_opt"])):
        assert list(carried[side]) == names
        assert sum(carried[side].values()) == pytest.approx(squares["interaction"] / 3, **near)
    assert sum(coupling["ammi"]) == pytest.approx(1)
    assert sum(coupling["muir"].values()) == pytest.approx(1)
    assert set(coupling["tukey"]) == {"f", "p"}
    assert coupling["p_wild"] < 0.01


def test_ranks_regret_and_cells(call: Call) -> None:
    rows = planted(1.5)
    imported(call, "mine", rows)
    found = analysed(call, "mine")
    means = pd.DataFrame(rows, columns=["b", "o", "y", "s"]).groupby(["b", "o"])["y"].mean().unstack()
    means = means.rename(columns={"SGD-M": "sgd"})
    ranks, regret = found["ranks"], found["regret"]
    friedman = stats.friedmanchisquare(*means.to_numpy().T)
    assert (ranks["friedman_chi2"], ranks["p"]) == pytest.approx(tuple(friedman))
    assert ranks["kendall_w"] == pytest.approx(friedman.statistic / (4 * 2))
    assert ranks["mean_rank"] == pytest.approx(means.rank(axis=1, ascending=False).mean().to_dict())
    assert ranks["critical_difference"] == pytest.approx(
        stats.studentized_range.ppf(0.95, 3, np.inf) / 2**0.5 * 0.5**0.5
    )
    assert isinstance(ranks["kendall_w_by_family"], dict)
    lost = means.rsub(means.max(axis=1), axis=0)
    assert regret["mean"] == pytest.approx(lost.mean().to_dict())
    assert regret["max"] == pytest.approx(lost.max().to_dict())
    assert regret["generalist"] == lost.mean().idxmin()
    assert regret["win_share"] == pytest.approx((lost == 0).mean().to_dict())
    assert {(c["backbone"], c["optimizer"]) for c in found["cells"]} == {(b, o) for b in means.index for o in means}
    for cell in found["cells"]:
        assert cell["mean"] == pytest.approx(means.loc[cell["backbone"], cell["optimizer"]])
        assert (cell["response"], cell["n"], cell["n_diverged"], cell["n_failed"]) == ("imported", 3, 0, 0)
        assert cell["sd"] > 0
    assert {"sensitivity", "optimizers", "robustness", "excluded"} <= set(found)
    assert {one["optimizer"] for one in found["optimizers"]} == set(means)
    spread = found["robustness"]["seed_variance"]
    assert [one["name"] for one in spread["backbones"]] == BACKBONES
    assert {one["name"] for one in spread["optimizers"]} == set(means)


def test_one_result_per_cell_leaves_null_what_needs_noise(call: Call) -> None:
    imported(call, "single", planted(1.5, replicates=1), with_seed=False)
    coupling = analysed(call, "single")["coupling"]
    undefined = ("sigma2_interaction", "theta_ci", "omega2", "epsilon2", "f", "p_f", "p_wild")
    assert [coupling[name] for name in undefined] == [None] * len(undefined)
    assert coupling["variance"]["error"] is None
    parts = coupling["variance"]
    assert coupling["index"] == pytest.approx(parts["interaction"] / (parts["interaction"] + parts["optimizer"]))
    assert "without repetitions" in " ".join(call("analyze", "single").out.split())


def test_the_table_of_the_terminal_shows_variance_components_as_the_page_does(call: Call) -> None:
    imported(call, "mine", planted(1.5))
    coupling = analysed(call, "mine")["coupling"]
    parts = [max(0.0, coupling[f"sigma2_{part}"]) for part in ("backbone", "optimizer", "interaction", "error")]
    line = next(line for line in call("analyze", "mine").out.splitlines() if line.split()[:2] == ["imported", "3"])
    assert line.split()[2:6] == [f"{100 * part / sum(parts):.1f}" for part in parts]


def test_the_seed_and_not_the_order_of_the_file_decides_what_is_drawn(call: Call) -> None:
    rows = planted(0.15)
    imported(call, "mine", rows)
    imported(call, "turned", [rows[place] for place in np.random.default_rng(1).permutation(len(rows))])
    first, again, other = (
        analysed(call, "mine", *options)["coupling"]["p_wild"] for options in ((), ("--seed", "0"), ("--seed", "1"))
    )
    assert first == again
    assert first != other
    assert abs(first - other) < 0.06  # 5 standard errors of a p-value from 1,999 draws
    assert analysed(call, "turned")["coupling"]["p_wild"] == first


POOR: dict[str, tuple[list[Row], str]] = {
    "equal": ([(b, o, 60.0, s) for b in "ab" for o in "xy" for s in range(2)], "all results are equal"),
    "one-row": (
        [("a", o, 50.0 + s, s) for o in "xyz" for s in range(2)],
        "neither confirmed nor imported nor default",
    ),
    "failed": ([(b, o, None, 0) for b in "ab" for o in "xy"], "neither confirmed nor imported nor default"),
    "no-noise": (
        [(b, o, float(i + j), s) for i, b in enumerate("abc") for j, o in enumerate("xyz") for s in (0, 1)],
        "z has the highest mean on every backbone",
    ),
}


def test_poor_tables_are_answered_in_words_and_nulls(call: Call) -> None:
    for name, (rows, said) in POOR.items():
        imported(call, name, rows)
        analysed(call, name)
        answer = call("analyze", name)
        assert (answer.code, answer.err) == (0, "")
        assert said in " ".join(answer.out.split())
        assert "nan" not in answer.out


def test_noise_has_no_carriers(call: Call) -> None:
    imported(call, "null", planted(0.0))
    said = " ".join(call("analyze", "null").out.split())
    assert "do not show that the effect of the optimizer depends" in said
    assert "of the interaction is" not in said
    assert "carries" not in said


def test_the_papers_table_in_words_fits_80_columns(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    path = paper_csv.FOLDER / "table1_cifar100_top1.csv"
    assert call("import", str(path), "--sweep", "paper", "--percent").code == 0
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("orchestrator.commands.analysing.out", Output())
    answers = [call("analyze", "paper", *options).out for options in ((), ("--method", "paper"))]
    for lines in map(str.splitlines, answers):
        assert max(map(len, lines)) <= 80
        assert "…" not in "".join(lines)
    words = " ".join(answers[0].split())
    assert "adagrad and lars carry 78 % of the interaction; without them it is 17 % of the variance" in words
    assert "The best single optimizer is adan: on average 0.65 points" in words
    assert "caformer_s12" in words
    paper = json.loads(call("analyze", "paper", "--method", "paper", "--json").out, parse_constant=no_constant)
    assert {row["backbone"]: round(row["summary"]["mean"], 2) for row in paper["summary"]}["alexnet"] == 63.67


def test_a_sweep_in_progress_has_an_answer(call: Call) -> None:
    rows = made_up_sweep(["resnet18", "deit_small"], ["sgd", "adamw"])
    sweep = open_store("bocb-store", create=True).sweep("s")
    put_part(sweep, rows.sweeps)
    found = analysed(call, "s")
    assert (found["response"], found["trials_ended"], found["trials_planned"], found["ranks"]) == (None, 0, 44, None)
    assert "0 of 44 trials ended; too few results for a verdict" in call("analyze", "s").out
    answer = call("analyze", "s", "--method", "paper")
    assert answer.code == 2
    assert "two backbones and two optimizers" in answer.err
    put_part(sweep, rows.trials[:25])
    found = analysed(call, "s")
    assert (found["response"], found["trials_ended"]) == (None, 25)
    assert {cell["response"] for cell in found["cells"]} > {"confirmed"}
    put_part(sweep, rows.trials[25:])
    found = analysed(call, "s")
    assert (found["response"], found["trials_ended"]) == ("confirmed", 44)
    assert found["sensitivity"][0]["n"] == 8
    said = call("analyze", "s").out
    assert "How much tuning matters" in said
    assert "tuned@4" in said


MISTAKES = (
    ("analyze mien", "unknown sweep 'mien'"),
    ("analyze mine --seed -1", "--seed"),
    ("analyze mine --method x", "'x' is not one of 'bocb', 'paper'"),
    ("analyze ../mine", "cannot name a sweep"),
    ("analyze mine --store elsewhere", "there is no store at"),
    ("compare mine mine", "name two to compare"),
    ("compare mine yours", "unknown sweep 'yours'"),
)


def test_mistakes_are_one_sentence_and_exit_2(call: Call) -> None:
    imported(call, "mine", [("a", "x", 50.0, 0)])
    for arguments, said in MISTAKES:
        answer = call(*arguments.split())
        assert (answer.code, answer.out) == (2, "")
        assert said in answer.err
        assert answer.err.startswith("bocb: ")
        assert answer.err.count("\n") == 1
