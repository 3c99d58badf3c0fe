"""The backbones of the BOCB paper (arXiv 2410.06373), in the forms that it trains on ImageNet and on CIFAR-100.

A network that the paper trains at 32 px has two records of one name: `PAPER_BACKBONES` holds its ImageNet form,
`CIFAR_FORMS` the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.backbone_info import ArgumentValue, BackboneInfo

IMAGENET_SIZES = (160, 192, 224, 256, 288)
"""Sizes that the ImageNet forms of convolutional and MetaFormer networks take; others have one size only."""
_TIMM = "trainers.timm_models:create_model"
_METAFORMER = "trainers.paper_networks:metaformer"

PAPER_BACKBONES: tuple[BackboneInfo, ...] = (
    BackboneInfo(
        name="alexnet",
        family="primary",
        builder="trainers.paper_networks:alexnet",
        image_sizes=IMAGENET_SIZES,
        parameters=61_100_840,
        macs=714_188_480,
        input_size=224,
        source="torchvision AlexNet, dropout 0.5; weights drawn as torchvision does",
    ),
    BackboneInfo(
        name="vgg13_bn",
        family="primary",
        builder=_TIMM,
        arguments={"model_name": "vgg13_bn", "drop_rate": 0.5},
        image_sizes=IMAGENET_SIZES,
        parameters=133_053_736,
        macs=11_308_466_176,
        input_size=224,
        source="timm vgg13_bn with its dropout of 0.5; weights drawn as timm does, hidden layers as convolutions",
    ),
    BackboneInfo(
        name="resnet50",
        family="classical",
        builder=_TIMM,
        arguments={"model_name": "resnet50"},
        image_sizes=IMAGENET_SIZES,
        parameters=25_557_032,
        macs=4_089_184_256,
        input_size=224,
        source="timm resnet50; weights drawn as timm does (last norm of a branch from 0)",
    ),
    BackboneInfo(
        name="resnet101",
        family="classical",
        builder=_TIMM,
        arguments={"model_name": "resnet101"},
        image_sizes=IMAGENET_SIZES,
        parameters=44_549_160,
        macs=7_801_405_440,
        input_size=224,
        source="timm resnet101; weights drawn as timm does (last norm of a branch from 0)",
    ),
    BackboneInfo(
        name="densenet121",
        family="classical",
        builder=_TIMM,
        arguments={"model_name": "densenet121"},
        image_sizes=IMAGENET_SIZES,
        parameters=7_978_856,
        macs=2_834_161_664,
        input_size=224,
        source="timm densenet121; weights drawn as timm does",
    ),
    BackboneInfo(
        name="mobilenetv2",
        family="classical",
        builder=_TIMM,
        arguments={"model_name": "mobilenetv2_100"},
        image_sizes=IMAGENET_SIZES,
        parameters=3_504_872,
        macs=300_774_272,
        input_size=224,
        source="timm mobilenetv2_100, no dropout; weights drawn as timm does",
    ),
    BackboneInfo(
        name="efficientnet_b0",
        family="classical",
        builder=_TIMM,
        arguments={"model_name": "efficientnet_b0"},
        image_sizes=IMAGENET_SIZES,
        parameters=5_288_548,
        macs=385_814_752,
        input_size=224,
        source="timm efficientnet_b0, no dropout; weights drawn as timm does",
    ),
    BackboneInfo(
        name="repvgg_a1",
        family="classical",
        builder=_TIMM,
        arguments={"model_name": "repvgg_a1"},
        image_sizes=IMAGENET_SIZES,
        parameters=14_092_264,
        macs=2_626_488_320,
        input_size=224,
        source="timm repvgg_a1, branches apart as it trains; weights drawn as timm does",
    ),
    BackboneInfo(
        name="deit_small",
        family="modern",
        builder=_TIMM,
        arguments={"model_name": "deit_small_patch16_224"},
        image_sizes=(224,),
        parameters=22_050_664,
        macs=4_598_882_304,
        input_size=224,
        source="timm deit_small_patch16_224; weights drawn as timm does",
    ),
    BackboneInfo(
        name="mixer_s16",
        family="modern",
        builder=_TIMM,
        arguments={"model_name": "mixer_s16_224"},
        image_sizes=(224,),
        parameters=18_528_264,
        macs=3_776_958_464,
        input_size=224,
        source="timm mixer_s16_224; weights drawn as timm does (classifier from 0)",
    ),
    BackboneInfo(
        name="swin_tiny",
        family="modern",
        builder=_TIMM,
        arguments={"model_name": "swin_tiny_patch4_window7_224"},
        image_sizes=(224,),
        parameters=28_288_354,
        macs=4_490_566_656,
        input_size=224,
        source="timm swin_tiny_patch4_window7_224; weights drawn as timm does",
    ),
    BackboneInfo(
        name="convnext_tiny",
        family="modern",
        builder=_TIMM,
        arguments={"model_name": "convnext_tiny"},
        image_sizes=IMAGENET_SIZES,
        parameters=28_589_128,
        macs=4_455_531_264,
        input_size=224,
        source="timm convnext_tiny; weights drawn as timm does",
    ),
    BackboneInfo(
        name="convnextv2_tiny",
        family="modern",
        builder=_TIMM,
        arguments={"model_name": "convnextv2_tiny"},
        image_sizes=IMAGENET_SIZES,
        parameters=28_635_496,
        macs=4_455_531_264,
        input_size=224,
        source="timm convnextv2_tiny; weights drawn as timm does",
    ),
    BackboneInfo(
        name="identityformer_s12",
        family="modern",
        builder=_METAFORMER,
        arguments={
            "token_mixers": ("Identity",) * 4,
            "norm_layers": ("GroupNorm1NoBias",) * 4,
            "mlp_head": False,
        },
        image_sizes=IMAGENET_SIZES,
        parameters=11_891_712,
        macs=1_812_267_008,
        input_size=224,
        source="timm MetaFormer of depths 2-2-6-2; weights drawn as timm does; linear head, as published",
    ),
    BackboneInfo(
        name="poolformerv2_s12",
        family="modern",
        builder=_METAFORMER,
        arguments={
            "token_mixers": ("Pooling",) * 4,
            "norm_layers": ("GroupNorm1NoBias",) * 4,
            "mlp_head": False,
        },
        image_sizes=IMAGENET_SIZES,
        parameters=11_891_712,
        macs=1_812_267_008,
        input_size=224,
        source="timm MetaFormer of depths 2-2-6-2; weights drawn as timm does; linear head, as published",
    ),
    BackboneInfo(
        name="convformer_s12",
        family="modern",
        builder=_METAFORMER,
        arguments={
            "token_mixers": ("SepConv",) * 4,
            "norm_layers": ("LayerNorm2dNoBias",) * 4,
            "mlp_head": True,
        },
        image_sizes=IMAGENET_SIZES,
        parameters=19_527_192,
        macs=2_705_626_112,
        input_size=224,
        source="timm MetaFormer of depths 2-2-6-2; weights drawn as timm does; MLP head, as the published S18",
    ),
    BackboneInfo(
        name="attentionformer_s12",
        family="modern",
        builder=_METAFORMER,
        arguments={
            "token_mixers": ("Attention",) * 4,
            "norm_layers": ("LayerNormNoBias",) * 4,
            "mlp_head": True,
        },
        image_sizes=IMAGENET_SIZES,
        parameters=19_201_024,
        macs=5_589_592_064,
        input_size=224,
        source="timm MetaFormer of depths 2-2-6-2; weights drawn as timm does; MLP head, as its sister networks",
    ),
    BackboneInfo(
        name="caformer_s12",
        family="modern",
        builder=_METAFORMER,
        arguments={
            "token_mixers": ("SepConv", "SepConv", "Attention", "Attention"),
            "norm_layers": (*("LayerNorm2dNoBias",) * 2, *("LayerNormNoBias",) * 2),
            "mlp_head": True,
        },
        image_sizes=IMAGENET_SIZES,
        parameters=19_238_664,
        macs=2_816_264_192,
        input_size=224,
        source="timm MetaFormer of depths 2-2-6-2; weights drawn as timm does; MLP head, as the published S18",
    ),
    # Written here from their papers; no library has them.
    BackboneInfo(
        name="moganet_small",
        family="modern",
        builder="trainers.networks.moganet:MogaNet",
        image_sizes=IMAGENET_SIZES,
        parameters=25_335_675,
        macs=4_931_320_064,
        input_size=224,
        source="MogaNet-S, arXiv 2211.03295",
    ),
    BackboneInfo(
        name="unireplknet_tiny",
        family="modern",
        builder="trainers.networks.unireplknet:UniRepLKNet",
        image_sizes=IMAGENET_SIZES,
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
        image_sizes=IMAGENET_SIZES,
        parameters=28_258_960,
        macs=5_711_069_568,
        input_size=224,
        source="TransNeXt-Tiny, arXiv 2311.17132",
    ),
)


def _cifar_form(name: str, builder: str, source: str, **arguments: ArgumentValue) -> BackboneInfo:
    """A network's form for 32 px; the facts stay those of its ImageNet form, which has the same name."""
    return replace(
        _named(name),
        builder=builder,
        arguments=arguments,
        image_sizes=(32,),
        source=f"{source}; 32, 16, 8, 4 px",
    )


def _named(name: str) -> BackboneInfo:
    (found,) = (info for info in PAPER_BACKBONES if info.name == name)
    return found


_CONVNEXT = {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768)}

CIFAR_FORMS: tuple[BackboneInfo, ...] = (
    _cifar_form(
        "resnet50",
        "trainers.paper_networks:cifar_resnet",
        "timm resnet50 with a 3x3 stem of stride 1, no pooling",
        layers=(3, 4, 6, 3),
    ),
    _cifar_form(
        "resnet101",
        "trainers.paper_networks:cifar_resnet",
        "timm resnet101 with a 3x3 stem of stride 1, no pooling",
        layers=(3, 4, 23, 3),
    ),
    _cifar_form(
        "densenet121",
        "trainers.paper_networks:cifar_densenet",
        "timm densenet121 whose stem is one 3x3 convolution of stride 1, without norm and pooling",
        block_config=(6, 12, 24, 16),
    ),
    _cifar_form(
        "convnext_tiny",
        "trainers.paper_networks:cifar_convnext",
        "timm convnext_tiny with a 3x3 stem of stride 1",
        **_CONVNEXT,
    ),
    _cifar_form(
        "convnextv2_tiny",
        "trainers.paper_networks:cifar_convnext",
        "timm convnextv2_tiny with a 3x3 stem of stride 1",
        **_CONVNEXT,
        use_grn=True,
        ls_init_value=None,
    ),
    _cifar_form(
        "moganet_small",
        "trainers.networks.moganet:MogaNet",
        "MogaNet-S, arXiv 2211.03295, both 3x3 convolutions of its stem with stride 1",
        stem_stride=1,
    ),
)
"""Second forms of networks of the catalogue: the ones that the paper trains at 32 px."""

SHORT_NAMES: Mapping[str, str] = {
    "AlexNet": "alexnet",
    "VGG-13": "vgg13_bn",
    "R-50": "resnet50",
    "R-101": "resnet101",
    "DN-121": "densenet121",
    "MobV2": "mobilenetv2",
    "Eff-B0": "efficientnet_b0",
    "RVGG-A1": "repvgg_a1",
    "DeiT-S": "deit_small",
    "MLP-S": "mixer_s16",
    "Swin-T": "swin_tiny",
    "CNX-T": "convnext_tiny",
    "CNXV2-T": "convnextv2_tiny",
    "Moga-S": "moganet_small",
    "URLK-T": "unireplknet_tiny",
    "TNX-T": "transnext_tiny",
    "IF-12": "identityformer_s12",
    "PFV2-12": "poolformerv2_s12",
    "CF-12": "convformer_s12",
    "AF-12": "attentionformer_s12",
    "CAF-12": "caformer_s12",
}
"""What the paper's tables call them."""

PAPER20: tuple[str, ...] = tuple(name for name in SHORT_NAMES.values() if name != "resnet101")
"""The rows of its Table 1; ResNet-101 is only in its figures."""
