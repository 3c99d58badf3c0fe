"""The one module that imports timm, and builders of timm networks in forms that arguments as data cannot express.

Import it, never timm, so that the work-around below runs first in every worker process.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from torch import nn

_REGISTERED: list[torch.library.Library] = []
"""Keeps the declarations alive: torch forgets them with the object."""


def _import_timm() -> ModuleType:
    """Imports timm where torchvision's compiled operators are missing.

    A torchvision built for another torch (the PyPI wheel beside a CPU torch) fails on import because it describes
    operators that were never loaded. Declared, they fail only when called, which timm never does.
    """
    try:
        return importlib.import_module("timm")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "timm")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        library.define(schema)  # type: ignore[no-untyped-call]
    _REGISTERED.append(library)
    return importlib.import_module("timm")


timm = _import_timm()
torchvision = importlib.import_module("torchvision")

from timm.layers.drop import DropPath as DropPath  # noqa: E402  after the work-around
from timm.layers.drop import calculate_drop_path_rates  # noqa: E402  after the work-around
from timm.layers.layer_scale import LayerScale2d as LayerScale2d  # noqa: E402  after the work-around
from timm.layers.norm import LayerNorm2d as LayerNorm2d  # noqa: E402  after the work-around
from timm.layers.squeeze_excite import SEModule as SEModule  # noqa: E402  after the work-around
from timm.layers.weight_init import trunc_normal_ as trunc_normal_  # noqa: E402  after the work-around
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg  # noqa: E402  after the work-around
from timm.models.resnet import BasicBlock, ResNet  # noqa: E402  after the work-around


def small_stem_resnet(
    *,
    layers: tuple[int, ...],
    channels: tuple[int, ...],
    stem_channels: int,
    num_classes: int,
    in_chans: int,
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """Timm's ResNet of basic blocks with a 3x3 stem of stride 1 and no pooling, for images of a few pixels."""
    # Only the deep stem lets timm choose the stem's width; its three convolutions are then replaced by one.
    network: nn.Module = ResNet(
        BasicBlock,  # type: ignore[arg-type]  # timm annotates the class as an instance
        layers,
        num_classes=num_classes,
        in_chans=in_chans,
        channels=channels,
        stem_type="deep",
        stem_width=stem_channels // 2,
        drop_path_rate=drop_path_rate,
    )
    stem = nn.Conv2d(in_chans, stem_channels, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    network.conv1 = stem
    network.maxpool = nn.Identity()
    return network


def repvgg(
    *,
    depths: tuple[int, ...],
    channels: tuple[int, ...],
    strides: tuple[int, ...],
    num_classes: int,
    in_chans: int,
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """Timm's RepVGG (three branches per block while training) of any size; its stem has stride 2."""
    blocks = tuple(
        ByoBlockCfg(type="rep", d=depth, c=width, s=stride, gs=0)
        for depth, width, stride in zip(depths, channels, strides, strict=True)
    )
    config = ByoModelCfg(blocks=blocks, stem_type="rep", stem_chs=channels[0])
    network: nn.Module = ByobNet(config, num_classes=num_classes, in_chans=in_chans, drop_path_rate=drop_path_rate)
    return network


def drop_path_rates(last: float, depths: tuple[int, ...]) -> list[list[float]]:
    """Probability of dropping each block's branches, by stage: linear from 0 to `last` over all blocks."""
    return calculate_drop_path_rates(last, list(depths), stagewise=True)  # type: ignore[return-value]  # one union


def create_model(
    *,
    model_name: str,
    num_classes: int,
    in_chans: int,
    img_size: int | None = None,
    drop_rate: float | None = None,
    drop_path_rate: float | None = None,
    proj_drop_rate: float | None = None,
) -> nn.Module:
    """A network of timm's registry, with fresh weights.

    Args:
        model_name: Its architecture, without a pretrained tag.
        num_classes: Outputs.
        in_chans: Channels of the images.
        img_size: Side of the images, only for networks of a fixed size.
        drop_rate: Dropout before the classifier; None keeps the architecture's own.
        drop_path_rate: Stochastic depth of the last block, only for networks that take it.
        proj_drop_rate: Dropout within the MLPs, only for networks that take it.
    """
    given = {
        "img_size": img_size,
        "drop_rate": drop_rate,
        "drop_path_rate": drop_path_rate,
        "proj_drop_rate": proj_drop_rate,
    }
    network: nn.Module = timm.create_model(
        model_name,
        pretrained=False,
        num_classes=num_classes,
        in_chans=in_chans,
        **{name: value for name, value in given.items() if value is not None},
    )
    return network


def model_names() -> list[str]:
    """Every architecture of timm's registry, without pretrained tags."""
    names: list[str] = timm.list_models()
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSize:
    """The images that an architecture is meant for."""

    pixels: int
    """Side of the images of its default pretrained form."""
    is_fixed: bool
    """Whether it must be told the size of its images, and accepts to be."""


def input_size(model_name: str) -> InputSize:
    """What timm's records say of an architecture's images; nothing is built."""
    config = timm.get_pretrained_cfg(model_name)
    _, height, width = config.input_size
    # Those of oblong images are told a square size, else they would refuse square images.
    return InputSize(pixels=min(height, width), is_fixed=bool(config.fixed_input_size) or height != width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What only the built network tells."""

    parameters: int
    """With 1000 classes."""
    takes_drop_path: bool


@cache
def structure(model_name: str) -> Structure:
    """Builds an architecture without weights, and looks at it."""
    with torch.device("meta"):
        try:
            network = create_model(model_name=model_name, num_classes=1000, in_chans=3, drop_path_rate=0.5)
        except TypeError:  # raised by classes that have no such argument
            network = create_model(model_name=model_name, num_classes=1000, in_chans=3)
    return Structure(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        takes_drop_path=any(isinstance(module, DropPath) and module.drop_prob > 0 for module in network.modules()),
    )
