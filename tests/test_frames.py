"""The analysis of data frames, the examples of its README as they stand there, and what it may import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestrator.analysis.answers.frames import analyse_frame
from orchestrator.errors import UsageError

README = Path(__file__).parent.parent / "orchestrator" / "analysis" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def frame(values: dict[tuple[str, str], list[float | None]]) -> pd.DataFrame:
    rows = [(b, o, seed, score) for (b, o), scores in values.items() for seed, score in enumerate(scores)]
    return pd.DataFrame(rows, columns=["backbone", "optimizer", "seed", "score"])


SMALL = frame(
    {
        ("a", "x"): [0.50, 0.52], ("a", "y"): [0.61, 0.60], ("b", "x"): [0.72, 0.70], ("b", "y"): [0.65, None],
        ("c", "x"): [0.31, 0.33], ("c", "y"): [0.40, 0.41],
    }
)  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=["frame", "arrays"])
def test_the_examples_run(example: str) -> None:
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    if "analysis" in names:
        analysis = names["analysis"]
        assert analysis.regret.generalist == "lion"  # type: ignore[attr-defined]
        assert analysis.coupling.p_wild < 0.05  # type: ignore[attr-defined]


def test_the_readme_names_every_module_of_statistics() -> None:
    table = README.read_text(encoding="utf-8").partition("## What there is")[2]
    modules = {path.stem for path in (README.parent / "statistics").glob("*.py")} - {"__init__"}
    named = set(re.findall(r"`(\w+)`", table))
    assert modules <= named, modules - named


def test_neither_ray_nor_torch_nor_pandas_is_imported() -> None:
    code = (
        "import sys; import orchestrator.analysis.answers.frames, orchestrator.analysis.answers.verdict\n"
        "print({'ray', 'torch', 'timm', 'pandas', 'optuna'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=README.parents[2], capture_output=True, text=True, check=True
    )
    assert said.stdout == "set()\n"


def test_percentages_columns_of_other_names_and_the_order_of_rows_do_not_matter() -> None:
    plain = analyse_frame(SMALL, seed="seed")
    renamed = SMALL.rename(columns={"backbone": "net", "score": "top1"}).assign(top1=lambda f: 100 * f["top1"])
    other = analyse_frame(renamed, backbone="net", score="top1", seed="seed", percent=True)
    assert plain.coupling.variance is not None
    assert other.coupling == plain.coupling
    shuffled = analyse_frame(SMALL.sample(frac=1, random_state=3), seed="seed")
    assert shuffled.coupling.p_wild == plain.coupling.p_wild
    assert shuffled.coupling.f == pytest.approx(plain.coupling.f, rel=1e-9)  # sums in another order
    assert {(c.backbone, c.optimizer): c.n for c in plain.cells}["b", "y"] == 1


def test_a_mapping_of_columns_will_do_and_recipes_are_rows() -> None:
    columns = {name: SMALL[name].tolist() for name in SMALL.columns}
    assert analyse_frame(columns, seed="seed") == analyse_frame(SMALL, seed="seed")  # type: ignore[arg-type]
    twice = pd.concat([SMALL.assign(recipe="weak"), SMALL.assign(recipe="strong", score=np.sqrt(SMALL["score"]))])
    found = analyse_frame(twice, recipe="recipe")
    assert found.ranks is not None
    assert (found.ranks.n_rows, found.ranks.n_backbones) == (6, 3)


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, {"score": "acc"}, "unknown column 'acc'"),
        ({"score": 55.0}, {}, "row 0: the score 55 is not an accuracy from 0 to 1; give percent=True"),
        ({"score": "high"}, {}, "row 0: the score 'high' is not a number"),
        ({"backbone": None}, {}, "row 0: a name is missing"),
        ({"seed": 1}, {"seed": "seed"}, "row 1: a with x and this seed is there already"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        analyse_frame(SMALL.assign(**change), **options)
    with pytest.raises(UsageError, match="no rows"):
        analyse_frame(SMALL.iloc[:0])
