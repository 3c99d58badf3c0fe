"""UniRepLKNet (Ding et al. 2023, arXiv 2311.15599): large depthwise kernels among small ones.

No library has it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  torch's own name for it

from trainers.networks.timm_models import (
    DropPath,
    LayerNorm2d,
    LayerScale2d,
    SEModule,
    drop_path_rates,
    trunc_normal_,
)

BRANCHES: dict[int, tuple[tuple[int, int], ...]] = {
    5: ((3, 1), (3, 2)),
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}
"""Beside a kernel of each size: the (kernel size, dilation) of its parallel branches, as published."""

TINY_KERNELS = ((3,) * 3, (13,) * 3, (13, 3) * 9, (13,) * 3)
"""Kernel size of each block of UniRepLKNet-T, by stage."""


def initialise(module: nn.Module) -> None:
    """Draws the weights of one layer: normal of deviation 0.02, cut, with zero biases; norms stay as they are."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def depthwise(width: int, kernel: int, *, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """A depthwise convolution that keeps the map's size."""
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(width, width, kernel, padding=padding, dilation=dilation, groups=width, bias=bias)


@torch.no_grad()
def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a BatchNorm does in evaluation, as one factor and one summand per channel."""
    scale = norm.weight / (norm.get_buffer("running_var") + norm.eps).sqrt()
    return scale, norm.bias - norm.get_buffer("running_mean") * scale


@torch.no_grad()
def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that a convolution and its BatchNorm are in evaluation."""
    scale, shift = scale_and_shift(norm)
    bias = shift if convolution.bias is None else shift + convolution.bias * scale
    return convolution.weight * scale.view(-1, 1, 1, 1), bias


def spread(weight: Tensor, dilation: int, kernel: int) -> Tensor:
    """The kernel without dilation, of size `kernel`, that acts as this depthwise kernel with dilation."""
    size = dilation * (weight.shape[-1] - 1) + 1
    spread_weight = weight.new_zeros(*weight.shape[:2], size, size)
    spread_weight[:, :, ::dilation, ::dilation] = weight
    return F.pad(spread_weight, [(kernel - size) // 2] * 4)


def convolution_of(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A depthwise convolution with these weights."""
    width, _, kernel, _ = weight.shape
    convolution = depthwise(width, kernel, bias=True).to(weight)
    convolution.load_state_dict({"weight": weight, "bias": bias})
    return convolution


class Branch(nn.Module):
    """A depthwise convolution without bias and its BatchNorm."""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = depthwise(width, kernel, dilation=dilation)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        y: Tensor = self.norm(self.convolution(x))
        return y


class DilatedReparam(nn.Module):
    """A large depthwise kernel and, added to it, small ones with dilation, each followed by its own BatchNorm.

    All are linear in evaluation, so one large kernel can replace them.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.branches: Iterable[Branch] = nn.ModuleList(  # type: ignore[assignment]  # it knows no type of element
            Branch(width, size, dilation) for size, dilation in ((kernel, 1), *BRANCHES[kernel])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        large, *small = self.branches
        y: Tensor = large(x)
        for branch in small:
            y = y + branch(x)
        return y

    def merged(self) -> nn.Conv2d:
        """The one convolution that gives the same in evaluation."""
        weights, biases = [], []
        for branch in self.branches:
            weight, bias = folded(branch.convolution, branch.norm)
            weights.append(spread(weight, branch.convolution.dilation[0], self.kernel))
            biases.append(bias)
        return convolution_of(torch.stack(weights).sum(0), torch.stack(biases).sum(0))


class ResponseNorm(nn.Module):
    """Global response normalisation of maps with channels last; it has no shift once re-parameterised.

    timm's always has one.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias: nn.Parameter | None = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, (batch, height, width, channels)."""
        norms = x.norm(dim=(1, 2), keepdim=True)
        x = x + self.weight * x * norms / (norms.mean(-1, keepdim=True) + 1e-6)
        return x if self.bias is None else x + self.bias

    def take_shift(self) -> Tensor:
        """Removes the shift and returns what it was."""
        shift = torch.zeros_like(self.weight) if self.bias is None else self.bias.detach()
        self.bias = None
        return shift


class UniRepLKNetBlock(nn.Module):
    """A depthwise convolution, squeeze-and-excitation and an MLP in one residual branch."""

    def __init__(self, width: int, kernel: int, *, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.spatial = DilatedReparam(width, kernel) if kernel >= 7 else depthwise(width, kernel)
        self.spatial_norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(width)
        self.excitation = SEModule(width, rd_channels=width // 4)
        self.expand = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.response = ResponseNorm(4 * width)
        self.contract = nn.Linear(4 * width, width, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(width)
        self.scale: LayerScale2d | nn.Identity = LayerScale2d(width, layer_scale)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape, (batch, width, height, width in pixels)."""
        y = self.excitation(self.spatial_norm(self.spatial(x))).permute(0, 2, 3, 1)
        y = self.contract(self.response(self.act(self.expand(y)))).permute(0, 3, 1, 2)
        return x + self.drop_path(self.scale(self.norm(y)))  # type: ignore[no-any-return]  # calls of modules are Any

    def reparameterise(self) -> None:
        """Folds norms, scale, shift and parallel kernels into the convolution and the last linear layer, once."""
        if not isinstance(self.spatial_norm, nn.Identity):
            spatial = self.spatial.merged() if isinstance(self.spatial, DilatedReparam) else self.spatial
            self.spatial = convolution_of(*folded(spatial, self.spatial_norm))
            self.spatial_norm = nn.Identity()
        if not isinstance(self.norm, nn.Identity):
            shift = self.response.take_shift()
            self.contract = _folded_linear(self.contract, shift, self.norm, self.scale.get_parameter("gamma"))
            self.norm, self.scale = nn.Identity(), nn.Identity()


@torch.no_grad()
def _folded_linear(linear: nn.Linear, shift: Tensor, norm: nn.BatchNorm2d, gamma: Tensor) -> nn.Linear:
    """The linear layer that is: add `shift`, `linear`, `norm`, multiply by `gamma`."""
    norm_scale, norm_shift = scale_and_shift(norm)
    result = nn.Linear(linear.in_features, linear.out_features).to(gamma)
    result.weight.copy_(linear.weight * (norm_scale * gamma).view(-1, 1))
    result.bias.copy_((linear.weight @ shift * norm_scale + norm_shift) * gamma)
    return result


def _halving(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), LayerNorm2d(outputs)]


class UniRepLKNet(nn.Module):
    """Stem, four stages that start by halving the map (the first does not), mean over the map, norm, linear head.

    The defaults are UniRepLKNet-T as it is trained. Weights are drawn by `initialise`, as published.

    Args:
        widths: Channels of the stages.
        kernels: Kernel size of every block, by stage; from 7 on with parallel branches (sizes of `BRANCHES`).
        drop_path_rate: Of the last block; it grows linearly from 0. Published: 0.2 for T.
        layer_scale: Where the scales of the residual branches start.
        num_classes: Outputs.
        in_chans: Channels of the images.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (80, 160, 320, 640),
        kernels: tuple[tuple[int, ...], ...] = TINY_KERNELS,
        drop_path_rate: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        half = widths[0] // 2
        self.stem = nn.Sequential(*_halving(in_chans, half), nn.GELU(), *_halving(half, widths[0]))
        rates = drop_path_rates(drop_path_rate, tuple(map(len, kernels)))
        self.stages = nn.Sequential()
        for stage, width in enumerate(widths):
            blocks = [
                UniRepLKNetBlock(width, kernel, drop_path=rate, layer_scale=layer_scale)
                for kernel, rate in zip(kernels[stage], rates[stage], strict=True)
            ]
            halving = _halving(widths[stage - 1], width) if stage else []
            self.stages.append(nn.Sequential(*halving, *blocks))
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.head = nn.Linear(widths[-1], num_classes)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes), of images (batch, channels, height, width)."""
        logits: Tensor = self.head(self.norm(self.stages(self.stem(x)).mean((2, 3))))
        return logits

    def reparameterise(self) -> None:
        """Replaces, in place, what is linear in evaluation by single layers; outputs stay, parameters become fewer.

        For use after training: what it removes is what made training work.
        """
        for module in list(self.modules()):
            if isinstance(module, UniRepLKNetBlock):
                module.reparameterise()
