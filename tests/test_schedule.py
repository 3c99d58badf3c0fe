"""The learning rate's schedule."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.recipes import LrStep, Recipe
from trainers.optimization.schedule import learning_rate

RECIPES = st.builds(
    Recipe,
    name=st.just("r"),
    warmup_share=st.floats(0, 0.9),
    warmup_start_share=st.floats(0, 1),
    min_lr=st.floats(0, 2),
    lr_step=st.sampled_from(LrStep),
)


def rates(recipe: Recipe, *, peak: float = 1.0, epochs: int = 10, steps: int = 5) -> list[float]:
    total = epochs * steps
    return [learning_rate(peak, step, steps_per_epoch=steps, epochs=epochs, recipe=recipe) for step in range(total)]


@given(recipe=RECIPES, epochs=st.integers(1, 20), steps=st.integers(1, 20))
def test_the_rate_lies_between_0_and_the_peak(recipe: Recipe, epochs: int, steps: int) -> None:
    assert all(0 <= rate <= 1 for rate in rates(recipe, epochs=epochs, steps=steps))


@given(recipe=RECIPES, epochs=st.integers(1, 20), steps=st.integers(1, 20))
def test_it_never_rises_after_the_warmup(recipe: Recipe, epochs: int, steps: int) -> None:
    after = rates(recipe, epochs=epochs, steps=steps)[round(recipe.warmup_share * epochs * steps) :]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(after))


def test_the_warmup_is_linear_from_its_first_share_times_the_cosine() -> None:
    """The formula of the paper's configs, written out: 1 - (1 - i / n) (1 - s), times the cosine over all steps."""
    recipe = Recipe(name="r", warmup_share=0.2, warmup_start_share=1e-5)
    for step, rate in enumerate(rates(recipe, epochs=10, steps=10)):
        cosine = 0.5 * (1 + math.cos(math.pi * step / 100))
        share = 1 - (1 - step / 20) * (1 - 1e-5) if step < 20 else 1.0
        assert rate == pytest.approx(cosine * share, rel=1e-12)
    assert rates(recipe)[0] == pytest.approx(1e-5)


def test_by_epoch_the_cosine_stands_still_within_an_epoch_and_the_warmup_does_not() -> None:
    still = rates(Recipe(name="r", lr_step=LrStep.EPOCH, min_lr=0.1), epochs=4, steps=3)
    assert still[0:3] == [1.0] * 3
    assert still[6:9] == pytest.approx([0.1 + 0.9 * 0.5] * 3)
    warming = rates(
        Recipe(name="r", lr_step=LrStep.EPOCH, warmup_share=0.5, warmup_start_share=0.0), epochs=4, steps=3
    )
    assert warming[:3] == pytest.approx([0, 1 / 6, 2 / 6])


def test_a_peak_below_the_minimum_stays_where_it_is() -> None:
    assert rates(Recipe(name="r", min_lr=1e-6), peak=1e-7) == pytest.approx([1e-7] * 50)


def test_pytorchs_cosine_is_the_same_curve() -> None:
    import torch

    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.01)
    for rate in rates(Recipe(name="r", min_lr=0.01), peak=0.3):
        assert rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_run_is_an_error(step: int) -> None:
    with pytest.raises(ValueError, match="step"):
        learning_rate(1.0, step, steps_per_epoch=5, epochs=2, recipe=Recipe(name="r"))


def test_a_longer_run_has_the_same_curve_on_more_steps() -> None:
    recipe = replace(Recipe(name="r", warmup_share=0.25), min_lr=0.01)
    assert rates(recipe, epochs=40, steps=10)[::10] == pytest.approx(rates(recipe, epochs=40, steps=1), abs=0.03)
