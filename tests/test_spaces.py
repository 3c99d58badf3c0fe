"""Search spaces on the unit cube, and ranges as a spec writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import UserError
from search_spaces.spaces import ZERO_ATOM, Dimension, Scale, SearchSpace, dimension_from_spec

COORDINATES = st.floats(0, 1)
DIMENSIONS = st.builds(
    lambda scale, ends: Dimension(name="x", low=min(ends), high=max(ends), scale=scale),
    st.sampled_from(Scale),
    st.tuples(st.floats(1e-6, 0.99), st.floats(1e-6, 0.99)).filter(lambda ends: ends[0] != ends[1]),
)


@given(dimension=DIMENSIONS, coordinate=COORDINATES)
def test_every_coordinate_maps_into_the_range(dimension: Dimension, coordinate: float) -> None:
    value = dimension.value_at(coordinate)
    if dimension.scale is Scale.ZERO_OR_LOG and coordinate < ZERO_ATOM:
        assert value == 0
    else:
        assert dimension.low * (1 - 1e-6) - 1e-9 <= value <= dimension.high * (1 + 1e-6) + 1e-9


@given(dimension=DIMENSIONS, coordinates=st.tuples(COORDINATES, COORDINATES))
def test_larger_coordinates_never_give_smaller_values(dimension: Dimension, coordinates: tuple[float, float]) -> None:
    low, high = sorted(coordinates)
    assert dimension.value_at(low) <= dimension.value_at(high) * (1 + 1e-12) + 1e-15


def test_scales_spread_coordinates_as_documented() -> None:
    assert Dimension(name="x", low=1e-4, high=1).value_at(0.5) == pytest.approx(1e-2)
    assert Dimension(name="x", low=1, high=3, scale=Scale.LINEAR).value_at(0.5) == 2
    assert Dimension(name="x", low=0.9, high=0.999, scale=Scale.LOG1M).value_at(0.5) == pytest.approx(0.99)
    decay = Dimension(name="x", low=1e-3, high=1, scale=Scale.ZERO_OR_LOG)
    assert decay.value_at(ZERO_ATOM - 1e-9) == 0
    assert decay.value_at(ZERO_ATOM) == pytest.approx(1e-3)
    assert decay.value_at(1) == pytest.approx(1)


@pytest.mark.parametrize("coordinate", [-0.1, 1.1, math.nan])
def test_coordinates_outside_the_cube_are_refused(coordinate: float) -> None:
    with pytest.raises(ValueError, match="coordinate"):
        Dimension(name="lr", low=1, high=2).value_at(coordinate)


def test_a_point_gives_a_value_by_name() -> None:
    space = SearchSpace(
        dimensions=(Dimension(name="a", low=1, high=100), Dimension(name="b", low=0, high=1, scale=Scale.LINEAR))
    )
    assert space.names == ("a", "b")
    assert space.values_at({"b": 0.25, "a": 0.5}) == pytest.approx({"a": 10, "b": 0.25})


def test_a_spec_writes_ranges_in_two_ways() -> None:
    assert dimension_from_spec("lr", [1e-3, 1]) == Dimension(name="lr", low=1e-3, high=1)
    written = dimension_from_spec("m", {"low": 0, "high": 0.9, "scale": "log1m"})
    assert written == Dimension(name="m", low=0, high=0.9, scale=Scale.LOG1M)
    kept = dimension_from_spec("wd", [1e-3, 1], scale=Scale.ZERO_OR_LOG)
    assert kept.scale is Scale.ZERO_OR_LOG


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ([1], "must be"),
        ([1, 2, 3], "must be"),
        (["1", 2], "must be"),
        ([True, 2], "must be"),
        (3, "must be"),
        ({"low": 1}, "must be"),
        ({"low": 1, "high": 2, "sclae": "log"}, "did you mean scale"),
        ({"low": 1, "high": 2, "scale": "logg"}, "did you mean log"),
        ([2, 1], "low < high"),
        ([1, math.inf], "finite"),
        ([0, 1], "above 0"),
        ({"low": 0.5, "high": 1.0, "scale": "log1m"}, r"\[0, 1\)"),
    ],
)
def test_a_wrong_range_is_named(value: object, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        dimension_from_spec("lr", value)
    assert "lr" in str(caught.value) or "scale" in str(caught.value)
