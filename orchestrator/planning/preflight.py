"""What can be known to fail is refused before anything starts: data, networks and optimizers are tried for real."""

from __future__ import annotations

from orchestrator.errors import SpecError
from orchestrator.planning.plan import Plan
from search_spaces.errors import UserError
from search_spaces.recipes import DecayExemption
from trainers.data.dataset_info import describe_dataset, resolve_dataset


def check_plan(plan: Plan) -> None:
    """Opens the data's files, builds every network once, and looks at every optimizer's class.

    Raises:
        SpecError: Something of it cannot be had, or does not fit together.
    """
    try:
        _check_images(plan)
        _check_classes(plan)
    except UserError as error:
        raise SpecError(str(error)) from None


def _check_images(plan: Plan) -> None:
    # Deferred, here and below: a plan for `status` or `--help` must not wait for numpy and torch.
    from trainers.data.datasets import check_data

    check_data(plan.data)
    size = resolve_dataset(plan.data.name).image_size
    for cell in plan.cells:
        if cell.recipe.crop_padding >= size:
            raise SpecError(
                f"recipe {cell.recipe.name}: crop_padding = {cell.recipe.crop_padding} must be below the images' "
                f"{size} px; set training.crop_padding"
            )


def _check_classes(plan: Plan) -> None:
    dataset = describe_dataset(plan.data)
    if dataset.name == "synthetic":
        from trainers.synthetic import behaviour_of

        for backbone in plan.backbones.values():
            behaviour_of(backbone)
        return
    from trainers.networks.backbones import build_backbone, check_accepts
    from trainers.optimization.optimizers import build_optimizer, optimizer_class

    for optimizer in plan.optimizers.values():
        optimizer_class(optimizer)
    for name, backbone in plan.backbones.items():
        cells = [cell for cell in plan.cells if cell.backbone.name == name]
        network = build_backbone(
            backbone, classes=dataset.classes, channels=dataset.channels, image_size=cells[0].image_size
        )
        for size in sorted({cell.recipe.train_size for cell in cells if cell.recipe.train_size}):
            check_accepts(backbone, network, channels=dataset.channels, image_size=size)
        for optimizer in {cell.optimizer.name: cell.optimizer for cell in cells}.values():
            build_optimizer(optimizer, optimizer.defaults, network, DecayExemption.VECTORS)
