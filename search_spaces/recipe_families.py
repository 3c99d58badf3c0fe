"""The recipe families of the paper, each in its CIFAR and its ImageNet form.

Numbers are those of Table A3 of the paper (arXiv 2410.06373). Where the table is silent they are those of its
official configs, as `recipes.csv` in the tables of the paper lists them, with the place of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.augmentation_names import ErasingForm, OperationSet
from search_spaces.recipe_info import Form, Loss, LrStep, Recipe

CIFAR_STEPS = 200 * 500
"""Optimizer steps of a CIFAR run of the paper: 200 epochs of 50,000 images in batches of 100."""
IMAGENET_STEPS = 300 * 1252
"""Of an ImageNet run: 300 epochs in batches of 1024, as the official configs count them."""
SMALL_CROP = 4
"""Pixels of reflect padding where images keep their size."""
RESIZED_SCALE = (0.8, 1.0)
"""Scale of the random resized crop where CIFAR images are enlarged to 224 px."""


_SOURCE = "paper Table A3, {} on {}, its holes filled from the official configs"


def _family(name: str, *, cifar: Recipe, imagenet: Recipe) -> dict[tuple[str, Form], Recipe]:
    forms = {Form.CIFAR: cifar, Form.IMAGENET: imagenet}
    return {(name, form): replace(recipe, name=name) for form, recipe in forms.items()}


def cifar(family: str, **fields: object) -> Recipe:
    """A recipe for small images at their own size; what is not given is off."""
    source = _SOURCE.format(family, "CIFAR-100")
    given = {"name": family, "crop_padding": SMALL_CROP, "horizontal_flip": True, "source": source, **fields}
    return Recipe(**given)  # type: ignore[arg-type]  # the keys are fields, checked by every test of a recipe


def imagenet(family: str, **fields: object) -> Recipe:
    """A recipe for large images; what is not given is off."""
    source = _SOURCE.format(family, "ImageNet-1K")
    given = {"name": family, "resized_crop_scale": (0.08, 1.0), "horizontal_flip": True, "source": source, **fields}
    return Recipe(**given)  # type: ignore[arg-type]  # as above


_MODERN: dict[str, object] = {
    "label_smoothing": 0.1,
    "drop_path": 0.1,
    "rand_augment_magnitude": 9.0,
    "erasing": 0.25,
    "mixup_alpha": 0.8,
    "cutmix_alpha": 1.0,
}
_MODERN_CIFAR: dict[str, object] = {
    **_MODERN,
    "rand_augment": OperationSet.RELEASED14,
    "repeats": 3,
    "ema_decay": 0.9999,
    "ema_reference_steps": CIFAR_STEPS,
}
_MODERN_IMAGENET: dict[str, object] = {
    **_MODERN,
    "rand_augment": OperationSet.TIMM15,
    "erasing_form": ErasingForm.NORMALISED,
    "test_crop_ratio": 0.875,
}
_CONVNEXT_IMAGENET: dict[str, object] = {
    "warmup_share": 20 / 300,
    "warmup_start_share": 1e-6,
    "min_lr": 1e-6,
    "repeats": 3,
    "ema_decay": 0.9999,
    "ema_reference_steps": IMAGENET_STEPS,
}
_RSB: dict[str, object] = {
    "loss": Loss.BINARY,
    "lr_step": LrStep.EPOCH,
    "rand_augment": OperationSet.TIMM15,
    "mixup_alpha": 0.1,
    "cutmix_alpha": 1.0,
}
_A2: dict[str, object] = {**_RSB, "drop_path": 0.05, "rand_augment_magnitude": 7.0, "min_lr": 1e-6, "repeats": 3}
_A3: dict[str, object] = {**_RSB, "rand_augment_magnitude": 6.0}

FAMILIES: Mapping[tuple[str, Form], Recipe] = {
    **_family(
        "pytorch",
        cifar=cifar("PyTorch", lr_step=LrStep.EPOCH),
        imagenet=imagenet("PyTorch", lr_step=LrStep.EPOCH, test_crop_ratio=0.875),
    ),
    **_family(
        "deit",
        cifar=cifar("DeiT", **_MODERN_CIFAR, warmup_share=5 / 200, min_lr=1e-6, clip_grad_norm=5.0),
        imagenet=imagenet(
            "DeiT", **_MODERN_IMAGENET, warmup_share=5 / 300, warmup_start_share=1e-6, min_lr=1e-5, clip_grad_norm=5.0
        ),
    ),
    **_family(
        "convnext",
        cifar=cifar("ConvNeXt", **_MODERN_CIFAR, warmup_share=20 / 200, lr_step=LrStep.EPOCH),
        imagenet=replace(
            imagenet("ConvNeXt", **_MODERN_IMAGENET, **_CONVNEXT_IMAGENET),
            source="paper Table A3, row ConvNeXt; it has no ImageNet column, so lengths and crops are those of DeiT "
            "there, and the rest is as in the official convnext_tiny_8xb256_accu2_fp16_ep300.py",
        ),
    ),
    **_family(
        "rsb-a2",
        cifar=cifar("RSB A2", **_A2, warmup_share=5 / 200),
        imagenet=imagenet("RSB A2", **_A2, warmup_share=5 / 300, test_crop_ratio=0.95),
    ),
    **_family(
        "rsb-a3",
        cifar=replace(
            cifar("RSB A3", **_A3, warmup_share=5 / 100),
            source="paper Table A3, row RSB A3; it has no CIFAR column, so crops are those of RSB A2 there",
        ),
        imagenet=imagenet("RSB A3", **_A3, warmup_share=5 / 100, train_size=160, test_crop_ratio=0.95),
    ),
}
"""By name and form."""


def enlarged(recipe: Recipe) -> Recipe:
    """A recipe for small images as it is where they are enlarged: with a random resized crop, not a padded one."""
    return replace(recipe, crop_padding=0, resized_crop_scale=RESIZED_SCALE)
