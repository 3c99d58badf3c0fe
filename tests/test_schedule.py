"""The learning rate's schedule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.recipes import Recipe, list_recipes
from trainers.schedule import lr_share

RECIPES = st.builds(Recipe, name=st.just("r"), warmup_share=st.floats(0, 0.9), min_lr_share=st.floats(0, 1))


@given(recipe=RECIPES, total=st.integers(1, 500), data=st.data())
def test_the_share_lies_between_0_and_1(recipe: Recipe, total: int, data: st.DataObject) -> None:
    assert 0 < lr_share(data.draw(st.integers(0, total - 1)), total, recipe) <= 1


@given(recipe=RECIPES, total=st.integers(2, 300))
def test_it_rises_in_the_warmup_and_falls_after_it(recipe: Recipe, total: int) -> None:
    shares = [lr_share(step, total, recipe) for step in range(total)]
    warmup = round(recipe.warmup_share * total)
    assert shares[:warmup] == sorted(shares[:warmup])
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True)
    if warmup:
        assert shares[warmup - 1] == 1


def test_the_numbers_by_hand() -> None:
    recipe = Recipe(name="r", warmup_share=0.2, min_lr_share=0.1)
    shares = [lr_share(step, 10, recipe) for step in range(10)]
    assert shares[:2] == [0.5, 1.0]
    assert shares[5] == pytest.approx(0.1 + 0.9 * 0.5)
    assert lr_share(0, 10, Recipe(name="r")) == 1


@pytest.mark.parametrize("step", [-1, 10])
def test_a_step_outside_the_run_is_an_error(step: int) -> None:
    with pytest.raises(ValueError, match="step"):
        lr_share(step, 10, list_recipes()[0])
