"""Each statistic of a weight against numpy, scipy or arithmetic by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trial_examples import BUSY_RECIPE, run, trial
from trainers import weight_statistics as module
from trainers.final_measurements import LayerStatistics
from trainers.make import make_trainer
from trainers.power_law import fit_power_law
from trainers.vision import VisionTrainer
from trainers.weight_statistics import ENTROPY_BINS, pca_energy, value_entropy, weight_statistics


def of_weight(weight: Tensor) -> LayerStatistics:
    layer = nn.Module()
    layer.weight = nn.Parameter(weight)
    (found,) = weight_statistics(layer)
    return found


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_which_weights_there_are_and_what_they_are_called() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(drawn(1, 1, 8))  # a vector
            self.place = nn.Parameter(drawn(1, 5, 8))
            self.convolution = nn.Conv2d(3, 4, 5)
            self.norm = nn.BatchNorm2d(4)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
            self.tied = self.head[1]
            self.fixed = nn.Linear(3, 3).requires_grad_(False)

    found = weight_statistics(Network())
    assert [(f.layer, f.position, f.kind, f.rows, f.columns) for f in found] == [
        ("place", 0, "Network", 1, 40),
        ("convolution.weight", 1, "Conv2d", 4, 75),
        ("head.1.weight", 2, "Linear", 2, 6),
    ]


@pytest.mark.parametrize("shape", [(60, 90), (90, 60), (64, 8, 3, 3)])
def test_the_spectrum_is_that_of_singular_values(shape: tuple[int, ...]) -> None:
    weight = drawn(*shape)
    values = np.linalg.svd(weight.numpy().astype(np.float64).reshape(shape[0], -1), compute_uv=False)
    found = of_weight(weight)
    # Eigenvalues of a Gram matrix of condition 1e4 have 1e-16 of the largest as error.
    assert found.stable_rank == pytest.approx((values**2).sum() / values[0] ** 2, rel=1e-12)
    assert found.l2_norm == pytest.approx(math.sqrt((values**2).sum()), rel=1e-12)
    fit = fit_power_law(values**2)
    assert fit is not None
    assert (found.tail, found.alpha) == (fit.tail, pytest.approx(fit.alpha, rel=1e-9))
    assert (found.alpha_xmin, found.alpha_ks) == (pytest.approx(fit.xmin, rel=1e-9), pytest.approx(fit.ks, abs=1e-9))


def test_a_weight_without_full_rank_has_only_the_eigenvalues_that_it_has() -> None:
    weight = drawn(80, 55).double() @ drawn(55, 100, seed=1).double()
    values = np.linalg.svd(weight.numpy(), compute_uv=False)[:55]
    found, fit = of_weight(weight), fit_power_law(values**2)
    assert fit is not None
    assert (found.tail, found.alpha) == (fit.tail, pytest.approx(fit.alpha, rel=1e-6))


def test_alpha_is_left_out_where_there_are_few_eigenvalues() -> None:
    assert of_weight(drawn(49, 200)).alpha is None
    assert of_weight(drawn(49, 200)).tail is None
    assert of_weight(drawn(200, 50)).alpha is not None


@pytest.mark.parametrize("clipped", [False, True], ids=["", "with many of the largest value"])
@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (1000, 3)])
def test_entropy_is_that_of_numpys_histogram(shape: tuple[int, int], clipped: bool) -> None:
    matrix = drawn(*shape).double().clamp(max=1.0 if clipped else 100.0)
    low, high = np.quantile(matrix.numpy(), [0.001, 0.999])
    counts, _ = np.histogram(matrix.numpy(), bins=ENTROPY_BINS, range=(low, high))
    shares = counts[counts > 0] / counts.sum()
    assert value_entropy(matrix) == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-12)


def test_entropy_of_even_values_is_its_maximum_and_of_equal_ones_0() -> None:
    even = torch.arange(ENTROPY_BINS * 1000, dtype=torch.float64).reshape(ENTROPY_BINS, 1000)
    # Bins hold 998 or 999 of the values left: 1e-6 from equal shares.
    assert value_entropy(even) == pytest.approx(math.log(ENTROPY_BINS), abs=1e-5)
    assert value_entropy(torch.full((3, 4), 0.1, dtype=torch.float64)) == 0


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (7, 3)])
def test_pca_energy_is_of_the_covariance_and_not_of_the_raw_products(shape: tuple[int, int]) -> None:
    matrix = drawn(*shape).double() + 0.5 + torch.arange(shape[1])
    taken = math.ceil(min(shape) / 10)
    eigenvalues = np.linalg.eigvalsh(np.cov(matrix.numpy(), rowvar=False))[::-1]
    raw = np.linalg.svd(matrix.numpy(), compute_uv=False) ** 2
    energy = pca_energy(matrix)
    assert energy == pytest.approx(eigenvalues[:taken].sum() / eigenvalues.sum(), rel=1e-10)
    assert energy is not None
    assert raw[:taken].sum() / raw.sum() > energy + 0.1  # the means alone would be nearly all of it
    shifted = pca_energy(matrix + 5)
    assert shifted == pytest.approx(energy, rel=1e-10)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_has_no_numbers(bad: float) -> None:
    weight = drawn(60, 60)
    weight[3, 4] = bad
    found = of_weight(weight)
    assert found == LayerStatistics(layer="weight", position=0, kind="Module", rows=60, columns=60)


def test_what_is_undefined_is_none() -> None:
    zero = of_weight(torch.zeros(60, 70))
    assert (zero.l2_norm, zero.entropy, zero.stable_rank, zero.pca_energy, zero.alpha) == (0, 0, None, None, None)
    equal_rows = of_weight(drawn(1, 70).expand(60, 70).clone())
    assert equal_rows.pca_energy is None
    assert equal_rows.stable_rank == pytest.approx(1, rel=1e-12)
    assert equal_rows.alpha is None  # one eigenvalue
    tiny = of_weight(1e-30 * drawn(60, 70))
    assert tiny.alpha == pytest.approx(of_weight(drawn(60, 70)).alpha, rel=1e-5)  # the factor is rounded to float32


def test_a_device_without_memory_left_leaves_it_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, calls = module.value_entropy, []

    def full(matrix: Tensor) -> float:
        calls.append(matrix)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(matrix)

    expected = of_weight(drawn(4, 5))
    monkeypatch.setattr(module, "value_entropy", full)
    assert of_weight(drawn(4, 5)) == expected
    assert len(calls) == 2


def test_a_trainer_gives_those_of_the_weights_that_it_scores_and_trains_on_as_before() -> None:
    config = trial()
    with_average = make_trainer(config)
    plain = make_trainer(replace(config, recipe=replace(BUSY_RECIPE, ema_decay=None)))
    undisturbed = make_trainer(config)
    for trainer in (with_average, plain, undisturbed):
        run(trainer, 1)
    assert isinstance(with_average, VisionTrainer)
    raw = weight_statistics(with_average._network)
    averaged = with_average.weight_statistics()
    assert averaged == with_average.weight_statistics()
    assert [layer.l2_norm for layer in averaged] != [layer.l2_norm for layer in raw]
    assert raw == plain.weight_statistics()  # averaging changes no training
    assert run(with_average, 1) == run(undisturbed, 1)
    assert all(layer.l2_norm is not None and layer.l2_norm > 0 for layer in averaged)
