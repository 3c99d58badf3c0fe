"""The size of a checkpoint is known before it is written."""

from __future__ import annotations

import pytest

from orchestrator.errors import SpecError
from orchestrator.planning.checkpoint_budget import check_budget
from orchestrator.worker.checkpoints import Checkpoint, encode
from search_spaces.optimizers import list_optimizers
from tests.planned_sweeps import small_plan
from tests.trial_examples import run, trial
from trainers.make import make_trainer
from trainers.sizes import OVERHEAD_BYTES, checkpoint_bytes, network_of


@pytest.mark.parametrize("optimizer", [info.name for info in list_optimizers()])
def test_a_real_checkpoint_is_no_larger_than_said_and_not_much_smaller(optimizer: str) -> None:
    config = trial("resnet_digits", optimizer, epochs=1)
    trainer = make_trainer(config)
    history = tuple(run(trainer, 1))
    real = len(encode(Checkpoint(trial_id="t", config_sha256="c", history=history, state=trainer.snapshot()())))
    said = checkpoint_bytes(network_of(config.backbone, config.data, 8), config.optimizer, has_average=True)
    assert real <= said
    # The state over the kernel is smaller for 3x3 than for the pointwise convolutions that count in advance.
    assert said - 2 * OVERHEAD_BYTES < real or optimizer == "adafactor_released"


def test_a_budget_that_is_too_small_is_refused_with_both_numbers() -> None:
    plan = small_plan(checkpoints={"max_bytes": 3 * OVERHEAD_BYTES, "keep": "confirm"})
    with pytest.raises(
        SpecError, match=r"max_bytes = 300000.* 2 trials at once and 8 kept .* can take 1200000.*failed trials"
    ):
        check_budget(plan, slots=2)
    check_budget(small_plan(checkpoints={"max_bytes": 4 * OVERHEAD_BYTES}), slots=2)
    check_budget(small_plan(), slots=2)
