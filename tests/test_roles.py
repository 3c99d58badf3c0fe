"""The guard: trials of a wrong role, pruned, short and superseded ones reach no statistic of sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from orchestrator.analysis.answers.budget import coupling_by_budget
from orchestrator.analysis.answers.optimizers import optimizer_sensitivities
from orchestrator.analysis.answers.sensitivity import cell_sensitivities, sensitivity
from orchestrator.analysis.trials.roles import require_role, trials_of_role
from orchestrator.errors import UsageError
from orchestrator.store.schema import TrialRow
from tests.sweep_rows import trial

DESIGN = trial(trial_id="a.design-000-s0", role="design")
WRONG = {
    "evenly": trial(trial_id="a.tune-000", role="tune"),
    "stopped early": trial(trial_id="a.design-001-s0", role="design", state="PRUNED", score=None, epochs_done=2),
    "last epoch": trial(trial_id="a.design-002-s0", role="design", epochs_done=4),
    "superseded": trial(trial_id="a.design-003-s0", role="design", superseded=True),
}
STATISTICS: dict[str, Callable[[Sequence[TrialRow]], object]] = {
    "cells": lambda rows: cell_sensitivities(rows, rng=np.random.default_rng(0)),
    "optimizers": lambda rows: optimizer_sensitivities(rows, (), rng=np.random.default_rng(0)),
    "budget": lambda rows: coupling_by_budget(rows, rng=np.random.default_rng(0)),
}


@pytest.mark.parametrize("why", WRONG)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_statistic_refuses_what_it_is_not_valid_for(statistic: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as error:
        STATISTICS[statistic]([DESIGN, WRONG[why]])
    assert WRONG[why].trial_id in str(error.value)
    assert "1 cannot be used" in str(error.value)


def test_other_arguments_are_guarded_as_well() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="published setting"):
        cell_sensitivities([DESIGN], default=[DESIGN], rng=rng)
    with pytest.raises(UsageError, match="fresh seeds"):
        cell_sensitivities([DESIGN], confirm=[DESIGN], rng=rng)
    with pytest.raises(UsageError, match="its role is not imported"):
        require_role([DESIGN], "imported", "something")


def test_results_that_are_short_because_they_diverged_are_fine() -> None:
    diverged = trial(role="design", state="DIVERGED", score=0.01, epochs_done=1)
    failed = trial(role="design", state="FAIL", score=None, epochs_done=0)
    require_role([DESIGN, diverged, failed], "design", "something")
    assert trials_of_role([DESIGN, diverged, failed], "design").trials == (DESIGN, diverged, failed)


def test_what_is_left_out_is_counted_with_its_reason() -> None:
    rows = [DESIGN, *WRONG.values(), trial(role="confirm", epochs_done=1)]
    found = trials_of_role(rows, "design")
    assert found.trials == (DESIGN,)
    # The tune trial is there for something else.
    assert [item.count for item in found.excluded] == [1, 1, 1]
    assert sum(item.count for item in sensitivity(rows, rng=np.random.default_rng(0)).excluded) == 4
