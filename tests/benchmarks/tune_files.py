"""The same trials as Ray Tune keeps them: its own logger writes, its `ExperimentAnalysis` reads.

Started as a process of its own, so that Ray's memory and threads disturb no other measurement:
`python -m tests.benchmarks.tune_files FOLDER TRIALS EPOCHS CELLS` prints a JSON object.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from orchestrator.running.ray_environment import prepare
from tests.benchmarks.made_up_trials import CELLS, MadeUpTrial

REPEATS = 3


def write(folder: Path, trials: int, epochs: int, cells: int) -> Path:
    """Writes the trials with Tune's JSON logger and experiment state; returns the experiment's folder.

    No worker is started: only Tune's files are of interest here. A Tune trial wants a Ray session all the same.
    """
    import ray
    from ray.train._internal.storage import StorageContext
    from ray.tune.experiment import Trial
    from ray.tune.logger.json import JsonLoggerCallback
    from ray.tune.utils.serialization import TuneFunctionEncoder

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    storage = StorageContext(storage_path=str(folder), experiment_dir_name="tune")
    written = []
    for index in range(trials):
        made_up = MadeUpTrial(index=index, epochs=epochs, cells=cells)
        trial = Trial("made_up", config={"lr": made_up.learning_rate}, storage=storage, stub=True)
        trial.create_placement_group_factory()
        # Tune writes beside its session and copies when a trial ends; the copies are what is kept.
        trial.init_local_path()
        logger = JsonLoggerCallback()
        for row in made_up.curve():
            result = {
                **asdict(row),
                "trial_id": trial.trial_id,
                "training_iteration": row.epoch,
                "score": row.val_top1,
            }
            logger.log_trial_result(row.epoch, trial, {**result, "config": trial.config, "pid": 1, "node_ip": "x"})
        trial.update_last_result(result)
        logger.log_trial_end(trial)
        shutil.copytree(trial.local_path, trial.storage.trial_fs_path)
        written.append(trial.get_json_state())
    state = {"trial_data": written, "runner_data": {}, "stats": {"start_time": time.time()}}
    text = json.dumps(state, cls=TuneFunctionEncoder)
    Path(folder, "tune", "experiment_state-2026-03-01_00-00-00.json").write_text(text, encoding="utf-8")
    ray.shutdown()
    return folder / "tune"


def best_per_cell(folder: Path) -> int:
    """Number of cells with a best trial, by the scores of their last results."""
    from ray.tune import ExperimentAnalysis

    frame = ExperimentAnalysis(str(folder)).dataframe()
    best = frame.sort_values("score").groupby(["backbone", "optimizer"]).last()
    return len(best)


def curves_of_a_cell(folder: Path) -> int:
    """Number of measurements of the first cell."""
    from ray.tune import ExperimentAnalysis

    backbone, optimizer = CELLS[0]
    frames = ExperimentAnalysis(str(folder)).trial_dataframes.values()
    return sum(len(frame[(frame.backbone == backbone) & (frame.optimizer == optimizer)]) for frame in frames)


def median_seconds(ask: Callable[[], object]) -> float:
    """Of a few calls."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main(folder: Path, trials: int, epochs: int, cells: int) -> None:
    """Prints what was measured as a JSON object."""
    began = time.perf_counter()
    experiment = write(folder, trials, epochs, cells)
    write_seconds = time.perf_counter() - began
    files = [path for path in experiment.rglob("*") if path.is_file()]
    assert best_per_cell(experiment) == cells
    assert curves_of_a_cell(experiment) == trials // cells * epochs
    facts = {
        "write_seconds": write_seconds,
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "best_seconds": median_seconds(lambda: best_per_cell(experiment)),
        "curves_seconds": median_seconds(lambda: curves_of_a_cell(experiment)),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    prepare(private=True)
    main(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:5]))
