"""How fresh weights are drawn, where more than one network draws them the same way."""

from __future__ import annotations

import math

from torch import nn

from trainers.networks.timm_models import trunc_normal_


def fan_out_normal(module: nn.Module) -> None:
    """Draws the weights of one layer; biases are zero, and norms stay at scale one and shift zero.

    Convolutions: normal, variance 2 / (kernel area x outputs / groups). Linear layers: normal of deviation 0.02, cut.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    elif isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
