"""The hyper-parameter distance against the paper's figures, a loop in plain Python, and values worked out by hand."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orchestrator.analysis.statistics.robustness.hp_distance import (
    Ties,
    hp_distances,
    mode_distance,
    own_list_steps,
    steps_from_default,
)
from tests import paper_csv

NAN = float("nan")


def highest_in_figure_5() -> dict[str, float]:
    rows = paper_csv.read(paper_csv.FOLDER / "figure5_optimizer_distance_boxes.csv")
    return {
        row["optimizer"]: max(float(value) for value in (row["whisker_high"], *row["outliers"].split(";")) if value)
        for row in rows
    }


@pytest.mark.parametrize(
    ("ties", "more"),
    [(Ties.LOWEST, set()), (Ties.NEAREST, {"Adamax", "RAdam", "AdaBound"})],
    ids=["lowest", "nearest"],
)
def test_the_tuned_values_give_the_maxima_of_the_papers_figure_5(ties: Ties, more: set[str]) -> None:
    rows = paper_csv.read(paper_csv.SETTINGS)
    names = list(dict.fromkeys(row["optimizer"] for row in rows))
    lr, decay = (paper_csv.grid(rows, name).astype(np.float64) for name in ("lr", "weight_decay"))
    found = hp_distances(own_list_steps(lr), own_list_steps(decay), ties)
    shown = highest_in_figure_5()
    equal = {
        name
        for name, distance in zip(names, found.optimizers, strict=True)
        if distance and distance.max_ordinal == shown[name]
    }
    eleven = {
        *("AdamW", "LAMB", "RMSProp", "Adam", "NAdam", "Sophia", "AdamP", "Adan", "AdaFactor", "AdaGrad", "SGD-M"),
    }
    assert equal == eleven | more
    # The one-hot reading cannot give the odd numbers that the figure shows.
    assert {value for distance in found.optimizers if distance for value in distance.one_hot} == {0, 2, 4}


def in_plain_python(pairs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Both readings from the rule for ties, with no arrays: ordinal and one-hot distances."""
    modes = []
    for values in zip(*pairs, strict=True):
        commonest = sorted(statistics.multimode(values))
        modes.append(min(commonest, key=lambda mode: (sum(abs(v - mode) for v in values), mode)))
    lr, decay = modes
    return (
        [abs(x - lr) + abs(y - decay) for x, y in pairs],
        [2 * (x != lr) + 2 * (y != decay) for x, y in pairs],
    )


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-2, 5)), min_size=2, max_size=25))
def test_both_readings_equal_a_plain_loop(pairs: list[tuple[int, int]]) -> None:
    lr, decay = np.array(pairs, dtype=float).T
    found = mode_distance(lr, decay)
    assert found is not None
    ordinal, one_hot = in_plain_python(pairs)
    assert list(found.ordinal) == ordinal
    assert list(found.one_hot) == one_hot
    assert found.max_ordinal == max(ordinal)
    # Sums of whole numbers, divided once.
    assert found.mean_ordinal == pytest.approx(statistics.fmean(ordinal), rel=1e-12)
    assert found.mean_one_hot == pytest.approx(statistics.fmean(one_hot), rel=1e-12)


def test_ties_are_reported_and_broken_by_distance_then_value() -> None:
    # 0 and 3 are equally common; 3 is nearer to the rest.
    found = mode_distance(np.array([0.0, 0.0, 3.0, 3.0, 4.0]), np.zeros(5))
    assert found is not None
    assert (found.lr_candidates, found.lr_mode) == ((0.0, 3.0), 3.0)
    assert found.ordinal == (3, 3, 0, 0, 1)
    lowest = mode_distance(np.array([0.0, 0.0, 3.0, 3.0, 4.0]), np.zeros(5), Ties.LOWEST)
    assert lowest is not None
    assert lowest.ordinal == (0, 0, 3, 3, 4)
    even = mode_distance(np.array([2.0, 1.0]), np.zeros(2))
    assert even is not None
    assert even.lr_mode == 1.0


def test_missing_pairs_have_no_distance_and_one_pair_is_no_mode() -> None:
    found = mode_distance(np.array([1.0, NAN, 2.0, 1.0]), np.array([0.0, 0.0, NAN, 1.0]))
    assert found is not None
    assert (found.n, found.ordinal) == (2, (0, None, None, 1))
    assert mode_distance(np.array([1.0, NAN]), np.array([1.0, 1.0])) is None
    with pytest.raises(ValueError, match="one length"):
        mode_distance(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="one shape"):
        hp_distances(np.zeros((2, 3)), np.zeros((3, 2)))


@given(arrays(np.int64, (4, 3), elements=st.integers(0, 5)), st.permutations(range(4)), st.permutations(range(3)))
def test_the_order_of_names_does_not_matter(steps: np.ndarray, rows: list[int], columns: list[int]) -> None:
    lr, decay = steps.astype(float), np.flip(steps, axis=0).astype(float)
    there = hp_distances(lr, decay)
    moved = hp_distances(lr[np.ix_(rows, columns)], decay[np.ix_(rows, columns)])
    for place, row in enumerate(rows):
        one, other = moved.backbones[place], there.backbones[row]
        assert one is not None
        assert other is not None
        assert (one.lr_mode, one.mean_ordinal) == (other.lr_mode, other.mean_ordinal)


def test_places_in_an_optimizers_own_list() -> None:
    values = np.array([[1e-3, 0.1], [5e-3, NAN], [1e-3, 1e-4], [1.0, 0.1]])
    expected = [[0, 1], [1, NAN], [0, 0], [2, 1]]
    np.testing.assert_array_equal(own_list_steps(values), expected)


def test_steps_from_the_default_follow_the_ladder() -> None:
    ladder = np.array([[1e-4], [2e-4], [5e-4], [1e-3], [2e-3], [5e-3], [1e-2], [NAN]])
    found = steps_from_default(ladder, np.array([1e-3]))
    np.testing.assert_array_equal(found.ravel(), [-3, -2, -1, 0, 1, 2, 3, NAN])
    unknown = steps_from_default(ladder, np.array([NAN]))
    assert np.isnan(unknown).all()


def test_weight_decay_that_is_off_is_one_place_below_the_rest() -> None:
    decays = np.array([[0.0, 0.0], [1e-8, 0.0], [1e-4, 1e-8], [1e-2, 0.0]])
    found = steps_from_default(decays, np.array([1e-3, 1e-7]), off=1e-6)
    np.testing.assert_array_equal(found, [[-4, 0], [-4, 0], [-3, 0], [3, 0]])
    found = steps_from_default(decays[:, :1], np.array([0.0]), off=1e-6)
    np.testing.assert_array_equal(found.ravel(), [0, 0, 1, 7])
    with pytest.raises(ValueError, match="give `off`"):
        steps_from_default(decays, np.array([1e-3, 1e-3]))
    with pytest.raises(ValueError, match="defaults"):
        steps_from_default(decays, np.array([1e-3]))
