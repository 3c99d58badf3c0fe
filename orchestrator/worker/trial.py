"""Tune executes: the trainable that Ray starts, which holds one attempt after another."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from orchestrator.worker.attempt import Attempt
from orchestrator.worker.messages import Task

REPORT = "report"
TASK = "task"
CPUS = "cpus"
GPUS = "gpus"


class TrialWorker(tune.Trainable):
    """A long-lived worker: imports, data and caches stay warm from one attempt to the next.

    One `step` is one epoch. It raises only where an attempt is over: that ends a process which is not to be used
    again, because a GPU that code has left in disorder would fail every later trial.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What one trial is given, as its task says."""
        return tune.PlacementGroupFactory([{"CPU": config[CPUS], "GPU": config[GPUS]}])

    def setup(self, config: dict[str, Any]) -> None:
        """Takes its first task; building it waits for the first step."""
        self._attempt = Attempt(Task.from_json(config[TASK]), ray.get_runtime_context().get_node_id())
        self._is_over = False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another task on the same process."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Trains one epoch; the result is one JSON string, because Tune keeps statistics of numbers.

        Raises:
            RuntimeError: The attempt is over.
        """
        if self._is_over:
            raise RuntimeError("this worker is not to be used again")
        report = self._attempt.step()
        self._is_over = report.ending is not None
        return {REPORT: report.to_json()}

    def leave(self, *, save: bool) -> int:
        """Ends the running attempt between two steps; returns the epochs that are saved."""
        self._is_over = True
        return self._attempt.leave(save=save)
