"""From a spec's names to a plan: every cell resolved and checked before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.errors import SpecError
from orchestrator.planning.plan import Cell, Plan, Role, cell_key, check_dimensions
from orchestrator.planning.spec import OptimizerSection, RangeTable, Spec
from search_spaces.backbones import BackboneInfo, expand_backbones, form_for, full_name, image_size_for
from search_spaces.errors import UserError
from search_spaces.optimizers import (
    OptimizerInfo,
    custom_optimizer,
    expand_optimizers,
    full_optimizer_name,
    get_optimizer,
    with_ranges,
)
from search_spaces.paper_settings import paper_setting
from search_spaces.recipe_info import Form
from search_spaces.recipes import Recipe, acting_recipe, recipe_for
from trainers.config import DataConfig, TrainOn, Validation
from trainers.data.dataset_info import is_own, resolve_dataset
from trainers.imports import source_sha256
from trainers.networks.backbones import resolve_backbone

COLOURS = 3

_NEEDS = {
    "drop_path": "stochastic depth needs a backbone with residual branches",
    "mlp_dropout": "dropout within MLPs needs a backbone that takes it",
    **dict.fromkeys(("warmup_share", "min_lr", "lr_step"), "every optimizer of the grid has a schedule of its own"),
    "ema_decay": "every optimizer of the grid averages the weights itself",
    "crop_padding": 'a crop that is padded needs resized_crop_scale = "none"',
    "rand_augment_magnitude": "a magnitude needs rand_augment",
    "rand_augment_std": "a deviation of the magnitude needs rand_augment",
    "erasing_form": "a form of erasing needs erasing above 0",
    "warmup_start_share": "a start of the warm-up needs warmup_share or warmup_epochs above 0",
}
"""What the recipe fields that may be without effect need (`acting_recipe`)."""


def make_plan(spec: Spec) -> Plan:
    """The plan of a spec.

    Raises:
        SpecError: A name is unknown, a combination impossible, or the grid empty.
    """
    try:
        data = _data(spec)
        plan = Plan(spec=spec, cells=_cells(spec), data=data)
    except UserError as error:
        raise SpecError(str(error)) from None
    _check_paper_settings(plan)
    _check_corruptions(plan)
    return plan


def _data(spec: Spec) -> DataConfig:
    dataset = resolve_dataset(spec.data.name)
    if dataset.needs_path and spec.data.path is None:
        raise SpecError(f"data.path is missing: {dataset.name} is read from files; name the folder that has them")
    if spec.data.validation is Validation.TEST and spec.protocol.confirm.train_on is TrainOn.ALL:
        raise SpecError(
            'data.validation = "test" already trains on the whole training part; leave out protocol.confirm.train_on'
        )
    return DataConfig(
        name=spec.data.name,
        path=spec.data.path,
        image_size=spec.data.image_size,
        validation=spec.data.validation,
        validation_fraction=spec.data.validation_fraction,
        split_seed=spec.sweep.seed,
        max_bad_samples=spec.data.max_bad_samples,
        source_sha256=source_sha256(dataset.name) if is_own(dataset.name) else None,
    )


def _cells(spec: Spec) -> tuple[Cell, ...]:
    backbones = [_sized_backbone(spec, name) for name in _backbone_names(spec)]
    optimizers = [_optimizer(spec, name) for name in _optimizer_names(spec)]
    recipes = _distinct("grid.recipes", _recipe_names(spec))
    excluded = _excluded(spec, [info.name for info, _ in backbones], [info.name for info in optimizers])
    _check_described(spec, [info.name for info in optimizers])
    cells = tuple(
        Cell(
            backbone=backbone,
            image_size=size,
            recipe=_recipe(spec, recipe, backbone, size, optimizer),
            optimizer=optimizer,
            key=cell_key(backbone.name, recipe, optimizer.name),
        )
        for backbone, size in backbones
        for recipe in recipes
        for optimizer in optimizers
        if (backbone.name, optimizer.name) not in excluded
    )
    if not cells:
        raise SpecError("the grid has no cells: every pair is excluded")
    _check_overrides(spec, cells)
    return cells


def _as_list(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def _distinct(field: str, names: Iterable[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        if name in found:
            raise SpecError(f"{field} names {name!r} twice")
        found.append(name)
    if not found:
        raise SpecError(f"{field} is empty; name at least one")
    return found


def _backbone_names(spec: Spec) -> list[str]:
    """The backbones' names, with families, lists and short names written out."""
    words = _as_list(spec.grid.backbones)
    return _distinct("grid.backbones", (name for word in words for name in expand_backbones(word)))


def _sized_backbone(spec: Spec, name: str) -> tuple[BackboneInfo, int]:
    """A backbone in its form for the size of images that it takes in this sweep, and that size."""
    info = resolve_backbone(name)
    is_planted = info.family == "synthetic"
    if is_planted != (spec.data.name == "synthetic") and info.family != "own":
        kind = "synthetic, which has no images" if is_planted else "made for images"
        raise SpecError(f"backbone {name} is {kind}; data.name = {spec.data.name!r} does not fit it")
    size = image_size_for(info, resolve_dataset(spec.data.name).image_size, spec.data.image_size)
    return form_for(info, size), size


def _optimizer_names(spec: Spec) -> list[str]:
    """The optimizers' names, with lists and short names written out."""
    words = _as_list(spec.grid.optimizers)
    return _distinct("grid.optimizers", (name for word in words for name in expand_optimizers(word)))


def _optimizer(spec: Spec, name: str) -> OptimizerInfo:
    ranges = {
        dimension: entry.model_dump(exclude_none=True) if isinstance(entry, RangeTable) else entry
        for dimension, entry in spec.search_spaces.get(name, {}).items()
    }
    own: OptimizerSection | None = spec.optimizers.get(name)
    if own is not None:
        info = custom_optimizer(name, class_path=own.class_, arguments=own.args, ranges=ranges)
        info = replace(info, source_sha256=source_sha256(own.class_))
    else:
        info = get_optimizer(name)
        info = with_ranges(info, ranges) if ranges else info
    check_dimensions(info)
    return info


def _recipe_names(spec: Spec) -> list[str]:
    return _as_list(spec.grid.recipes) if spec.grid.recipes else [resolve_dataset(spec.data.name).recipe]


def _recipe(spec: Spec, name: str, backbone: BackboneInfo, image_size: int, optimizer: OptimizerInfo) -> Recipe:
    """A recipe with what the spec overrides, as far as it acts in a cell."""
    recipe = recipe_for(name, backbone=backbone.name, dataset=resolve_dataset(spec.data.name), image_size=image_size)
    return acting_recipe(replace(recipe, **spec.training.recipe_overrides()), backbone, optimizer)


def _check_overrides(spec: Spec, cells: tuple[Cell, ...]) -> None:
    """Refuses a recipe field that acts in no cell, because something else keeps it from acting."""
    for name, value in spec.training.recipe_overrides().items():
        # Which parameters are exempt always acts, also where it follows from the optimizer.
        if name != "decay_exemption" and all(getattr(cell.recipe, name) != value for cell in cells):
            raise SpecError(
                f"training.{name} = {value!r} acts in no cell: {_NEEDS[name]}; leave it out, or set that too"
            )


def _excluded(spec: Spec, backbones: list[str], optimizers: list[str]) -> set[tuple[str, str]]:
    for backbone, optimizer in spec.grid.exclude:
        if full_name(backbone) not in backbones or full_optimizer_name(optimizer) not in optimizers:
            raise SpecError(f"grid.exclude names {[backbone, optimizer]}, which is not a pair of the grid")
    return {(full_name(backbone), full_optimizer_name(optimizer)) for backbone, optimizer in spec.grid.exclude}


def _check_paper_settings(plan: Plan) -> None:
    """Refuses a pair that the paper has no setting for where one is asked for, and ranges that nothing would use."""
    spec, protocol = plan.spec, plan.protocol
    is_grid = protocol.tune.is_grid and protocol.tune.trials > 0
    field = 'protocol.tune.sampler = "paper-grid"' if is_grid else 'protocol.default.setting = "paper"'
    if is_grid or (protocol.default.setting == "paper" and protocol.default.seeds):
        for cell in plan.cells:
            try:
                paper_setting(cell.backbone.name, cell.optimizer.name)
            except UserError as error:
                raise SpecError(f"{field}: {error}") from None
    if is_grid and spec.search_spaces and not protocol.design.points:
        raise SpecError(
            f"[search_spaces.{next(iter(spec.search_spaces))}] changes no trial: {field} has its own values; "
            "leave it out, or add [protocol.design] points"
        )


def _check_corruptions(plan: Plan) -> None:
    """Refuses corruptions where there is nothing to test on them, or images they are not made for."""
    if not plan.spec.evaluation.corruptions:
        return
    if not plan.trials_by_role()[Role.CONFIRM]:
        raise SpecError(
            "evaluation.corruptions = true tests confirm trials, and the spec has none; add [protocol.confirm]"
        )
    dataset = resolve_dataset(plan.data.name)
    if dataset.channels != COLOURS or dataset.form is not Form.CIFAR:
        raise SpecError(
            "evaluation.corruptions = true takes colour images of at most 64 px that are held in memory, such as "
            f"cifar10, cifar100 or arrays of your own; {dataset.name} has {dataset.channels} "
            f"channel{'s' if dataset.channels > 1 else ''} at {dataset.image_size} px; leave it out"
        )


def _check_described(spec: Spec, optimizers: list[str]) -> None:
    for table, names in (("search_spaces", spec.search_spaces), ("optimizers", spec.optimizers)):
        for name in names:
            if name not in optimizers:
                raise SpecError(f"[{table}.{name}] describes an optimizer that grid.optimizers does not name")
