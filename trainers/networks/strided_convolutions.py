"""A way around a fault of oneDNN, which torch computes convolutions with on the CPU.

The gradient of a convolution with 1x1 kernels, a stride above 1 and fewer than 16 input channels, of tensors in
channels-last layout, writes beyond its memory (torch 2.13, oneDNN 3.12): the process dies, or goes on with a damaged
heap. The first such layer of a network is usually the image's own, as in RepVGG, MobileOne and FastViT.
"""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

_SOUND_CHANNELS = 16
"""From here on the fault does not show: its blocks of 16 channels are full."""


def spare_strided_pointwise(network: nn.Module) -> None:
    """Replaces the convolutions that torch cannot train by ones that do; weights, names and outputs stay."""
    for name, module in list(network.named_modules(remove_duplicate=False)):
        # Not its subclasses, which may compute something else.
        if type(module) is nn.Conv2d and _is_unsound(module):
            if not name:
                raise TypeError("a network must be more than one convolution")
            network.set_submodule(name, StridedPointwise.like(module))


def _is_unsound(convolution: nn.Conv2d) -> bool:
    return (
        convolution.kernel_size == (1, 1)
        and max(convolution.stride) > 1
        and convolution.padding in ((0, 0), "valid")
        and convolution.groups == 1
        and convolution.in_channels < _SOUND_CHANNELS
    )


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution that first leaves out the pixels between its strides, which it does not look at."""

    @classmethod
    def like(cls, convolution: nn.Conv2d) -> Self:
        """One that shares the weights of another."""
        rows, columns = convolution.stride
        made = cls(convolution.in_channels, convolution.out_channels, 1, stride=(rows, columns), device="meta")
        made.weight, made.bias = convolution.weight, convolution.bias
        return made.train(convolution.training)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) to maps (N, outputs, ceil(H / stride), ceil(W / stride))."""
        rows, columns = self.stride
        return nn.functional.conv2d(x[..., ::rows, ::columns], self.weight, self.bias)
