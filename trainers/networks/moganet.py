"""MogaNet (Li et al. 2022, arXiv 2211.03295): convolutions of three reaches, gated; no library has it.

Names in parentheses are the paper's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainers.networks.initialisation import fan_out_normal
from trainers.networks.timm_models import DropPath, LayerScale2d, drop_path_rates

DECOMPOSITION_SCALE = 1e-5
"""Where the learned weight of a feature's deviation from its mean starts."""


class MultiOrderConvolution(nn.Module):
    """Depthwise convolutions of growing reach, each on its share of the channels (Multi-order DWConv).

    All channels pass a 5x5 kernel; then 3/8 of them a 5x5 of dilation 2 and 4/8 a 7x7 of dilation 3. A pointwise
    convolution mixes the three groups.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        middle, high = width * 3 // 8, width * 4 // 8
        self.shares = (width - middle - high, middle, high)
        self.low = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.middle = nn.Conv2d(middle, middle, 5, padding=4, dilation=2, groups=middle)
        self.high = nn.Conv2d(high, high, 7, padding=9, dilation=3, groups=high)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, (batch, width, height, width in pixels)."""
        low, middle, high = self.low(x).split(self.shares, dim=1)
        mixed: Tensor = self.mix(torch.cat([low, self.middle(middle), self.high(high)], dim=1))
        return mixed


class GatedAggregation(nn.Module):
    """The spatial half of a block: contexts of several reaches, gated by a 1x1 convolution (Moga).

    It adds its own input, so the block has a second, scaled skip inside its residual branch. The gate and the
    context each pass SiLU once, as in the paper. The authors' configuration for CIFAR-100 sets `attn_force_fp32`,
    with which their code applies it twice; this is not done here.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project_in = nn.Conv2d(width, width, 1)
        self.gate = nn.Conv2d(width, width, 1)
        self.context = MultiOrderConvolution(width)
        self.project_out = nn.Conv2d(width, width, 1)
        self.act = nn.SiLU()
        self.decomposition = LayerScale2d(width, DECOMPOSITION_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        y = self.project_in(x)
        y = self.act(y + self.decomposition(y - y.mean((2, 3), keepdim=True)))
        gated: Tensor = self.project_out(self.act(self.gate(y)) * self.act(self.context(y)))
        return gated + x


class ChannelAggregation(nn.Module):
    """The channel half of a block: an MLP with a 3x3 depthwise convolution that reweights its channels (CA).

    One channel that sums up all others is subtracted from each of them, with a learned weight.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU()
        self.contract = nn.Conv2d(hidden, width, 1)
        self.summary = nn.Conv2d(hidden, 1, 1)
        self.decomposition = LayerScale2d(hidden, DECOMPOSITION_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        x = self.act(self.depthwise(self.expand(x)))
        x = x + self.decomposition(x - self.act(self.summary(x)))
        contracted: Tensor = self.contract(x)
        return contracted


class MogaBlock(nn.Module):
    """Two residual branches, spatial then channels, each after BatchNorm and with a layer scale."""

    def __init__(self, width: int, *, mlp_ratio: int, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            nn.BatchNorm2d(width), GatedAggregation(width), LayerScale2d(width, layer_scale), DropPath(drop_path)
        )
        self.channels = nn.Sequential(
            nn.BatchNorm2d(width),
            ChannelAggregation(width, width * mlp_ratio),
            LayerScale2d(width, layer_scale),
            DropPath(drop_path),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        x = x + self.spatial(x)
        return x + self.channels(x)  # type: ignore[no-any-return]  # torch annotates calls of modules with Any


def _convolution_and_norm(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.BatchNorm2d(outputs)]


class MogaNet(nn.Module):
    """Stem, four stages that start by halving the map (the first does not), mean over the map, linear head.

    The defaults are MogaNet-S. Weights are drawn by `initialisation.fan_out_normal`, as published.

    Args:
        widths: Channels of the stages; multiples of 8.
        depths: Blocks of the stages.
        mlp_ratios: Hidden width of the channel half of a block over its width, by stage.
        stem_stride: Of both convolutions of the stem: 2 for ImageNet, 1 for images of 32 pixels.
        drop_path_rate: Of the last block; it grows linearly from 0. Published: 0.1 for S.
        layer_scale: Where the scales of the residual branches start.
        num_classes: Outputs.
        in_chans: Channels of the images.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (64, 128, 320, 512),
        depths: tuple[int, ...] = (2, 3, 12, 2),
        mlp_ratios: tuple[int, ...] = (8, 8, 4, 4),
        stem_stride: int = 2,
        drop_path_rate: float = 0.0,
        layer_scale: float = 1e-5,
        num_classes: int = 1000,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_convolution_and_norm(in_chans, widths[0] // 2, stem_stride),
            nn.GELU(),
            *_convolution_and_norm(widths[0] // 2, widths[0], stem_stride),
        )
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.Sequential()
        for stage, (width, mlp_ratio) in enumerate(zip(widths, mlp_ratios, strict=True)):
            blocks = [
                MogaBlock(width, mlp_ratio=mlp_ratio, drop_path=rate, layer_scale=layer_scale)
                for rate in rates[stage]
            ]
            halving = _convolution_and_norm(widths[stage - 1], width, 2) if stage else []
            self.stages.append(nn.Sequential(*halving, *blocks, nn.BatchNorm2d(width)))
        self.head = nn.Linear(widths[-1], num_classes)
        self.apply(fan_out_normal)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes), of images (batch, channels, height, width)."""
        logits: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits
