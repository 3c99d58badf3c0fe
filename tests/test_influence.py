from __future__ import annotations

import numpy as np
import pytest

from orchestrator.analysis.statistics.coupling.anova import two_way_anova
from orchestrator.analysis.statistics.coupling.influence import influence
from tests.score_examples import paper_table, planted


def test_two_optimizers_carry_the_papers_interaction() -> None:
    found = influence(*paper_table())
    assert found is not None
    assert [left.names for left in found.optimizer[:2]] == [("AdaGrad",), ("LARS",)]
    assert [100 * left.carried for left in found.optimizer[:2]] == pytest.approx([41.8, 36.2], abs=0.05)
    both = found.optimizer_largest[1]
    assert both.names == ("AdaGrad", "LARS")
    assert 100 * both.carried == pytest.approx(78.0, abs=0.05)
    assert 100 * (both.share or 0) == pytest.approx(16.6, abs=0.05)
    assert both.ss_interaction == pytest.approx(2043, abs=0.5)
    cell = found.cells[0]
    assert (cell.backbone, cell.optimizer) == ("Moga-S", "LARS")
    assert 100 * cell.carried == pytest.approx(18.0, abs=0.05)
    carried = np.cumsum([cell.carried for cell in found.cells])
    assert 100 * carried[[9, 19]] == pytest.approx([61.2, 77.9], abs=0.05)
    assert sum(left.carried for left in found.backbone) == pytest.approx(1)


def test_each_left_out_is_the_analysis_of_the_rest() -> None:
    scores = planted(np.random.default_rng(0), (4, 5, 3))
    found = influence(scores, "ABCD", "vwxyz")
    assert found is not None
    for left in found.backbone:
        rest = two_way_anova(np.delete(scores, "ABCD".index(left.names[0]), axis=0))
        assert rest is not None
        assert (left.ss_interaction, left.share) == pytest.approx((rest.ss_interaction, rest.eta2))
        assert left.index is not None
    assert [left.carried for left in found.backbone] == sorted(
        (left.carried for left in found.backbone), reverse=True
    )
    assert [len(left.names) for left in found.backbone_largest] == [1, 2]  # two must remain
    assert [len(left.names) for left in found.optimizer_largest] == [1, 2, 3]


def test_nothing_is_said_about_what_is_left_where_it_is_no_table() -> None:
    found = influence([[1.0, 2.0, 3.0], [3.0, 1.0, 9.0]], "AB", "xyz")
    assert found is not None
    assert all((left.ss_interaction, left.share, left.index) == (None, None, None) for left in found.backbone)
    assert found.backbone_largest == ()
    # Without its middle column this table falls into two parts.
    found = influence([[1.0, 2.0, np.nan], [np.nan, 4.0, 7.0], [1.0, 5.0, np.nan]], "ABC", "xyz")
    assert found is not None
    assert next(left for left in found.optimizer if left.names == ("y",)).share is None


def test_an_additive_table_has_no_carriers_and_names_must_fit() -> None:
    assert influence([[1.0, 2.0], [3.0, 4.0]], "AB", "xy") is None
    assert influence([[1.0, 2.0]], "A", "xy") is None
    with pytest.raises(ValueError, match="names"):
        influence([[1.0, 2.0]], "AB", "xy")
