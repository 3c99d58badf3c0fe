"""The Gauss-Newton-Bartlett estimate: how a trainer finds the curvature that an optimizer asks for.

Liu et al. 2023, arXiv 2305.14342, algorithm 2. Labels are drawn from the network's own output, so neither labels nor
their mixture or smoothing take part: the Gauss-Newton matrix of a cross-entropy does not depend on its targets. The
square of the gradient of the mean loss of such labels, times the number of terms in that mean, has the diagonal of
the Gauss-Newton matrix of the mean loss as its expectation.

Derivation. Let the loss of one image with outputs z be l(z, y) for a softmax and c * sum_j l(z_j, y_j) for sigmoids:
c is 1 for the softmax and 1/C for the mean over C classes. With y drawn from the network's output the gradient of l
in z has mean 0 and as its covariance H, the Hessian of l in z: diag(p) - p p' for a softmax, diag(p (1 - p)) for
independent sigmoids (Bartlett's identity). So an image's gradient has mean 0 and covariance c^2 J' H J, with J the
derivative of z in the weights, and the mean g over B independent images has covariance c / B times the mean of
c J' H J, which is the Gauss-Newton matrix G of the mean loss: E[g * g] = (c / B) diag(G). The estimate is
(B / c) g * g, and B / c is the number of terms: images, or images times classes.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.recipes import Loss


@runtime_checkable
class CurvatureOptimizer(Protocol):
    """An optimizer that wants an estimate of the curvature before some of its steps."""

    @property
    def needs_curvature(self) -> bool:
        """Whether the next step wants one."""
        ...

    @property
    def estimates(self) -> int:
        """How many it was given: the passes that a training step has made for it."""
        ...

    def update_curvature(self, terms: int) -> None:
        """Takes up the estimate from the gradients that a sampled loss of a whole batch left.

        Args:
            terms: What `sampled_terms` says of that batch.
        """
        ...


def sampled_loss(loss: Loss, logits: Tensor) -> Tensor:
    """The loss of labels drawn from what the outputs say, averaged as `trainers.losses.training_loss` averages.

    Drawn from torch's global generator. Outputs that are NaN give a loss that is NaN, and no error.

    Args:
        loss: What is minimised.
        logits: (N, classes).
    """
    logits = logits.float()
    match loss:
        case Loss.CROSS_ENTROPY:
            return functional.cross_entropy(logits, _drawn_classes(logits.detach()))
        case Loss.BINARY:
            labels = (torch.rand_like(logits) < logits.detach().sigmoid()).to(logits.dtype)
            return functional.binary_cross_entropy_with_logits(logits, labels)


def sampled_terms(loss: Loss, images: int, classes: int) -> int:
    """By what the square of a sampled loss's gradient is to be multiplied, for a batch of so many images."""
    return images * classes if loss is Loss.BINARY else images


def _drawn_classes(logits: Tensor) -> Tensor:
    """A class per row with the probabilities of the softmax, by the Gumbel maximum.

    `torch.multinomial` stops the process on a GPU, and raises elsewhere, where a probability is NaN.
    """
    return (logits - torch.empty_like(logits).exponential_().log()).argmax(dim=1)
