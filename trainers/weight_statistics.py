"""Statistics of a network's weights, one layer at a time: spectrum, entropy, norm.

Each weight with at least two dimensions above 1 is a matrix W of its first dimension by the product of the others: a
linear layer (out, in), a convolution (out, in * height * width). Everything is computed in double precision where the
weight lies. Eigenvalues are those of the smaller of W'W and WW', which have the same ones above 0; those below the
rounding of the largest count as 0 and are left out.

- alpha: exponent of the power law in the tail of the eigenvalue density of W'W (Martin & Mahoney 2021, JMLR 22(165)).
  With fewer than `LEAST_EIGENVALUES` it varies too much to say anything, and is left out.
- entropy: -sum p ln p over `ENTROPY_BINS` equal bins between the 0.1 % and the 99.9 % quantile of the values; values
  beyond are left out. The paper takes the probability of each value, which for floating-point numbers is 1 / count.
- PCA energy: share of the largest `PCA_SHARE` of the eigenvalues in the sum of all, of the covariance of the columns:
  each column less its mean. The paper does not give its number of components; a share makes layers of different width
  comparable.
- stable rank: squared Frobenius over squared spectral norm.

They are descriptions: alpha changes with weight decay, and all differ between kinds of layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from trainers.final_measurements import LayerStatistics
from trainers.memory import is_out_of_memory, release_cached_memory
from trainers.power_law import fit_power_law

LEAST_EIGENVALUES = 50
"""Smallest dimension of a weight that is given an alpha."""
ENTROPY_BINS = 256
ENTROPY_QUANTILES = (0.001, 0.999)
PCA_SHARE = 0.1
"""Of the possible components, rounded up, that `pca_energy` takes together."""


@torch.no_grad()
def weight_statistics(network: nn.Module) -> tuple[LayerStatistics, ...]:
    """The statistics of every trained weight with two dimensions above 1 at least, in the order of their definition.

    The network is left as it is, and no random number is drawn.
    """
    return tuple(
        _statistics(name, position, kind, weight) for position, (name, kind, weight) in enumerate(_weights(network))
    )


def _weights(network: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """Name, kind of module and value of each weight; one that several modules share comes once."""
    for name, weight in network.named_parameters():
        if weight.requires_grad and weight.numel() and sum(size > 1 for size in weight.shape) >= 2:
            yield name, type(network.get_submodule(name.rpartition(".")[0])).__name__, weight.detach()


def _statistics(layer: str, position: int, kind: str, weight: Tensor) -> LayerStatistics:
    rows, columns = len(weight), weight[0].numel()
    numbers: dict[str, float | int | None] = {}
    if bool(torch.isfinite(weight).all()):
        try:
            numbers = _numbers(weight)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            release_cached_memory()
            numbers = _numbers(weight.cpu())  # a trained network is not lost for this
    return LayerStatistics(
        layer=layer, position=position, kind=kind, rows=rows, columns=columns, **numbers  # type: ignore[arg-type]
    )  # fmt: skip


def _numbers(weight: Tensor) -> dict[str, float | int | None]:
    matrix = weight.reshape(len(weight), -1).double()
    norm = float(torch.linalg.vector_norm(matrix))
    eigenvalues = _eigenvalues(matrix)
    numbers: dict[str, float | int | None] = {
        "l2_norm": norm,
        "entropy": value_entropy(matrix),
        "pca_energy": pca_energy(matrix),
        "stable_rank": norm**2 / float(eigenvalues[-1]) if len(eigenvalues) else None,
    }
    if min(matrix.shape) >= LEAST_EIGENVALUES and len(eigenvalues):
        fit = fit_power_law(eigenvalues.cpu().numpy())
        if fit is not None:
            numbers |= {"alpha": fit.alpha, "alpha_xmin": fit.xmin, "alpha_ks": fit.ks, "tail": fit.tail}
    return numbers


def value_entropy(matrix: Tensor) -> float:
    """Entropy of a matrix's values in nats, at most ln `ENTROPY_BINS`; 0 where all are equal.

    Quantiles are interpolated linearly. The last bin holds its upper edge too.
    """
    ordered = matrix.flatten().sort().values
    low, high = (_quantile(ordered, share) for share in ENTROPY_QUANTILES)
    if low == high:
        return 0.0
    edges = torch.linspace(low, high, ENTROPY_BINS + 1, dtype=ordered.dtype, device=ordered.device)
    edges[0], edges[-1] = low, high
    below = torch.searchsorted(ordered, edges)
    below[-1] = torch.searchsorted(ordered, edges[-1:], right=True)[0]
    counts = below.diff()
    shares = counts[counts > 0].double() / counts.sum()
    return float(-(shares * shares.log()).sum())


def pca_energy(matrix: Tensor) -> float | None:
    """Share of the variance between rows in the largest `PCA_SHARE` of the components; None where all are equal."""
    centred = matrix - matrix.mean(0)
    if float(centred.abs().max()) <= torch.finfo(matrix.dtype).eps * float(matrix.abs().max()) * len(matrix):
        return None
    eigenvalues = _eigenvalues(centred)
    taken = math.ceil(PCA_SHARE * min(matrix.shape))
    return float(eigenvalues[-taken:].sum() / eigenvalues.sum())


def _eigenvalues(matrix: Tensor) -> Tensor:
    """The eigenvalues above 0 of a matrix's Gram matrix, ascending."""
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    eigenvalues: Tensor = torch.linalg.eigvalsh(gram)
    rounding = float(eigenvalues[-1]) * len(gram) * torch.finfo(gram.dtype).eps
    return eigenvalues[eigenvalues > max(rounding, 0.0)]


def _quantile(ordered: Tensor, share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (place - below)
