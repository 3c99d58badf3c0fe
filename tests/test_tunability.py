"""Summaries of tuning curves against their definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.statistics.sensitivity.tunability import alpha_tunability, tunability


def test_the_five_weightings_are_those_of_the_released_code() -> None:
    found = tunability(np.array([0.5, 0.7, 0.8, 0.9]))
    assert found.osp == 0.5
    assert found.pp == 0.9
    assert found.cpu == pytest.approx((0.5 + 0.7 + 0.8 + 0.9) / 4)
    assert found.cpe == pytest.approx((4 * 0.5 + 3 * 0.7 + 2 * 0.8 + 0.9) / 10)
    assert found.cpl == pytest.approx((0.5 + 2 * 0.7 + 3 * 0.8 + 4 * 0.9) / 10)
    one = tunability(np.array([0.4]))
    assert one.osp == one.cpe == one.cpu == one.cpl == one.pp == 0.4


def test_alpha_tunability_is_the_share_of_the_budget_until_the_target() -> None:
    curve = np.array([60.0, 72.0, 77.0, 80.0])
    assert alpha_tunability(curve, 0.9) == 0.5
    assert alpha_tunability(curve, 0.95) == 0.75
    assert alpha_tunability(curve, 1.0) == 1.0
    assert alpha_tunability(curve, 0.9, best=88.0) == 1.0
    assert alpha_tunability(curve, 1.0, best=80.5) is None


def test_impossible_curves_are_refused() -> None:
    for curve in ([], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="incumbents"):
            tunability(np.array(curve))
    with pytest.raises(ValueError, match="alpha"):
        alpha_tunability(np.array([1.0]), 0.0)
