"""The learning rate as a pure function of the step, so that a resumed trial needs no schedule state."""

from __future__ import annotations

import math

from search_spaces.errors import UserError
from search_spaces.optimizers import WARMUP_SHARE
from search_spaces.recipes import LrStep, Recipe
from trainers.config import TrialConfig


def rate_of(config: TrialConfig, step: int, *, steps_per_epoch: int) -> float:
    """The rate of step `step` (from 0) of a trial: by its recipe, or constant where its optimizer wants no schedule.

    Raises:
        UserError: The peak rate or the share of the optimizer's own warm-up is not a number.
        ValueError: The step is not one of the trial.
    """
    peak = hp_number(config, "lr")
    if config.optimizer.has_own_schedule:
        total = steps_per_epoch * config.epochs
        return constant_rate(peak, step, total_steps=total, warmup_share=hp_number(config, WARMUP_SHARE))
    return learning_rate(peak, step, steps_per_epoch=steps_per_epoch, epochs=config.epochs, recipe=config.recipe)


def hp_number(config: TrialConfig, name: str) -> float:
    """A hyper-parameter of a trial that must be a number of at least 0.

    Raises:
        UserError: It is not.
    """
    value = config.hp[name]
    if isinstance(value, bool) or not isinstance(value, float | int) or value < 0:
        raise UserError(f"{name} of {config.optimizer.name} must be a number of at least 0; got {value!r}")
    return float(value)


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
