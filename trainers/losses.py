"""What is minimised: the losses of the recipes on soft targets."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from search_spaces.recipes import Loss


def training_loss(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    """Mean loss of a batch, in nats.

    Args:
        loss: Cross-entropy of the softmax, summed over the classes; or the binary cross-entropy of every class by
            itself, averaged over the classes too.
        logits: (N, classes).
        targets: (N, classes), in [0, 1]: labels, smoothed and mixed.
    """
    match loss:
        case Loss.CROSS_ENTROPY:
            return functional.cross_entropy(logits, targets)
        case Loss.BINARY:
            return functional.binary_cross_entropy_with_logits(logits, targets)
