"""Which recipe the paper trains each of its backbones with, and what its official configs say of some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.augmentation_names import OperationSet
from search_spaces.recipe_families import FAMILIES, cifar
from search_spaces.recipe_info import DecayExemption, Form, LrStep, Recipe

PAPER_FAMILY: Mapping[str, str] = {
    "alexnet": "pytorch",
    "vgg13_bn": "pytorch",
    "resnet50": "pytorch",
    "resnet101": "pytorch",
    "densenet121": "pytorch",
    "mobilenetv2": "pytorch",
    "efficientnet_b0": "rsb-a2",
    "repvgg_a1": "pytorch",
    "deit_small": "deit",
    "mixer_s16": "deit",
    "swin_tiny": "convnext",
    "convnext_tiny": "convnext",
    "convnextv2_tiny": "convnext",
    "moganet_small": "convnext",
    "unireplknet_tiny": "convnext",
    "transnext_tiny": "deit",
    "identityformer_s12": "rsb-a2",
    "poolformerv2_s12": "rsb-a2",
    "convformer_s12": "rsb-a2",
    "attentionformer_s12": "rsb-a2",
    "caformer_s12": "rsb-a2",
    "deit_small_patch4_32": "deit",
}
"""Table A1 of the paper, column "training setting"; ResNet-101, which is only in its figures, as ResNet-50, and our
form of DeiT-S for 32 px as DeiT-S."""
PAPER_FAMILY_IMAGENET: Mapping[str, str] = {**PAPER_FAMILY, "resnet50": "rsb-a2"}
"""The same on ImageNet: of the two networks there, Table 2 of the paper has ResNet-50 with RSB A2."""

_DECAY = DecayExemption.RELEASED
_AUGMENTED: dict[str, object] = {
    "label_smoothing": 0.1,
    "decay_exemption": _DECAY,
    "rand_augment": OperationSet.RELEASED14,
    "rand_augment_magnitude": 9.0,
    "erasing": 0.25,
    "mixup_alpha": 0.8,
    "cutmix_alpha": 1.0,
}
_AT_32: dict[str, object] = {**_AUGMENTED, "warmup_share": 5 / 200, "lr_step": LrStep.EPOCH}
_AT_224: dict[str, object] = {**_AUGMENTED, "warmup_share": 20 / 200, "min_lr": 1e-6, "clip_grad_norm": 5.0}


def _released(file: str, **fields: object) -> Recipe:
    source = f"the paper's code, configs/classification/cifar100/{file}"
    return replace(cifar("released", **fields), name="released", source=source)


RELEASED_CIFAR: Mapping[str, Recipe] = {
    "resnet50": _released("optimizers/basic/r50_CE_none_bs100.py", lr_step=LrStep.EPOCH, decay_exemption=_DECAY),
    "densenet121": _released("advanced/densenet_121_adamw_bs100_ep200.py", **_AT_32),
    "convnext_tiny": _released("advanced/convext_t_adamw_bs100_ep200.py", **_AT_32, drop_path=0.3),
    "moganet_small": _released("advanced/moganet_s_adamw_bs100_ep200.py", **_AT_32, drop_path=0.1),
    # Its drop path of 0.1 is written under a key that the network does not read.
    "deit_small": _released("advanced/deit_s_adamw_sz224_bs100_ep200.py", **_AT_224),
    "mixer_s16": _released("advanced/mlpmixer_s_adamw_sz224_bs100_ep200.py", **_AT_224, mlp_dropout=0.1),
    "swin_tiny": _released(
        "advanced/swin_t_adamw_sz224_bs100_ep200.py",
        **{**_AT_224, "rand_augment_magnitude": 7.0, "erasing": 0.0, "drop_path": 0.2},
    ),
}
"""The official CIFAR-100 configs; the other networks have none."""

RELEASED_AUGMENTED: Mapping[str, Recipe] = {
    "resnet50": replace(
        _released("advanced/resnet_50_adamw_bs100_ep200.py", **_AT_32, drop_path=0.05), name="released-augmented"
    ),
}
"""ResNet-50 has a second config: the augmentation of the modern networks."""


def _official_imagenet(family: str, file: str, **fields: object) -> Recipe:
    source = f"the paper's code, configs/classification/imagenet: {file}"
    changed = {"name": "released", "source": source, **fields}
    return replace(FAMILIES[family, Form.IMAGENET], **changed)  # type: ignore[arg-type]  # the keys are fields


_METAFORMER: dict[str, object] = {"min_lr": 1e-6, "test_crop_ratio": 0.95}
_CROP_248 = 224 / 248
"""Of configs that resize to 248 px."""

RELEASED_IMAGENET: Mapping[str, Recipe] = {
    "resnet50": _official_imagenet("pytorch", "resnet50_4xb64_cos_ep100.py"),
    "deit_small": _official_imagenet("deit", "deit_small_8xb128_ep300.py"),
    "unireplknet_tiny": _official_imagenet(
        "convnext",
        "unireplknet_t_8xb128_accu4_ep300.py",
        drop_path=0.2,
        test_crop_ratio=_CROP_248,
        repeats=1,
        ema_decay=None,
        ema_reference_steps=None,
    ),
    "transnext_tiny": _official_imagenet(
        "deit", "transnext_tiny_8xb128_ep300.py", drop_path=0.25, min_lr=1e-6, test_crop_ratio=_CROP_248
    ),
    "convnextv2_tiny": _official_imagenet(
        "convnext",
        "convnext_v2_tiny_8xb128_fp16_ep300.py",
        drop_path=0.2,
        warmup_share=40 / 300,
        warmup_start_share=1e-3,
        min_lr=1e-5,
        label_smoothing=0.2,
        repeats=1,
    ),
    "identityformer_s12": _official_imagenet("deit", "identityformer_s12_8xb128_ac4_ep300.py", **_METAFORMER),
    "poolformerv2_s12": _official_imagenet("deit", "poolformerv2_s12_8xb128_ac4_ep300.py", **_METAFORMER),
}
"""The official ImageNet configs, but for two things: the colour jitter of UniRepLKNet and TransNeXt is left out, and
erasing is timm's. Theirs draws noise of the same mean and deviation before normalisation."""
