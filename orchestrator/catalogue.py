"""What there is to sweep, as flat records for `bocb list`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from orchestrator.errors import SpecError
from search_spaces.backbones import BackboneInfo, Initialisation, accepted_sizes, list_backbones
from search_spaces.datasets import list_datasets
from search_spaces.errors import unknown_name
from search_spaces.optimizers import list_optimizers
from search_spaces.recipe_info import Form
from search_spaces.recipes import family_settings, list_recipes


def catalogue(
    what: Literal["backbones", "optimizers", "recipes", "datasets", "sweeps"], *, every_name: bool = False
) -> list[dict[str, Any]]:
    """The entries of one catalogue, each with the same keys.

    Args:
        what: Which catalogue.
        every_name: Of the backbones also those of timm that have no entry of their own here.
    """
    match what:
        case "backbones":
            return [*map(_backbone, list_backbones()), *(_names_of_timm() if every_name else ())]
        case "optimizers":
            return [
                {"name": info.name, "category": info.category, "class": info.class_path, "source": info.source}
                for info in list_optimizers()
            ]
        case "recipes":
            return [
                {
                    "name": recipe.name,
                    "backbones": recipe.backbones,
                    **{form: _settings(family_settings(recipe.name).get(form, {})) for form in Form},
                    "source": recipe.source,
                }
                for recipe in list_recipes()
            ]
        case "datasets":
            return [
                {
                    "name": info.name,
                    "classes": info.classes or None,
                    "image_size": info.image_size,
                    "train": info.train_count or None,
                    "test": info.test_count or None,
                    "needs_path": info.needs_path,
                    "source": info.source,
                }
                for info in list_datasets()
            ]
        case "sweeps":
            return [{"name": path.stem, "about": _first_comment(path), "file": str(path)} for path in _sweep_files()]


def _backbone(info: BackboneInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "family": info.family,
        "parameters": info.parameters,
        "macs": info.macs,
        "input_size": info.input_size,
        "image_sizes": _image_sizes(info),
        "initialisation": info.initialisation,
        "source": info.source,
    }


def _image_sizes(info: BackboneInfo) -> str | None:
    """Which images it sees: sides in pixels that it takes, and what becomes of others."""
    if info.family == "synthetic":
        return None
    sizes = accepted_sizes(info)
    if not sizes:
        return "any"
    resized = f"; others are resized to {info.input_size}" if info.input_size in sizes else ""
    return ", ".join(map(str, sizes)) + resized


def _names_of_timm() -> Iterator[dict[str, Any]]:
    """From timm's records alone: nothing is built, so parameters are not known."""
    # Deferred: importing timm takes seconds.
    from trainers.networks.timm_models import input_size, model_names

    known = {info.name for info in list_backbones()}
    for name in model_names():
        if name in known:
            continue
        size = input_size(name)
        how = "it is built for" if size.is_fixed else "it sees"
        yield {
            "name": name,
            "family": "timm",
            "parameters": None,
            "macs": None,
            "input_size": size.pixels,
            "image_sizes": f"all are resized to {size.pixels}; with data.image_size {how} that size",
            "initialisation": Initialisation.TIMM,
            "source": "timm",
        }


def sweep_file(given: Path) -> Path:
    """The spec file that a user means: a path, or the name of a sweep that comes along.

    Raises:
        SpecError: It is a bare word that names neither.
    """
    if given.exists() or given.suffix or len(given.parts) > 1:
        return given
    known = {path.stem: path for path in _sweep_files()}
    if given.name not in known:
        raise SpecError(f"{unknown_name('sweep', given.name, known)}; or give the path of a TOML file")
    return known[given.name]


def _settings(fields: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _sweep_files() -> list[Path]:
    return sorted(Path(str(files("search_spaces").joinpath("sweeps"))).glob("*.toml"))


def _first_comment(path: Path) -> str:
    """The first line of a sweep's file, which says what it is."""
    text = path.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    return first.lstrip("# ") if first.startswith("#") else str(tomllib.loads(text)["sweep"]["name"])
