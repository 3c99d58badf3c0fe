"""The learning rate as a pure function of the step, so that a resumed trial needs no schedule state."""

from __future__ import annotations

import math

from search_spaces.recipes import Recipe


def lr_share(step: int, total_steps: int, recipe: Recipe) -> float:
    """Share of the peak rate that step `step` of `total_steps` uses (steps count from 0).

    Linear warm-up that reaches 1 at its last step, then a cosine from 1 to the recipe's `min_lr_share` whose horizon
    is the whole run, warm-up included: the cosine is where it would be without a warm-up (as timm's
    CosineLRScheduler with `warmup_prefix=False`).

    Raises:
        ValueError: The step is not one of the run.
    """
    if not 0 <= step < total_steps:
        raise ValueError(f"step must lie in [0, {total_steps}); got {step}")
    warmup_steps = round(recipe.warmup_share * total_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    cosine = (1 + math.cos(math.pi * step / total_steps)) / 2
    return recipe.min_lr_share + (1 - recipe.min_lr_share) * cosine
