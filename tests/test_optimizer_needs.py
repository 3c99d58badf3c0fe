"""What an optimizer needs of the trainer beside gradients: curvature, its own schedule, other weights to judge."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from torch import nn

from search_spaces.backbones import BackboneInfo
from search_spaces.optimizers import get_optimizer
from search_spaces.recipes import Loss, Recipe
from tests.trial_examples import TINY_DATA, fingerprint, run, trial
from trainers.config import DataConfig, TrialConfig
from trainers.data.datasets import load_trial_data
from trainers.make import make_trainer
from trainers.optimization.schedule import constant_rate
from trainers.pixels import Pixels
from trainers.vision import VisionTrainer

PLAIN = Recipe(name="plain")
LINEAR = BackboneInfo(name="linear", family="own", builder="tests.test_optimizer_needs:linear_network")
NORMED = BackboneInfo(name="normed", family="own", builder="tests.test_optimizer_needs:normed_network")


def linear_network(num_classes: int, in_chans: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 64, num_classes))


def normed_network(num_classes: int, in_chans: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, num_classes)
    )


def vision(config: TrialConfig) -> VisionTrainer:
    trainer = make_trainer(config)
    assert isinstance(trainer, VisionTrainer)
    return trainer


def state_of(trainer: VisionTrainer) -> dict[str, object]:
    return dict(torch.load(io.BytesIO(trainer.snapshot()()), weights_only=True))


@pytest.mark.parametrize("loss", Loss)
def test_sophia_learns_and_passes_every_tenth_batch_twice(loss: Loss) -> None:
    recipe = replace(PLAIN, loss=loss, mixup_alpha=0.1, label_smoothing=0.1)
    config = trial(NORMED, "sophia", hp={"lr": 0.01}, data=DataConfig(name="digits"), recipe=recipe, epochs=2)
    trainer = vision(config)
    first, second = run(trainer, 2)
    assert second.train_loss < first.train_loss
    assert second.val_top1 > 0.5
    steps = 2 * -(-trainer.resolved.train_samples // config.batch_size)
    (group, *_) = state_of(trainer)["optimizer"]["param_groups"]  # type: ignore[index]
    assert (group["steps"], group["estimates"]) == (steps, -(-steps // 10))


def test_sophias_estimate_is_that_of_the_whole_batch_however_it_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a batch draw other labels than the whole, so every label is put in the place of a drawn one."""
    seen: list[list[torch.Tensor]] = []

    def least_likely(loss: Loss, logits: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, logits.argmin(dim=1))

    monkeypatch.setattr("trainers.step.sampled_loss", least_likely)
    for micro_batch in (None, 5):
        config = trial(LINEAR, "sophia", recipe=PLAIN, batch_size=32, micro_batch=micro_batch, epochs=1)
        trainer = vision(config)
        run(trainer, 1)
        states = state_of(trainer)["optimizer"]["state"]  # type: ignore[index]
        seen.append([state["hessian"] for state in states.values()])
    for whole, parts in zip(*seen, strict=True):
        assert whole.abs().max() > 0
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-9)  # sums of float32 in another order


def test_a_schedule_of_its_own_replaces_the_recipes() -> None:
    recipe = replace(PLAIN, warmup_share=0.5)
    config = trial(LINEAR, "adamw_schedulefree", hp={"lr": 0.01}, recipe=recipe, epochs=3)
    trainer = vision(config)
    assert [point.lr for point in run(trainer, 3)] == [0.01] * 3
    assert trainer.resolved.hp["warmup_share"] == 0.05
    slow = vision(replace(config, hp={**config.hp, "warmup_share": 1.0}))
    rates = [point.lr for point in run(slow, 3)]
    assert rates == pytest.approx([0.01 / 3, 0.02 / 3, 0.01])


def test_a_constant_rate_rises_to_its_peak_and_stays() -> None:
    rates = [constant_rate(2.0, step, total_steps=10, warmup_share=0.4) for step in range(10)]
    assert rates == [0.5, 1.0, 1.5] + [2.0] * 7
    assert constant_rate(2.0, 0, total_steps=10, warmup_share=0.0) == 2.0
    for step, share in ((10, 0.1), (-1, 0.1), (0, 1.5)):
        with pytest.raises(ValueError, match="must lie in"):
            constant_rate(1.0, step, total_steps=10, warmup_share=share)


def test_schedule_free_is_judged_and_kept_at_its_average() -> None:
    """The network holds y = (1 - beta1) z + beta1 x while it trains, and x between epochs."""
    config = trial(NORMED, "adamw_schedulefree", hp={"lr": 0.01}, recipe=PLAIN, epochs=2)
    trainer = vision(config)
    during: list[dict[str, object]] = []
    trainer.train_epoch(lambda: during.append(state_of(trainer)))
    assert during[-1]["optimizer"]["param_groups"][0]["train_mode"] is True  # type: ignore[index]
    after = state_of(trainer)
    assert after["optimizer"]["param_groups"][0]["train_mode"] is False  # type: ignore[index]
    before = fingerprint(trainer)
    trainer.evaluate_test()
    assert fingerprint(trainer) == before


def test_schedule_free_resumes_bitwise_in_the_middle_of_an_epoch() -> None:
    config = trial(NORMED, "adamw_schedulefree", batch_size=4, epochs=2)
    whole = vision(config)
    states: list[bytes] = []
    curve = [replace(whole.train_epoch(lambda: states.append(whole.snapshot()())), seconds=0.0) for _ in range(2)]
    for state in (states[1], states[-1]):
        resumed = vision(config)
        resumed.restore(state)
        assert run(resumed, 2 - resumed.epoch)[-1] == curve[-1]
        assert fingerprint(resumed) == fingerprint(whole)


def test_batch_norm_sees_the_averaged_weights_before_they_are_judged() -> None:
    """Its statistics are the mean over the epoch's batches with the weights that are evaluated."""
    config = trial(NORMED, "adamw_schedulefree", hp={"lr": 0.1}, recipe=PLAIN, epochs=1, data=TINY_DATA)
    trainer = vision(config)
    run(trainer, 1)
    weights = state_of(trainer)["network"]
    assert isinstance(weights, dict)
    data = load_trial_data(config.data, config.train_on)
    inputs = Pixels(data.mean, data.std, torch.device("cpu"))(torch.from_numpy(data.train.images))
    seen = nn.functional.conv2d(inputs, weights["0.weight"], weights["0.bias"], stride=2).mean(dim=(0, 2, 3))
    # Batches count alike, and the last one is smaller: half a standard error of its mean.
    torch.testing.assert_close(weights["1.running_mean"], seen, rtol=0.05, atol=0.02)


def test_the_recipes_schedule_acts_for_every_other_optimizer() -> None:
    assert not get_optimizer("adamw").has_own_schedule
    config = trial(LINEAR, "prodigy", recipe=PLAIN, epochs=2)
    first, second = run(vision(config), 2)
    assert second.lr < first.lr < 1
