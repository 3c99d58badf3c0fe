"""How well a network does on one part of a data set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from trainers.data.images import Batch
from trainers.pixels import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Means over the images of one part."""

    loss: float
    """Cross-entropy in nats."""
    top1: float
    """Accuracy as a fraction."""
    top5: float | None
    """None with fewer than 6 classes."""


@torch.no_grad()
def evaluate(
    network: nn.Module, batches: Iterable[Batch], *, pixels: Pixels, classes: int, dtype: torch.dtype
) -> Evaluation:
    """Evaluates a network, which is left in evaluation mode.

    Raises:
        ValueError: There are no images.
    """
    network.eval()
    device = next(network.parameters()).device
    losses, top1, top5 = (torch.zeros((), device=device) for _ in range(3))
    count = 0
    for batch in batches:
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            logits = network(pixels(batch.images))
        logits = logits.float()
        losses += nn.functional.cross_entropy(logits, batch.labels, reduction="sum")
        top1 += (logits.argmax(1) == batch.labels).sum()
        if classes > 5:
            top5 += (logits.topk(5).indices == batch.labels[:, None]).sum()
        count += len(batch.labels)
    if not count:
        raise ValueError("there are no images to evaluate on")
    return Evaluation(
        loss=losses.item() / count, top1=top1.item() / count, top5=top5.item() / count if classes > 5 else None
    )


def guessing(classes: int) -> Evaluation:
    """What a network that says nothing scores."""
    return Evaluation(loss=math.nan, top1=1 / classes, top5=5 / classes if classes > 5 else None)
