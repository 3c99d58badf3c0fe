"""The seams to Ray Tune: a searcher, a scheduler and a callback that hand everything on to the driver.

One Tune run serves all cells. Tune's own bookkeeping is kept out of the way: it has no metric, keeps no checkpoint,
and sees each attempt as a trial of its own (`max_failures` stays 0).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import Callback
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.errors import BocbError, ClusterError
from orchestrator.running.cluster import TrialResources, cause_of_death
from orchestrator.running.driver import Driver, Order
from orchestrator.running.outcomes import Loss
from orchestrator.worker.messages import Report, Task
from orchestrator.worker.trial import CPUS, GPUS, REPORT, TASK, TrialWorker

LEAVE_SECONDS = 120
"""How long a worker may take to save a trial that is being stopped."""

UNLIMITED = 4096
"""Tune's own cap on trials at once, fixed when a run starts; the driver's slots are the real one."""

TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # five files per trial otherwise
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # its experiment state grows with every trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # signals are ours
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # the store keeps them
    "TUNE_RESULT_BUFFER_LENGTH": "1",  # every epoch is reported when it ends
    "TUNE_MAX_PENDING_TRIALS_PG": str(UNLIMITED),  # else one trial at a time is started
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_tune(driver: Driver, resources: TrialResources, scratch: Path, tick: Callable[[], None]) -> None:
    """One Tune run over everything the driver has to do.

    Args:
        driver: Hands out tasks and takes reports.
        resources: What each trial gets.
        scratch: A local folder for what Tune writes; nothing in it is ever read.
        tick: Called some ten times a second.

    Raises:
        ClusterError: Tune gave up.
    """
    os.environ.update(TUNE_ENVIRONMENT)
    # Tune sets a variable for PyTorch Lightning, and any variable makes an environment of its own: each worker would
    # begin as one more Python process that imports Ray. Those that Tune passes on from our environment stay.
    getattr(class_cache, "DEFAULT_ENV_VARS", {}).clear()
    # Tune warns of every trial without a result file when it ends; ours write none.
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    workers: dict[str, Any] = {}
    tuner = tune.Tuner(
        TrialWorker,
        tune_config=tune.TuneConfig(
            search_alg=SweepSearcher(driver, resources),
            scheduler=SweepScheduler(driver, workers),
            num_samples=-1,
            max_concurrent_trials=UNLIMITED,
            reuse_actors=True,
            trial_dirname_creator=_directory_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            callbacks=[SweepCallback(driver, workers, tick), _Silence()],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    try:
        tuner.fit()
    except (tune.error.TuneError, ray.exceptions.RayError) as error:
        # Tune wraps what its callbacks raise, more than once, in the text of its traceback.
        ours = next((cause for cause in _causes(error) if isinstance(cause, BocbError)), None)
        if ours is not None:
            raise ours from None
        raise ClusterError(f"Ray Tune gave up: {str(error).strip().splitlines()[-1]}") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised in answer to."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _directory_name(trial: Trial) -> str:
    return str(trial.trial_id)


class _Transient:
    """What Tune pickles into its scratch folder and nobody ever reads back."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Silence(_Transient, TrialProgressCallback):
    """In place of the lines that Tune prints of trials."""

    def _print(self, msg: str) -> None:
        """Prints nothing."""


class SweepSearcher(_Transient, Searcher):
    """Hands the driver's tasks to Tune."""

    def __init__(self, driver: Driver, resources: TrialResources) -> None:
        super().__init__(metric=None, mode=None)
        self._driver = driver
        self._resources = resources

    def suggest(self, trial_id: str) -> Any:
        """A task, `FINISHED` when there will be no more, or None for "not now"."""
        task = self._driver.next_task()
        if task is not None:
            return {TASK: task.to_json(), CPUS: self._resources.cpus, GPUS: self._resources.gpus}
        return Searcher.FINISHED if self._driver.is_finished else None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: it comes before the callback and knows no exception, so the callback closes trials."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the only truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a searcher is always made from the store."""


class SweepScheduler(_Transient, FIFOScheduler):
    """Lets Tune start pending trials by itself, and takes every report to the driver.

    The stock scheduler names a pending trial whose worker is still starting; Tune then gives it a cached worker and
    removes the starting one, so that short trials never fill the slots. Naming none leaves both alone.
    """

    def __init__(self, driver: Driver, workers: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._driver = driver
        self._workers = workers

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """None: see the class. Of a sweep that is being stopped, trials that no worker has yet are taken back."""
        if self._driver.is_finished:
            for trial in list(tune_controller.get_live_trials()):
                if trial.status == Trial.PENDING:
                    trial.init_local_path()  # its results, of which there are none, are looked for there at the end
                    tune_controller.stop_trial(trial)
        return None

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Hands a report to the driver, and says whether the trial goes on and its worker is used again."""
        report = Report.from_json(result[REPORT])
        if not self._driver.has(_task_of(trial)):
            return str(TrialScheduler.STOP)
        order = self._driver.on_report(report)
        if order is Order.GO_ON:
            return str(TrialScheduler.CONTINUE)
        if order is Order.LEAVE:
            self._leave(trial, report)
        # Told to go on, a worker whose attempt is over raises, and Tune makes another one for the next trial.
        return str(TrialScheduler.STOP if self._driver.may_use_again(report) else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Remembers the worker, which Tune forgets before it tells the callback."""
        if trial.temporary_state.ray_actor is not None:
            self._workers[trial.trial_id] = trial.temporary_state.ray_actor

    def _leave(self, trial: Trial, report: Report) -> None:
        """Ends an attempt between two steps, when its worker is idle, so that nothing of it is written later on."""
        try:
            actor: Any = trial.temporary_state.ray_actor
            epochs = ray.get(actor.leave.remote(save=not self._driver.is_hopeless(report)), timeout=LEAVE_SECONDS)
        except (ray.exceptions.RayError, OSError) as error:
            self._driver.on_loss(report.trial_id, Loss.WORKER, f"not saved while stopping: {type(error).__name__}")
        else:
            self._driver.on_left(report.trial_id, int(epochs))


class SweepCallback(_Transient, Callback):
    """Tells the driver of starts, silences and deaths."""

    def __init__(self, driver: Driver, workers: dict[str, Any], on_tick: Callable[[], None]) -> None:
        self._driver = driver
        self._on_tick = on_tick
        self._workers = workers
        """Per Tune trial, its worker."""
        self._hung: set[str] = set()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Some ten times a second."""
        self._on_tick()
        silent = {task.to_json() for task in self._driver.silent()}
        for trial in trials if silent else ():
            if trial.config[TASK] in silent and trial.trial_id not in self._hung:
                self._hung.add(trial.trial_id)
                ray.kill(self._workers[trial.trial_id])

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A worker begins with a task."""
        self._workers[trial.trial_id] = trial.temporary_state.ray_actor
        self._driver.on_start(_task_of(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A worker died, or was told to because it is not to be used again."""
        task, worker = _task_of(trial), self._workers.pop(trial.trial_id, None)
        if not self._driver.has(task):
            return
        if trial.trial_id in self._hung:
            self._hung.discard(trial.trial_id)
            self._driver.on_loss(task.trial_id, Loss.HANG, "it said nothing for too long")
        else:
            self._driver.on_loss(task.trial_id, *cause_of_death(worker, _recorded_error(trial)))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial that Tune removed before it reported goes back to the queue."""
        task = _task_of(trial)
        self._workers.pop(trial.trial_id, None)
        if self._driver.has(task):
            self._driver.on_left(task.trial_id, 0)


def _task_of(trial: Trial) -> Task:
    return Task.from_json(trial.config[TASK])


def _recorded_error(trial: Trial) -> str:
    """What Tune wrote down of a trial's error; its text, never its pickle."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):  # TypeError: there is no such file
        return ""
