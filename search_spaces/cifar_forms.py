"""The forms in which the BOCB paper (arXiv 2410.06373) trains some of its backbones at 32 px."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.backbone_info import ArgumentValue, BackboneInfo
from search_spaces.paper_backbones import PAPER_BACKBONES


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
        "trainers.networks.paper_networks:cifar_resnet",
        "timm resnet50 with a 3x3 stem of stride 1, no pooling",
        layers=(3, 4, 6, 3),
    ),
    _cifar_form(
        "resnet101",
        "trainers.networks.paper_networks:cifar_resnet",
        "timm resnet101 with a 3x3 stem of stride 1, no pooling",
        layers=(3, 4, 23, 3),
    ),
    _cifar_form(
        "densenet121",
        "trainers.networks.paper_networks:cifar_densenet",
        "timm densenet121 whose stem is one 3x3 convolution of stride 1, without norm and pooling",
        block_config=(6, 12, 24, 16),
    ),
    _cifar_form(
        "convnext_tiny",
        "trainers.networks.paper_networks:cifar_convnext",
        "timm convnext_tiny with a 3x3 stem of stride 1",
        **_CONVNEXT,
    ),
    _cifar_form(
        "convnextv2_tiny",
        "trainers.networks.paper_networks:cifar_convnext",
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
