"""Optuna's own measure of importance, as a second opinion: what tells the best tenth of the trials from the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_TRIALS = 50
"""The best tenth must hold at least five trials."""


def ped_anova(
    points: NDArray[np.float64], scores: NDArray[np.float64], names: Sequence[str]
) -> dict[str, float] | None:
    """PED-ANOVA importance of each hyper-parameter, adding up to 1. It is not a share of variance.

    Source: Watanabe, Bansal and Hutter (2023), arXiv 2304.10255, as `optuna.importance` computes it.

    Args:
        points: Shape (n, d), in the unit cube: on the values themselves, Optuna would take log scales for linear.
        scores: Shape (n,), finite; higher is better.
        names: The d hyper-parameters.

    Returns:
        None with fewer than `LEAST_TRIALS` trials, or where the best tenth score no better than all others, as where
        fewer than a tenth do not diverge.
    """
    best_tenth = math.ceil(len(scores) / 10)
    if len(scores) < LEAST_TRIALS or np.sort(scores)[-best_tenth] <= scores.min():
        return None
    # Deferred: Optuna is needed only here, and only for large designs.
    import optuna

    # Optuna's logger is the user's: quietened where a study is made, and given back.
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        space = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params=dict(zip(names, map(float, point), strict=True)),
                    distributions=dict(space),
                    value=float(score),
                )
                for point, score in zip(points, scores, strict=True)
            ]
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {name: float(found[name]) for name in names}
