"""The synthetic trainer: its truth, its curves, and how tests make it slow, broken or deadly."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from search_spaces.datasets import get_dataset
from search_spaces.errors import UserError
from search_spaces.optimizers import get_optimizer, list_optimizers
from search_spaces.recipes import recipe_for
from trainers.config import DataConfig, TrialConfig
from trainers.make import make_trainer
from trainers.measurement import Measurement
from trainers.networks.backbones import resolve_backbone
from trainers.synthetic import CHANCE, NOISE_SD, Behaviour, planted_truth

SYNTHETIC = [f"synthetic_{letter}" for letter in "abcd"]


def slow() -> Behaviour:
    return Behaviour(epoch_seconds=0.05)


def broken() -> Behaviour:
    def fail_in_the_second(epoch: int) -> None:
        if epoch == 2:
            raise RuntimeError("broken on purpose")

    return Behaviour(before_epoch=fail_in_the_second)


def no_behaviour() -> int:
    return 3


def trial(backbone: str = "synthetic_a", optimizer: str = "adamw", *, seed: int = 0, **hp: float) -> TrialConfig:
    info = get_optimizer(optimizer)
    return TrialConfig(
        backbone=resolve_backbone(backbone),
        optimizer=info,
        hp={**info.defaults, **hp},
        recipe=recipe_for("digits", backbone=backbone, dataset=get_dataset("synthetic"), image_size=8),
        data=DataConfig(name="synthetic"),
        epochs=6,
        batch_size=64,
        seed=seed,
    )


def curve(config: TrialConfig) -> list[Measurement]:
    trainer = make_trainer(config)
    return [replace(trainer.train_epoch(), seconds=0.0) for _ in range(config.epochs)]


@pytest.mark.parametrize("backbone", SYNTHETIC)
@pytest.mark.parametrize("info", list_optimizers(), ids=lambda info: info.name)
def test_the_mean_over_seeds_is_the_planted_accuracy(backbone: str, info: object) -> None:
    truth = planted_truth(backbone, info)  # type: ignore[arg-type]
    for offset in (-1.0, 0.0, 0.7):
        lr = 10 ** (truth.optimum + offset)
        finals = [curve(trial(backbone, info.name, seed=s, lr=lr, weight_decay=0.0))[-1].val_top1 for s in range(25)]  # type: ignore[attr-defined]
        expected = truth.ceiling - truth.curvature * offset**2
        assert statistics.mean(finals) == pytest.approx(expected, abs=4 * NOISE_SD / math.sqrt(25))
        assert statistics.stdev(finals) == pytest.approx(NOISE_SD, rel=0.5)


def test_coupling_is_planted_and_sums_to_zero_over_backbones() -> None:
    def ceilings(optimizer: str) -> list[float]:
        return [planted_truth(backbone, optimizer).ceiling for backbone in SYNTHETIC]

    gains = [a - b for a, b in zip(ceilings("sgd"), ceilings("adamw"), strict=True)]
    assert max(gains) - min(gains) == pytest.approx(0.3)
    centred = [gain - statistics.mean(gains) for gain in gains]
    assert centred == pytest.approx([0.15, -0.15, 0.075, -0.075])


def test_curves_rise_to_their_end() -> None:
    tops = [measurement.val_top1 for measurement in curve(trial())]
    assert tops == sorted(tops)
    assert CHANCE < tops[0] < tops[-1]


def test_a_rate_beyond_the_edge_diverges() -> None:
    edge = planted_truth("synthetic_b", "sgd").edge
    assert all(m.is_finite for m in curve(trial("synthetic_b", "sgd", lr=10 ** (edge - 0.01))))
    assert not any(m.is_finite for m in curve(trial("synthetic_b", "sgd", lr=10 ** (edge + 0.01))))


def test_weight_decay_costs_what_is_planted() -> None:
    truth = planted_truth("synthetic_a", "adamw")
    assert truth.accuracy(10**truth.optimum, 1.5) == pytest.approx(truth.ceiling - 1.5**2 * truth.decay_cost)
    far, best = (curve(trial(seed=3, lr=10**truth.optimum, weight_decay=wd))[-1].val_top1 for wd in (1.0, 10**-1.5))
    assert best - far == pytest.approx(1.5**2 * truth.decay_cost, abs=6 * NOISE_SD)


def test_a_resumed_trial_is_the_uninterrupted_one() -> None:
    config = trial()
    whole = curve(config)
    for epochs_done in range(config.epochs):
        first, second = make_trainer(config), make_trainer(config)
        for _ in range(epochs_done):
            first.train_epoch()
        second.restore(first.snapshot()())
        assert replace(second.train_epoch(), seconds=0.0) == whole[epochs_done]
        assert second.evaluate_test() != whole[epochs_done].val_top1


def test_a_foreign_state_is_refused() -> None:
    for state in (b"x", b"[]", make_trainer(trial(seed=5)).snapshot()()):
        with pytest.raises(ValueError, match="state"):
            make_trainer(trial()).restore(state)


def test_equal_seeds_of_different_settings_have_noise_of_their_own() -> None:
    truth = planted_truth("synthetic_a", "adamw")
    noises = []
    for lr in (10**truth.optimum, 10 ** (truth.optimum + 0.5)):
        expected = truth.accuracy(lr)
        assert expected is not None
        noises.append(curve(trial(lr=lr, weight_decay=0.0))[-1].val_top1 - expected)
    assert abs(noises[0] - noises[1]) > 1e-6


def test_own_backbones_can_be_slow_or_broken() -> None:
    slow_trainer = make_trainer(trial(f"{__name__}:slow"))
    started = time.perf_counter()
    assert slow_trainer.train_epoch().seconds >= 0.05
    assert time.perf_counter() - started >= 0.05
    broken_trainer = make_trainer(trial(f"{__name__}:broken"))
    broken_trainer.train_epoch()
    with pytest.raises(RuntimeError, match="on purpose"):
        broken_trainer.train_epoch()
    assert broken_trainer.epoch == 1


@pytest.mark.parametrize(
    ("config", "part"),
    [
        (trial("resnet_digits"), "is a network"),
        (trial(f"{__name__}:no_behaviour"), "must return trainers.synthetic.Behaviour"),
        (replace(trial(), hp={"lr": 1.0}), "needs a value for"),
        (trial(learning_rate=1.0), "learning_rate"),
        (trial(lr=-1.0), "at least 0"),
    ],
)
def test_what_cannot_be_had_is_refused(config: TrialConfig, part: str) -> None:
    with pytest.raises(UserError, match=part):
        make_trainer(config)


def test_synthetic_trials_are_fast_and_load_no_torch() -> None:
    program = (
        "import sys, tests.test_synthetic as t; t.curve(t.trial());"
        "import time; start = time.perf_counter(); t.curve(t.trial()); took = time.perf_counter() - start;"
        "assert took < 0.1, took; assert not {'torch', 'timm', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
