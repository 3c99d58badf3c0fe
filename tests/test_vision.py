"""Training networks on images: what is measured, what is resumed, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from search_spaces.backbones import BackboneInfo, list_backbones
from search_spaces.errors import UserError
from search_spaces.optimizers import list_optimizers
from search_spaces.recipes import Loss, Recipe
from tests.trial_examples import BUSY_RECIPE, TINY_DATA, fingerprint, named_recipe, run, trial
from trainers.config import DataConfig, Precision, TrainOn, TrialConfig, Validation, config_digest
from trainers.make import make_trainer
from trainers.step import micro_batches

DIGITS_NETWORKS = [info.name for info in list_backbones() if info.family == "digits"]
# Muon wants hidden layers, which the tiny network has none of.
ANY_NETWORK = [info.name for info in list_optimizers() if info.name != "muon"]
RESUMED = [trial(optimizer=name) for name in ANY_NETWORK] + [
    trial(BackboneInfo(name="hidden", family="own", builder="tests.test_vision:hidden_network"), "muon"),
    trial("resnet_digits", "sgd"),
    trial("repvgg_digits", "lamb"),
    trial("convnext_digits", "adamw"),
    trial("vit_digits", "nadam"),
]


def hidden_network(num_classes: int, in_chans: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_chans, 6, 3, stride=2),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 8, 2),
        nn.Flatten(),
        nn.Linear(32, num_classes),
    )


def names(config: TrialConfig) -> str:
    return f"{config.backbone.name}-{config.optimizer.name}"


@pytest.mark.parametrize("config", RESUMED, ids=names)
def test_a_resumed_trial_is_bitwise_the_uninterrupted_one(config: TrialConfig) -> None:
    whole = make_trainer(config)
    states, curve = [whole.snapshot()()], []
    for _ in range(config.epochs):
        curve += run(whole, 1)
        states.append(whole.snapshot()())
    for epochs_done in range(config.epochs + 1):
        resumed = make_trainer(config)
        resumed.restore(states[epochs_done])
        assert resumed.epoch == epochs_done
        assert run(resumed, config.epochs - epochs_done) == curve[epochs_done:]
        assert fingerprint(resumed) == fingerprint(whole)


def test_a_trial_resumed_in_the_middle_of_an_epoch_is_bitwise_the_uninterrupted_one() -> None:
    config = trial(batch_size=8, epochs=2)
    whole, states = make_trainer(config), list[tuple[int, int, bytes]]()

    def keep() -> None:
        states.append((whole.epoch, whole.step, whole.snapshot()()))

    curve = [replace(whole.train_epoch(keep), seconds=0.0) for _ in range(config.epochs)]
    assert [(epoch, step) for epoch, step, _ in states] == [(0, 1), (0, 17), (1, 1), (1, 17)]
    for epoch, step, state in states:
        resumed = make_trainer(config)
        resumed.restore(state)
        assert (resumed.epoch, resumed.step) == (epoch, step)
        assert run(resumed, config.epochs - epoch) == curve[epoch:]
        assert fingerprint(resumed) == fingerprint(whole)


def test_averaged_weights_are_what_is_scored_and_the_weights_themselves_are_kept_beside_them() -> None:
    averaged, plain = trial(), trial(recipe=replace(BUSY_RECIPE, ema_decay=None))
    one, other = run(make_trainer(averaged), 2), run(make_trainer(plain), 2)
    assert [point.val_top1_raw for point in one] == [point.val_top1 for point in other]
    assert [point.val_loss_raw for point in one] == [point.val_loss for point in other]
    assert one[1].val_loss != other[1].val_loss
    assert all(point.val_top1_raw is None and point.val_loss_raw is None for point in other)


def test_the_binary_loss_is_another_loss_and_learns() -> None:
    recipe = Recipe(name="r", loss=Loss.BINARY)
    curve = run(make_trainer(trial("resnet_digits", recipe=recipe, epochs=2, data=DataConfig(name="digits"))), 2)
    assert curve[0].train_loss < 1  # the mean over ten classes too: about log 2 for a network that says nothing
    assert curve[1].val_top1 > 0.25


def test_micro_batches_give_the_same_gradient_up_to_rounding() -> None:
    # Without BatchNorm, dropout and augmentation a batch is the sum of its parts.
    backbone = BackboneInfo(name="plain", family="own", builder="tests.test_vision:plain_network")
    config = trial(backbone, recipe=Recipe(name="plain", label_smoothing=0.1), optimizer="sgd", hp={"lr": 0.1})
    whole, parts = make_trainer(config), make_trainer(replace(config, micro_batch=7))
    for one, other in zip(run(whole, 2), run(parts, 2), strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-4)
    assert config_digest(config) != config_digest(replace(config, micro_batch=7))


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(32, None, [32]), (32, 32, [32]), (32, 16, [16, 16]), (33, 16, [11, 11, 11]), (5, 2, [2, 3]), (1, 1, [1])],
)
def test_micro_batches_are_even_and_never_of_one_image(count: int, size: int | None, sizes: list[int]) -> None:
    assert sorted(end - start for start, end in micro_batches(count, size)) == sizes


def plain_network(num_classes: int, in_chans: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * 64, num_classes))


def test_equal_configs_give_equal_numbers_and_other_seeds_others() -> None:
    first, again, other = (run(make_trainer(trial(seed=seed)), 2) for seed in (1, 1, 2))
    assert first == again
    assert first[0].train_loss != other[0].train_loss


def test_evaluating_the_test_part_changes_nothing() -> None:
    plain, evaluated = make_trainer(trial()), make_trainer(trial())
    run(plain, 1)
    run(evaluated, 1)
    assert 0 <= evaluated.evaluate_test() <= 1
    assert run(plain, 2) == run(evaluated, 2)


@pytest.mark.parametrize("optimizer", ["adamw", "lamb"])  # LAMB never leaves weights that start from 0
@pytest.mark.parametrize("backbone", DIGITS_NETWORKS)
def test_networks_for_digits_learn(backbone: str, optimizer: str) -> None:
    hp = {"lr": 0.01}
    data = DataConfig(name="digits")
    trainer = make_trainer(trial(backbone, optimizer, hp=hp, data=data, recipe=named_recipe("digits"), epochs=3))
    curve = run(trainer, 3)
    assert curve[-1].train_loss < curve[0].train_loss
    assert curve[-1].val_top1 > 0.7
    assert abs(trainer.evaluate_test() - curve[-1].val_top1) < 0.15


def test_a_measurement_says_what_was_done() -> None:
    config = trial(recipe=Recipe(name="plain"), epochs=2, hp={"lr": 0.5}, optimizer="sgd")
    trainer = make_trainer(config)
    first, second = run(trainer, 2)
    assert (first.epoch, second.epoch) == (1, 2)
    steps = math.ceil(trainer.resolved.train_samples / config.batch_size) * 2
    assert second.lr == pytest.approx(0.5 * (1 + math.cos(math.pi * (steps - 1) / steps)) / 2)
    assert first.grad_norm is not None
    assert first.grad_norm > 0
    assert first.val_top5 is not None
    assert first.val_top5 >= first.val_top1


def test_what_was_built_is_recorded() -> None:
    trainer = make_trainer(trial(optimizer="lamb", hp={"lr": 0.02}))
    resolved = trainer.resolved
    assert resolved.optimizer_class == "timm.optim.lamb:Lamb"
    assert resolved.hp["lr"] == 0.02
    assert resolved.parameters == sum(group.parameters for group in resolved.groups) == 8 * 9 + 24 + 72 * 10 + 10
    assert {group.name: group.weight_decay for group in resolved.groups} == {"decayed": 0.02, "exempt": 0.0}
    assert (resolved.input_size, resolved.classes, resolved.precision, resolved.device) == (8, 10, "float32", "cpu")
    assert trainer.peak_memory() > 10_000_000


def test_clipping_bounds_the_step_and_is_measured_before() -> None:
    plain = replace(Recipe(name="plain"), crop_padding=0)
    hp = {"lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    norms = []
    for limit in (None, 1e-9):
        config = trial(optimizer="sgd", hp=hp, recipe=replace(plain, clip_grad_norm=limit), epochs=1, batch_size=1000)
        norms += [run(make_trainer(config), 1)[0].grad_norm]
    assert norms[0] == norms[1]


def test_a_loss_that_is_not_finite_ends_the_epoch() -> None:
    trainer = make_trainer(trial(optimizer="sgd", hp={"lr": 1e30}, recipe=Recipe(name="plain")))
    measurement = run(trainer, 1)[0]
    assert not measurement.is_finite
    assert measurement.val_top1 == 0.1
    assert trainer.epoch == 1


def test_a_last_batch_of_one_image_is_left_out() -> None:
    train_samples = make_trainer(trial()).resolved.train_samples
    trainer = make_trainer(trial(batch_size=train_samples - 1))
    assert run(trainer, 1)[0].is_finite


def flat_network(num_classes: int, in_chans: int, img_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * img_size**2, num_classes))


FLAT = BackboneInfo(name="flat", family="own", builder="tests.test_vision:flat_network", takes_image_size=True)


def test_images_are_resized_to_the_size_asked_for() -> None:
    trainer = make_trainer(trial(FLAT, data=replace(TINY_DATA, image_size=12)))
    assert trainer.resolved.input_size == 12
    assert trainer.resolved.parameters == 12 * 12 * 10 + 10
    assert run(trainer, 1)[0].is_finite


def test_the_spec_chooses_what_is_trained_and_validated_on() -> None:
    split = make_trainer(trial()).resolved
    everything = make_trainer(trial(train_on=TrainOn.ALL)).resolved
    on_test = make_trainer(trial(data=replace(TINY_DATA, validation=Validation.TEST))).resolved
    assert split.train_samples + split.validation_samples == everything.train_samples == on_test.train_samples
    assert everything.validation_samples == on_test.validation_samples == split.test_samples


def test_bfloat16_is_taken_where_asked_for() -> None:
    trainer = make_trainer(trial(precision=Precision.BFLOAT16))
    assert trainer.resolved.precision == "bfloat16"
    assert run(trainer, 1) != run(make_trainer(trial()), 1)


def test_a_state_of_another_trial_is_refused() -> None:
    state = make_trainer(trial(seed=1)).snapshot()()
    moved = trial(seed=1, data=replace(TINY_DATA, path="/elsewhere"))
    make_trainer(moved).restore(state)
    with pytest.raises(ValueError, match="another trial"):
        make_trainer(trial(seed=2)).restore(state)
    for damaged in (b"", b"nothing", state[: len(state) // 2]):
        with pytest.raises(ValueError, match="not a trainer's state"):
            make_trainer(trial(seed=1)).restore(damaged)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        (trial(precision=Precision.FLOAT16), "float16 needs a GPU"),
        (trial(hp={"momentun": 0.9}), "momentun"),
        (trial(hp={"lr": "fast"}), "must be a number|refuses"),
        (trial("vit_digits", data=replace(TINY_DATA, image_size=16)), "takes images of 8 px; got 16 px"),
        (trial("resnet_digits", data=replace(TINY_DATA, name="digit")), "did you mean digits"),
    ],
)
def test_what_cannot_be_had_is_refused(config: TrialConfig, part: str) -> None:
    with pytest.raises(UserError, match=part):
        make_trainer(config)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", [Precision.AUTO, Precision.FLOAT16, Precision.FLOAT32])
@pytest.mark.parametrize("optimizer", ANY_NETWORK)
def test_a_gpu_trains_resumes_and_repeats(precision: Precision, optimizer: str) -> None:
    config = trial(optimizer=optimizer, precision=precision)
    trainer = make_trainer(config)
    run(trainer, 1)
    state = trainer.snapshot()()
    rest = run(trainer, 2)
    resumed = make_trainer(config)
    resumed.restore(state)
    assert run(resumed, 2) == rest
    assert trainer.peak_memory() > 0
