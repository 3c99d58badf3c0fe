"""The backbones that can be swept, as data: which class with which arguments, and facts about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.errors import unknown_name

ArgumentValue = float | int | bool | str | tuple[int, ...] | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneInfo:
    """One network: where its class is and what it is built with.

    The builder gets `arguments` and, beside them, `num_classes`, and `in_chans` and `img_size` where
    `takes_channels` and `takes_image_size` say so.
    """

    name: str
    family: str
    builder: str
    """Import path, `package.module:callable`."""
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict)
    takes_channels: bool = True
    takes_image_size: bool = False
    image_sizes: tuple[int, ...] = ()
    """Square input sizes it accepts, in pixels; empty accepts any."""
    parameters: int | None = None
    """Parameters in its 1000-class ImageNet form, or None where it has no such form."""
    macs: int | None = None
    """Multiply-accumulates of one forward pass in that form."""
    input_size: int | None = None
    """Pixels of that form."""
    source: str = ""


BACKBONES: tuple[BackboneInfo, ...] = (
    BackboneInfo(
        name="resnet_digits",
        family="digits",
        builder="trainers.timm_models:small_stem_resnet",
        arguments={"layers": (1, 1, 1, 1), "channels": (16, 24, 32, 48), "stem_channels": 16},
        source="own form of timm ResNet for 8 px: basic blocks, 3x3 stem of stride 1, no pooling; 8, 4, 2, 1 px",
    ),
    BackboneInfo(
        name="repvgg_digits",
        family="digits",
        builder="trainers.timm_models:repvgg",
        arguments={"depths": (1, 2, 1), "channels": (16, 32, 64), "strides": (1, 2, 2)},
        source="own form of timm ByobNet with RepVGG blocks for 8 px, three stages; 4, 2, 1 px",
    ),
    BackboneInfo(
        name="convnext_digits",
        family="digits",
        builder="timm.models.convnext:ConvNeXt",
        arguments={"depths": (1, 1, 1, 1), "dims": (16, 24, 32, 48), "patch_size": 1, "kernel_sizes": 3},
        source="own form of timm ConvNeXt for 8 px: 1x1 stem, 3x3 depthwise kernels; 8, 4, 2, 1 px",
    ),
    BackboneInfo(
        name="vit_digits",
        family="digits",
        builder="timm.models.vision_transformer:VisionTransformer",
        arguments={
            "patch_size": 2,
            "embed_dim": 48,
            "depth": 2,
            "num_heads": 3,
            "mlp_ratio": 2.0,
            "class_token": False,
            "global_pool": "avg",
            "weight_init": "jax",
        },
        takes_image_size=True,
        image_sizes=(8,),
        source="own form of timm VisionTransformer for 8 px: 16 patches of 2 px, mean of the tokens",
    ),
    BackboneInfo(
        name="resnet18_cifar",
        family="cifar",
        builder="trainers.timm_models:small_stem_resnet",
        arguments={"layers": (2, 2, 2, 2), "channels": (64, 128, 256, 512), "stem_channels": 64},
        parameters=11_689_512,
        macs=1_814_073_344,
        input_size=224,
        source="own form of timm resnet18 for 32 px: 3x3 stem of stride 1, no pooling; 32, 16, 8, 4 px",
    ),
    BackboneInfo(
        name="deit_tiny_cifar",
        family="cifar",
        builder="timm.models.vision_transformer:VisionTransformer",
        arguments={"patch_size": 4, "embed_dim": 192, "depth": 12, "num_heads": 3},
        takes_image_size=True,
        parameters=5_717_416,
        macs=1_253_683_200,
        input_size=224,
        source="own form of timm deit_tiny_patch16_224 for 32 px: patches of 4 px, 64 of them",
    ),
    BackboneInfo(
        name="convnext_atto_cifar",
        family="cifar",
        builder="timm.models.convnext:ConvNeXt",
        arguments={"depths": (2, 2, 6, 2), "dims": (40, 80, 160, 320), "conv_mlp": True, "patch_size": 2},
        parameters=3_695_520,
        macs=547_332_480,
        input_size=224,
        source="own form of timm convnext_atto for 32 px: 2x2 stem of stride 2; 16, 8, 4, 2 px",
    ),
    *(
        BackboneInfo(
            name=f"synthetic_{letter}",
            family="synthetic",
            builder="trainers.synthetic:Behaviour",
            source="no network: a learning curve with planted coupling, for data set synthetic only",
        )
        for letter in "abcd"
    ),
    # Written here from their papers; no library has them.
    BackboneInfo(
        name="moganet_small",
        family="modern",
        builder="trainers.networks.moganet:MogaNet",
        parameters=25_335_675,
        macs=4_931_320_064,
        input_size=224,
        source="MogaNet-S, arXiv 2211.03295",
    ),
    BackboneInfo(
        name="moganet_small_cifar",
        family="cifar",
        builder="trainers.networks.moganet:MogaNet",
        arguments={"stem_stride": 1},
        parameters=25_335_675,
        macs=4_931_320_064,
        input_size=224,
        source="MogaNet-S for 32 px: both 3x3 convolutions of the stem have stride 1; 32, 16, 8, 4 px",
    ),
    BackboneInfo(
        name="unireplknet_tiny",
        family="modern",
        builder="trainers.networks.unireplknet:UniRepLKNet",
        parameters=31_693_420,
        macs=5_003_516_800,
        input_size=224,
        source="UniRepLKNet-T as trained (re-parameterised 31.0 M parameters), arXiv 2311.15599",
    ),
    BackboneInfo(
        name="transnext_tiny",
        family="modern",
        builder="trainers.networks.transnext:TransNeXt",
        takes_image_size=True,
        parameters=28_258_960,
        macs=5_711_069_568,
        input_size=224,
        source="TransNeXt-Tiny, arXiv 2311.17132",
    ),
)


def list_backbones() -> tuple[BackboneInfo, ...]:
    """Every backbone of the catalogue; names of timm and a user's own functions are accepted beside them."""
    return BACKBONES


def backbone_families() -> tuple[str, ...]:
    """Names that stand for all their members in a grid."""
    return tuple(dict.fromkeys(info.family for info in BACKBONES))


def get_backbone(name: str) -> BackboneInfo:
    """The backbone of that name in the catalogue.

    Raises:
        UserError: The catalogue has no such name.
    """
    for info in BACKBONES:
        if info.name == name:
            return info
    raise unknown_name("backbone", name, (info.name for info in BACKBONES))
