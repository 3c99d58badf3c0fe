"""The learning rate as a pure function of the step, so that a resumed trial needs no schedule state."""

from __future__ import annotations

import math

from search_spaces.recipes import LrStep, Recipe


def learning_rate(peak: float, step: int, *, steps_per_epoch: int, epochs: int, recipe: Recipe) -> float:
    """The rate of step `step` (from 0) of a run.

    A cosine from the peak to the recipe's minimum over the whole run, warm-up included, that moves on with every step
    or with every epoch; in the warm-up of n steps, step i takes the share 1 - (1 - i / n) (1 - s) of it, with the
    recipe's s. Source: the schedule of the paper's configs (recipes.csv, `warmup_form` and `lr_step`).

    Raises:
        ValueError: The step is not one of the run.
    """
    total = steps_per_epoch * epochs
    if not 0 <= step < total:
        raise ValueError(f"step must lie in [0, {total}); got {step}")
    progress = step / total if recipe.lr_step is LrStep.STEP else step // steps_per_epoch / epochs
    lowest = min(recipe.min_lr, peak)
    rate = lowest + (peak - lowest) * (1 + math.cos(math.pi * progress)) / 2
    warmup_steps = round(recipe.warmup_share * total)
    if step < warmup_steps:
        rate *= 1 - (1 - step / warmup_steps) * (1 - recipe.warmup_start_share)
    return rate


def constant_rate(peak: float, step: int, *, total_steps: int, warmup_share: float) -> float:
    """The rate of step `step` (from 0) of a run whose optimizer wants no schedule but a linear warm-up.

    Step i of a warm-up of n steps takes the share (i + 1) / n.

    Raises:
        ValueError: The step is not one of the run, or the share is none.
    """
    if not 0 <= step < total_steps:
        raise ValueError(f"step must lie in [0, {total_steps}); got {step}")
    if not 0 <= warmup_share <= 1:
        raise ValueError(f"warmup_share must lie in [0, 1]; got {warmup_share}")
    return peak * min(1.0, (step + 1) / max(1, round(warmup_share * total_steps)))
