"""Builders of the paper's networks in the forms that timm has no name for.

Stems for 32 px keep the map, as those of the paper's code do: 32x32 after the stem, 4x4 at the end.
"""

from __future__ import annotations

from torch import nn

from trainers.networks.timm_models import timm, torchvision


def alexnet(*, num_classes: int, in_chans: int) -> nn.Module:
    """Torchvision's AlexNet, for images of any number of channels."""
    network = torchvision.models.AlexNet(num_classes=num_classes)
    if in_chans != 3:
        network.features[0] = nn.Conv2d(in_chans, 64, 11, stride=4, padding=2)
    return network  # type: ignore[no-any-return]  # torchvision is imported untyped


def cifar_resnet(
    *, layers: tuple[int, ...], num_classes: int, in_chans: int, drop_path_rate: float = 0.0
) -> nn.Module:
    """Timm's ResNet of bottleneck blocks for 32 px."""
    resnet = timm.models.resnet
    network: nn.Module = resnet.ResNet(
        resnet.Bottleneck, layers, num_classes=num_classes, in_chans=in_chans, drop_path_rate=drop_path_rate
    )
    network.conv1 = _stem(in_chans, 64)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


def cifar_densenet(*, block_config: tuple[int, ...], num_classes: int, in_chans: int) -> nn.Module:
    """Timm's DenseNet for 32 px; the stem is the convolution alone, as in the paper's code."""
    network = timm.models.densenet.DenseNet(block_config=block_config, num_classes=num_classes, in_chans=in_chans)
    network.features.conv0 = _stem(in_chans, 64)
    nn.init.kaiming_normal_(network.features.conv0.weight)
    network.features.norm0 = nn.Identity()
    network.features.pool0 = nn.Identity()
    return network  # type: ignore[no-any-return]  # timm is imported untyped


def _stem(in_chans: int, channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_chans, channels, 3, padding=1, bias=False)


def cifar_convnext(
    *,
    depths: tuple[int, ...],
    dims: tuple[int, ...],
    num_classes: int,
    in_chans: int,
    use_grn: bool = False,
    ls_init_value: float | None = 1e-6,
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """Timm's ConvNeXt (v2 with `use_grn` and no layer scale) for 32 px."""
    # A patch of 1 gives the strides 1, 2, 2, 2; the stem's convolution is then replaced.
    network = timm.models.convnext.ConvNeXt(
        depths=depths,
        dims=dims,
        num_classes=num_classes,
        in_chans=in_chans,
        patch_size=1,
        use_grn=use_grn,
        ls_init_value=ls_init_value,
        drop_path_rate=drop_path_rate,
    )
    stem = nn.Conv2d(in_chans, dims[0], 3, padding=1)
    timm.layers.trunc_normal_(stem.weight, std=0.02)
    nn.init.zeros_(stem.bias)  # type: ignore[arg-type]  # it has one
    network.stem[0] = stem
    return network  # type: ignore[no-any-return]  # timm is imported untyped


def metaformer(
    *,
    token_mixers: tuple[str, ...],
    norm_layers: tuple[str, ...],
    mlp_head: bool,
    num_classes: int,
    in_chans: int,
    depths: tuple[int, ...] = (2, 2, 6, 2),
    dims: tuple[int, ...] = (64, 128, 320, 512),
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """Timm's MetaFormer, S12 unless told otherwise.

    Args:
        token_mixers: Per stage a class of `timm.models.metaformer`, or Identity.
        norm_layers: Per stage a class of the same module.
        mlp_head: Whether the head has a hidden layer.
        num_classes: Outputs.
        in_chans: Channels of the images.
        depths: Blocks per stage.
        dims: Channels per stage.
        drop_path_rate: Of the last block; it grows linearly from 0.
    """
    module = timm.models.metaformer
    network: nn.Module = module.MetaFormer(
        depths=depths,
        dims=dims,
        token_mixers=[nn.Identity if name == "Identity" else getattr(module, name) for name in token_mixers],
        norm_layers=[getattr(module, name) for name in norm_layers],
        use_mlp_head=mlp_head,
        num_classes=num_classes,
        in_chans=in_chans,
        drop_path_rate=drop_path_rate,
    )
    return network
