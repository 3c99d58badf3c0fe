"""Imports point one way, and the light parts stay light. Read from the source, so that no import is missed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("search_spaces", "trainers", "orchestrator")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
RAY_MODULES = {"tune_adapters.py", "trial.py", "cluster.py", "ray_extras.py", "submission.py", "doctor.py"}


def imports_of(path: Path, *, deferred: bool = True) -> Iterator[str]:
    """Every module that a file imports; without `deferred` only those it imports when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if deferred else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""


def is_below(path: Path, *folders: str) -> bool:
    return any(path.is_relative_to(ROOT / folder) for folder in folders)


LAYERS = (
    *(("search_spaces",), ("trainers",), ("orchestrator/store",)),
    ("orchestrator/planning", "orchestrator/worker", "orchestrator/analysis/statistics"),
    *(("orchestrator/analysis/trials",), ("orchestrator/analysis/answers",), ("orchestrator/analysis/page",)),
    ("orchestrator/running", "orchestrator/importing"),
    *(("orchestrator/upkeep", "orchestrator/terminal"), ("orchestrator/commands",)),
)
"""Lowest first: a folder imports from those below it, never from one beside or above it."""


@pytest.mark.parametrize("layer", range(len(LAYERS)), ids=lambda number: " ".join(LAYERS[number]))
def test_a_folder_imports_only_from_lower_layers(layer: int) -> None:
    for folder in LAYERS[layer]:
        others = [name for names in LAYERS[layer:] for name in names if name != folder]
        forbidden = tuple(name.replace("/", ".") for name in others)
        for path in sorted((ROOT / folder).rglob("*.py")):
            wrong = [name for name in imports_of(path) if name.startswith(forbidden)]
            assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imports_of(path)}
    if is_below(path, "search_spaces"):
        assert not tops & {
            "trainers",
            "orchestrator",
            "torch",
            "timm",
            "pytorch_optimizer",
            "ray",
            "optuna",
            "pyarrow",
        }
    if is_below(path, "trainers"):
        assert not tops & {"orchestrator", "ray", "optuna", "pyarrow.dataset", "duckdb"}
    if is_below(path, "orchestrator/store", "orchestrator/analysis"):
        # ped_anova gives Optuna's own importances beside ours, and imports it where it computes them.
        light = tops - {"optuna"} if path.name == "ped_anova.py" else tops
        assert not light & {"ray", "torch", "timm", "optuna", "rich", "typer"}
        assert "optuna" not in {name.partition(".")[0] for name in imports_of(path, deferred=False)}
    if "ray" in tops:
        assert path.name in RAY_MODULES, "only the adapters, the worker and the cluster name Ray"
    assert "timm" not in tops or path.name == "timm_models.py", "timm is imported in one place, after the work-around"


def test_the_packages_import_nothing_by_themselves() -> None:
    for package in ("orchestrator", *(name for names in LAYERS for name in names)):
        assert not list(imports_of(ROOT / package / "__init__.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_stay_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < 60, f"{node.name} is a missing name or two"


def test_every_module_says_why_it_exists() -> None:
    for path in SOURCES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"
