"""Optuna decides: one in-memory study per cell, rebuilt at any time from the trials that ended.

Tune trials come in generations: a generation is asked when the one before has ended, by a sampler made anew from a
hash, with the history in order of trial number. So what is suggested never depends on timing, on how often the sweep
was interrupted, or on which process asks.
"""

from __future__ import annotations

import json
import warnings
from array import array
from collections.abc import Sequence

import optuna
from optuna.distributions import FloatDistribution
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.planning.plan import Cell, Plan, Role
from orchestrator.store.schema import TrialRow
from trainers.seeds import stream_seed

optuna.logging.set_verbosity(optuna.logging.WARNING)

STARTUP_TRIALS = 10
"""Trials a TPE wants before it models anything; fewer where the design gives fewer."""

_STATES = {
    "COMPLETE": TrialState.COMPLETE,
    "DIVERGED": TrialState.COMPLETE,  # a result: its value is chance
    "PRUNED": TrialState.PRUNED,
    "FAIL": TrialState.FAIL,
}


def ask_generation(plan: Plan, cell: Cell, generation: int, ended: Sequence[TrialRow]) -> list[dict[str, float]]:
    """The points of one generation of a cell's tune trials.

    Args:
        plan: The plan, for the protocol and the seed.
        cell: The cell.
        generation: 0 for the first `batch` tune trials.
        ended: The cell's trials that ended; of them only design trials and earlier generations count.

    Returns:
        `batch` points, fewer in the last generation: coordinates in [0, 1] by name of hyper-parameter.
    """
    protocol = plan.protocol.tune
    first = generation * protocol.batch
    history = _history(plan, ended, before=first)
    known = sum(row.state != "FAIL" for row in history)
    study = optuna.create_study(
        direction="maximize", sampler=_sampler(plan, cell, generation, known), pruner=NopPruner()
    )
    space = {name: FloatDistribution(0.0, 1.0) for name in cell.optimizer.space.names}
    study.add_trials([_frozen(row, space) for row in history])
    size = min(protocol.batch, protocol.trials - first)
    with warnings.catch_warnings():
        # Optuna marks multivariate TPE as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return [dict(study.ask(fixed_distributions=dict(space)).params) for _ in range(size)]


def _history(plan: Plan, ended: Sequence[TrialRow], before: int) -> list[TrialRow]:
    """Design trials and tune trials below a number, in an order that does not depend on when they ended."""
    warm_start = plan.protocol.tune.warm_start
    limit = plan.protocol.design.points if warm_start is None else warm_start
    chosen = [
        row
        for row in ended
        if (row.role == Role.DESIGN and row.number < limit) or (row.role == Role.TUNE and row.number < before)
    ]
    return sorted(chosen, key=lambda row: (row.role != Role.DESIGN, row.number, row.replicate))


def _sampler(plan: Plan, cell: Cell, generation: int, known: int) -> BaseSampler:
    seed = stream_seed(plan.spec.sweep.seed, cell.key, "sampler", generation) % 2**32
    startup = max(1, min(STARTUP_TRIALS, known))
    match plan.protocol.tune.sampler:
        case "tpe":
            return TPESampler(seed=seed, n_startup_trials=startup)
        case "gp":
            return GPSampler(seed=seed, n_startup_trials=startup)
        case "random":
            return RandomSampler(seed=seed)
        case "paper-grid":
            raise ValueError("the paper's grid is not asked of a study: its settings are known")


def _frozen(row: TrialRow, space: dict[str, FloatDistribution]) -> FrozenTrial:
    """A trial of the store as Optuna keeps it."""
    state = _STATES[row.state]
    point = json.loads(row.point or "{}")
    return create_trial(
        state=state,
        value=row.score if state is TrialState.COMPLETE else None,
        params={name: point[name] for name in space},
        distributions=dict(space),
    )


class Pruning:
    """Whether a running tune trial should be given up, judged against trials of the same cell only."""

    def __init__(self, plan: Plan, curves: Sequence[Sequence[float]]) -> None:
        """Makes a median pruner that knows the accuracies, by epoch, of the cell's COMPLETE tune trials."""
        grace = max(1, plan.spec.training.epochs // 4)
        study = optuna.create_study(
            direction="maximize", pruner=MedianPruner(n_startup_trials=2, n_warmup_steps=grace)
        )
        study.add_trials(
            [
                create_trial(
                    state=TrialState.COMPLETE, value=curve[-1], intermediate_values=dict(enumerate(curve, start=1))
                )
                for curve in map(_as_stored, curves)
                if curve
            ]
        )
        self._trial = study.ask()
        self._reported = 0

    def is_hopeless(self, accuracies: Sequence[float]) -> bool:
        """Whether the trial should stop, given its accuracies after each epoch so far."""
        for epoch in range(self._reported + 1, len(accuracies) + 1):
            self._trial.report(_as_stored(accuracies)[epoch - 1], epoch)
        self._reported = max(self._reported, len(accuracies))
        return self._trial.should_prune()


def _as_stored(accuracies: Sequence[float]) -> list[float]:
    """Accuracies as the store gives them back, so that a resumed sweep prunes what an undisturbed one does."""
    return list(array("f", accuracies))
