"""The backbones that can be swept, as data: which class with which arguments, and facts about each."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.backbone_info import BackboneInfo as BackboneInfo
from search_spaces.backbone_info import Initialisation as Initialisation
from search_spaces.cifar_forms import CIFAR_FORMS
from search_spaces.errors import UserError, unknown_name
from search_spaces.paper_backbones import PAPER_BACKBONES
from search_spaces.paper_names import PAPER20, SHORT_NAMES

BACKBONES: tuple[BackboneInfo, ...] = (
    BackboneInfo(
        name="resnet_digits",
        family="digits",
        builder="trainers.networks.timm_models:small_stem_resnet",
        arguments={"layers": (1, 1, 1, 1), "channels": (16, 24, 32, 48), "stem_channels": 16},
        takes_drop_path=True,
        initialisation=Initialisation.TIMM,
        source="own form of timm ResNet for 8 px: basic blocks, 3x3 stem of stride 1, no pooling; 8, 4, 2, 1 px",
    ),
    BackboneInfo(
        name="repvgg_digits",
        family="digits",
        builder="trainers.networks.timm_models:repvgg",
        arguments={"depths": (1, 2, 1), "channels": (16, 32, 64), "strides": (1, 2, 2)},
        takes_drop_path=True,
        initialisation=Initialisation.TIMM,
        source="own form of timm ByobNet with RepVGG blocks for 8 px, three stages; 4, 2, 1 px",
    ),
    BackboneInfo(
        name="convnext_digits",
        family="digits",
        builder="timm.models.convnext:ConvNeXt",
        arguments={"depths": (1, 1, 1, 1), "dims": (16, 24, 32, 48), "patch_size": 1, "kernel_sizes": 3},
        takes_drop_path=True,
        initialisation=Initialisation.TIMM,
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
            "pre_norm": True,
            "weight_init": "moco",
        },
        takes_image_size=True,
        takes_drop_path=True,
        image_sizes=(8,),
        initialisation=Initialisation.MOCO,
        source="own form of timm VisionTransformer for 8 px: 16 patches of 2 px, normed at once; mean of the tokens",
    ),
    BackboneInfo(
        name="resnet18_cifar",
        family="cifar",
        builder="trainers.networks.timm_models:small_stem_resnet",
        arguments={"layers": (2, 2, 2, 2), "channels": (64, 128, 256, 512), "stem_channels": 64},
        takes_drop_path=True,
        parameters=11_689_512,
        macs=1_814_073_344,
        input_size=224,
        initialisation=Initialisation.TIMM,
        source="own form of timm resnet18 for 32 px: 3x3 stem of stride 1, no pooling; 32, 16, 8, 4 px",
    ),
    BackboneInfo(
        name="deit_tiny_cifar",
        family="cifar",
        builder="timm.models.vision_transformer:VisionTransformer",
        arguments={"patch_size": 4, "embed_dim": 192, "depth": 12, "num_heads": 3},
        takes_image_size=True,
        takes_drop_path=True,
        parameters=5_717_416,
        macs=1_253_683_200,
        input_size=224,
        initialisation=Initialisation.TIMM,
        source="own form of timm deit_tiny_patch16_224 for 32 px: patches of 4 px, 64 of them",
    ),
    BackboneInfo(
        name="convnext_atto_cifar",
        family="cifar",
        builder="timm.models.convnext:ConvNeXt",
        arguments={"depths": (2, 2, 6, 2), "dims": (40, 80, 160, 320), "conv_mlp": True, "patch_size": 2},
        takes_drop_path=True,
        parameters=3_695_520,
        macs=547_332_480,
        input_size=224,
        initialisation=Initialisation.TIMM,
        source="own form of timm convnext_atto for 32 px: 2x2 stem of stride 2; 16, 8, 4, 2 px",
    ),
    BackboneInfo(
        name="deit_small_patch4_32",
        family="cifar",
        builder="timm.models.vision_transformer:VisionTransformer",
        arguments={"patch_size": 4, "embed_dim": 384, "depth": 12, "num_heads": 6},
        takes_image_size=True,
        takes_drop_path=True,
        image_sizes=(32,),
        parameters=21_723_496,
        macs=1_420_689_408,
        input_size=32,
        initialisation=Initialisation.TIMM,
        source="not the paper's: its DeiT-S (timm deit_small_patch16_224) at 32 px with patches of 4 px, 64 of them",
    ),
    *PAPER_BACKBONES,
    *(
        BackboneInfo(
            name=f"synthetic_{letter}",
            family="synthetic",
            builder="trainers.synthetic:Behaviour",
            initialisation=Initialisation.NONE,
            source="no network: a learning curve with planted coupling, for data set synthetic only",
        )
        for letter in "abcd"
    ),
)

BACKBONE_LISTS: Mapping[str, tuple[str, ...]] = {"paper20": PAPER20}
"""Names that stand for backbones of several families in a grid."""


def list_backbones() -> tuple[BackboneInfo, ...]:
    """Every backbone of the catalogue; names of timm and a user's own functions are accepted beside them."""
    return BACKBONES


def full_name(name: str) -> str:
    """The catalogue's name for what the paper's tables call it; any other name as it is."""
    return SHORT_NAMES.get(name, name)


def expand_backbones(name: str) -> tuple[str, ...]:
    """The backbones that a word of a grid stands for: the members of a family or a list, else the one it names.

    Raises:
        UserError: The catalogue lacks members of the list.
    """
    members = tuple(info.name for info in BACKBONES if name in (info.family, info.name))
    listed = BACKBONE_LISTS.get(name, ())
    known = [info.name for info in BACKBONES]
    if missing := [member for member in listed if member not in known]:
        families = ", ".join(dict.fromkeys(info.family for info in BACKBONES if info.name in listed))
        raise UserError(
            f"{name} is not complete in this version: {', '.join(missing)} are missing; "
            f"name the families {families} or single backbones"
        )
    return listed or members or (full_name(name),)


def get_backbone(name: str) -> BackboneInfo:
    """The backbone of that name in the catalogue.

    Raises:
        UserError: The catalogue has no such name.
    """
    for info in BACKBONES:
        if info.name == name:
            return info
    raise unknown_name("backbone", name, (info.name for info in BACKBONES))


def form_for(info: BackboneInfo, image_size: int) -> BackboneInfo:
    """The form of a backbone for images of that size: itself, or the one of the same name that takes them.

    Args:
        info: The backbone, in any of its forms.
        image_size: Side of the images in pixels.

    Raises:
        UserError: No form of it takes images of that size.
    """
    forms = _forms(info)
    for form in forms:
        if _accepts(form, image_size):
            return form
    accepted = ", ".join(map(str, accepted_sizes(info)))
    raise UserError(f"backbone {info.name} takes images of {accepted} px; got {image_size} px; set data.image_size")


def accepted_sizes(info: BackboneInfo) -> tuple[int, ...]:
    """Sides in pixels of the images that one of its forms takes; empty where one takes any."""
    sizes = [form.image_sizes for form in _forms(info)]
    return tuple(sorted({size for taken in sizes for size in taken})) if all(sizes) else ()


def image_size_for(info: BackboneInfo, data_size: int, asked: int | None) -> int:
    """The side in pixels at which a backbone sees a data set's images; they are resized where theirs is another.

    What a spec asks for; else the images' own where a form of the backbone takes it; else that of its ImageNet form.
    Names of timm always take that of their pretrained form: at 32 px a network that halves its map five times would
    end with a single pixel.

    Args:
        info: The backbone, in any of its forms.
        data_size: Side of the data set's images.
        asked: Side that a spec names, or None. Whether any form takes it is left to `form_for`.
    """
    if asked is not None:
        return asked
    forms = _forms(info)
    has_own = info.input_size is not None and any(_accepts(form, info.input_size) for form in forms)
    if has_own and (info.keeps_input_size or not any(_accepts(form, data_size) for form in forms)):
        return info.input_size or data_size
    return data_size


def acting_drop_path(info: BackboneInfo, rate: float) -> float:
    """The rate of stochastic depth that acts where `rate` is asked for: 0 where there is no branch to drop."""
    return rate if info.takes_drop_path else 0.0


def _forms(info: BackboneInfo) -> list[BackboneInfo]:
    """Itself, then the forms of the same name."""
    return [info, *(form for form in (*BACKBONES, *CIFAR_FORMS) if form.name == info.name)]


def _accepts(form: BackboneInfo, image_size: int) -> bool:
    return not form.image_sizes or image_size in form.image_sizes
