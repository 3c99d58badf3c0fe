"""A trial on a used process equals the same trial on a fresh one."""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trial_examples import trial, whole_run
from trainers.config import TrialConfig
from trainers.measurement import Measurement
from trainers.process import reset_process_state
from trainers.seeds import stream_seed

CASES = [
    ("resnet_digits", "sgd"),
    ("repvgg_digits", "lamb"),
    ("convnext_digits", "lion"),
    ("vit_digits", "adamw"),
    ("test_vit", "nadam"),
]


def fresh_run(config: TrialConfig) -> tuple[list[Measurement], str]:
    """The trial in a process that has trained nothing before."""
    # A fork server that has only imported costs a tenth of a new interpreter, and nothing of it has computed.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trainers.vision", "trainers.networks.timm_models", "sklearn.datasets"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(whole_run, config).result(timeout=100)


def leave_traces() -> None:
    """What a careless trial could do to its process."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(2)
    torch.set_autocast_enabled("cpu", True)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(False)
    torch.set_flush_denormal(True)
    torch.set_default_device("meta")
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)


@pytest.mark.parametrize(("backbone", "optimizer"), CASES)
def test_a_used_process_gives_the_numbers_of_a_fresh_one(backbone: str, optimizer: str) -> None:
    changes = {} if backbone.endswith("_digits") else {"data": replace(trial().data, image_size=32)}
    config = trial(backbone, optimizer, epochs=2, **changes)
    whole_run(trial(optimizer="rmsprop", seed=9, epochs=1, threads=2))
    leave_traces()
    try:
        used = whole_run(config)
    finally:
        reset_process_state(0, 1)
    assert used == fresh_run(config)


def test_resetting_seeds_every_generator() -> None:
    def draws(seed: int) -> tuple[float, float, float]:
        reset_process_state(seed, 1)
        return random.random(), np.random.rand(), torch.rand(()).item()

    assert draws(1) == draws(1)
    assert all(a != b for a, b in zip(draws(1), draws(2), strict=True))


def test_threads_are_those_asked_for() -> None:
    reset_process_state(0, 2)
    assert torch.get_num_threads() == 2
    reset_process_state(0, 1)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()


def test_streams_are_apart() -> None:
    seeds = {
        stream_seed(seed, name, part) for seed in range(5) for name in ("order", "augmentation") for part in range(5)
    }
    assert len(seeds) == 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert stream_seed(1, "order", 2) == stream_seed(1, "order", 2)
