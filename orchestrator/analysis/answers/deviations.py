"""How a sweep was run otherwise than the paper it repeats, read from its spec and its trials."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.analysis.counted import counted
from orchestrator.analysis.trials.spec_facts import SpecFacts
from orchestrator.store.schema import TrialRow
from search_spaces.cifar_forms import CIFAR_FORMS
from search_spaces.optimizers import list_optimizers
from search_spaces.paper_names import PAPER20 as PAPER_BACKBONES
from search_spaces.paper_recipes import PAPER_FAMILY
from search_spaces.published_optimizers import PAPER20 as PAPER_OPTIMIZERS
from search_spaces.recipe_info import DecayExemption

EPOCHS, BATCH_SIZE, SEEDS, CLIP = 200, 100, 3, 5.0
"""The paper's on CIFAR-100; it clips in its recipe DeiT alone (its Table A3)."""
SMALL, LARGE = 32, 224
"""Pixels of the paper's images: the small ones for networks whose stem it changes (its Table A1)."""
_RELEASED = "_released"
"""Ends the names of optimizers that compute what the paper's code does where that is not the published algorithm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that is not as in the paper."""

    aspect: str
    here: str
    paper: str


def deviations(facts: SpecFacts, trials: Sequence[TrialRow]) -> tuple[Deviation, ...] | None:
    """Every known deviation from the paper's CIFAR-100 protocol (arXiv 2410.06373, tables A1 to A3, and its code).

    Args:
        facts: What the spec asked for.
        trials: All that ended.

    Returns:
        None where nothing is recorded: without trials, or with imported ones alone.
    """
    ran = [trial for trial in trials if trial.role != "imported"]
    if not ran:
        return None
    return tuple(
        Deviation(aspect=aspect, here=here, paper=paper)
        for aspect, found in (
            ("data", _data(ran)),
            ("backbones", _names(ran, "backbone", PAPER_BACKBONES)),
            ("optimizers", _names(ran, "optimizer", PAPER_OPTIMIZERS)),
            ("what optimizers compute", _published(ran)),
            ("precision", _precision(ran)),
            ("split", _split(facts)),
            ("stems and input sizes", _input_sizes(ran)),
            ("recipes", _recipes(ran)),
            ("length", _length(ran)),
            ("score rule", _score(ran)),
            ("seeds", _seeds(ran)),
            ("search", _search(facts, ran)),
            ("gradient clipping", _clipping(ran)),
            ("weight decay groups", _decay_groups(ran)),
        )
        for here, paper in found
    )


def confounding(trials: Sequence[TrialRow]) -> str | None:
    """A warning where every backbone has one recipe and not all have the same; None where there is no such thing."""
    recipes: dict[str, set[str]] = defaultdict(set)
    for trial in trials:
        recipes[trial.backbone].add(_acting_recipe(trial))
    different = set().union(*recipes.values())
    if len(different) < 2 or any(len(found) > 1 for found in recipes.values()):
        return None
    return (
        f"Recipe and backbone are confounded: {counted(len(recipes), 'backbone')} with {len(different)} different "
        "recipes, each backbone with one. What looks like a property of a backbone may be one of its recipe; only a "
        "sweep with the recipe as a factor tells them apart."
    )


def _acting_recipe(trial: TrialRow) -> str:
    if trial.recipe_settings:
        return trial.recipe_settings
    # The paper's recipe is a family for each backbone.
    return PAPER_FAMILY.get(trial.backbone, trial.recipe) if trial.recipe == "paper" else trial.recipe


Found = Iterator[tuple[str, str]]
"""(here, paper)."""


def _data(trials: Sequence[TrialRow]) -> Found:
    others = _values(trial.dataset for trial in trials if trial.dataset != "cifar100")
    if others:
        yield ", ".join(others), "CIFAR-100, which all that follows is about"


def _names(trials: Sequence[TrialRow], column: str, known: Sequence[str]) -> Found:
    used = {getattr(trial, column) for trial in trials}
    stated = {name.removesuffix(_RELEASED) for name in used}
    others, missing = stated.difference(known), len(set(known).difference(stated))
    here = [f"not in the paper: {', '.join(sorted(others))}" if others else ""]
    here.append(f"{missing} of the paper's {len(known)} are not here" if missing else "")
    if any(here):
        yield "; ".join(filter(None, here)), f"{len(known)} of them"


def _published(trials: Sequence[TrialRow]) -> Found:
    released = {info.name.removesuffix(_RELEASED) for info in list_optimizers() if info.name.endswith(_RELEASED)}
    used = sorted(released & {trial.optimizer for trial in trials})
    if used:
        yield f"the published algorithms of {', '.join(used)}", "its code computes something else under these names"


def _precision(trials: Sequence[TrialRow]) -> Found:
    others = _values(trial.precision for trial in trials if trial.precision not in ("float32", "fp32"))
    if others:
        yield ", ".join(others), "float32 in every CIFAR-100 config of its code"


def _split(facts: SpecFacts) -> Found:
    if facts.validation == "split":
        share = f" ({100 * facts.validation_fraction:g} %)" if facts.validation_fraction else ""
        yield f"selected on a part{share} split off the training images", "selected and scored on the test part"


def _input_sizes(trials: Sequence[TrialRow]) -> Found:
    small = {info.name for info in CIFAR_FORMS}
    sizes: dict[int, set[str]] = defaultdict(set)
    for trial in trials:
        if trial.backbone in PAPER_BACKBONES and trial.input_size:
            expected = SMALL if trial.backbone in small else LARGE
            if trial.input_size != expected:
                sizes[trial.input_size].add(trial.backbone)
    for size, names in sorted(sizes.items()):
        paper = "32 px with a stem made for it" if size != SMALL else "enlarged to 224 px, with the stem for that"
        yield f"{size} px: {', '.join(sorted(names))}", paper


def _recipes(trials: Sequence[TrialRow]) -> Found:
    used: dict[str, set[str]] = defaultdict(set)
    for trial in trials:
        family = PAPER_FAMILY.get(trial.backbone)
        if trial.recipe != "paper" and family and trial.recipe != family:
            used[trial.recipe].add(f"{trial.backbone} ({family})")
    for recipe, names in sorted(used.items()):
        yield f"{recipe}: {', '.join(sorted(names))}", "the recipe in brackets"


def _length(trials: Sequence[TrialRow]) -> Found:
    epochs, batches = ({getattr(trial, name) for trial in trials} for name in ("epochs_planned", "batch_size"))
    if epochs != {EPOCHS} or batches != {BATCH_SIZE}:
        here = f"{_numbers(epochs)} epochs in batches of {_numbers(batches)}"
        yield here, f"{EPOCHS} epochs in batches of {BATCH_SIZE}"


def _score(trials: Sequence[TrialRow]) -> Found:
    paper = "not stated; its code reports the median (CNN) or the best (ViT) of the last ten epochs, on the test part"
    yield "; ".join(_values(trial.score_rule for trial in trials)), paper


def _seeds(trials: Sequence[TrialRow]) -> Found:
    role = "confirm" if any(trial.role == "confirm" for trial in trials) else "default"
    cells: dict[tuple[str, str, str, int], int] = defaultdict(int)
    for trial in trials:
        if trial.role == role:
            cells[trial.backbone, trial.recipe, trial.optimizer, trial.number] += 1
    if cells and set(cells.values()) != {SEEDS}:
        yield (
            f"{_numbers(set(cells.values()))} for each {role} setting",
            f"the mean of {SEEDS} trials, without a spread",
        )


def _search(facts: SpecFacts, trials: Sequence[TrialRow]) -> Found:
    if {trial.hp_source for trial in trials} <= {"paper", "paper-grid"}:
        return
    paper = "learning rate and weight decay on at most 5 x 5 values around a start chosen by hand for each optimizer"
    yield "; ".join(facts.protocol) or "not recorded", paper


def _clipping(trials: Sequence[TrialRow]) -> Found:
    differ: dict[tuple[str, str], set[str]] = defaultdict(set)
    for trial in trials:
        if (settings := _settings(trial)) and trial.backbone in PAPER_FAMILY:
            paper = CLIP if PAPER_FAMILY[trial.backbone] == "deit" else None
            if (here := settings.get("clip_grad_norm")) != paper:
                differ[_clip_words(here), _clip_words(paper)].add(trial.backbone)
        elif settings.get("clip_grad_norm") is not None:
            differ[_clip_words(settings["clip_grad_norm"]), "in its recipe DeiT alone, at 5"].add(trial.backbone)
    for (clipped, expected), names in sorted(differ.items()):
        yield f"{clipped}: {', '.join(sorted(names))}", expected


def _clip_words(norm: float | None) -> str:
    return "none" if norm is None else f"norm of {norm:g}"


def _decay_groups(trials: Sequence[TrialRow]) -> Found:
    """By what acted: a group of exempt parameters that has members, or none."""
    differ: dict[str, set[str]] = defaultdict(set)
    for trial in trials:
        here = _acting_exemption(trial)
        if here is not None and here is not DecayExemption.RELEASED.acting_for(trial.optimizer):
            differ["exempt" if here is DecayExemption.VECTORS else "decayed"].add(trial.optimizer)
    for what, names in sorted(differ.items()):
        yield (
            f"biases, norm weights and layer scales are {what} with {', '.join(sorted(names))}",
            "its configs exempt them with adamw, adan and lamb and decay everything with all others",
        )


def _acting_exemption(trial: TrialRow) -> DecayExemption | None:
    if trial.groups:
        groups = json.loads(trial.groups)
        exempt = any(group.get("name") == "exempt" and group.get("tensors") for group in groups)
        return DecayExemption.VECTORS if exempt else DecayExemption.NONE
    stated = _settings(trial).get("decay_exemption")
    return DecayExemption(stated).acting_for(trial.optimizer) if stated else None


def _settings(trial: TrialRow) -> Mapping[str, Any]:
    return json.loads(trial.recipe_settings) if trial.recipe_settings else {}


def _values(found: Iterable[str | None]) -> list[str]:
    return sorted({value for value in found if value})


def _numbers(found: Iterable[int]) -> str:
    ordered = sorted(found)
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
