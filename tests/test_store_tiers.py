import math

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.store.tiers import FANOUT, files_to_merge


def grow(folds, limit=2**31):
    """Files and rows written after folds of these sizes."""
    files, written = {}, 0
    for number, new_rows in enumerate(folds):
        merged = files_to_merge(files, new_rows, limit=limit)
        total = new_rows + sum(files.pop(name) for name in merged)
        files[f"{number:06d}"] = total
        written += total
    return files, written


def test_a_full_tier_becomes_one_file_of_the_next():
    assert files_to_merge({"a": 5, "b": 5}, 5, limit=1000) == []
    assert files_to_merge({"a": 5, "b": 5, "c": 5}, 5, limit=1000) == ["a", "b", "c"]
    assert files_to_merge({"a": 5, "b": 5, "c": 5, "large": 900}, 5, limit=1000) == ["a", "b", "c"]


def test_a_merge_that_fills_the_next_tier_goes_on():
    rows = {"a": 5, "b": 5, "c": 5, "d": 20, "e": 20, "f": 20}
    assert files_to_merge(rows, 5, limit=1000) == ["a", "b", "c", "d", "e", "f"]


def test_no_merge_grows_beyond_the_limit():
    assert files_to_merge({"a": 5, "b": 5, "c": 5}, 5, limit=19) == []
    files, _ = grow([10] * 500, limit=1000)
    assert max(files.values()) <= 1000
    assert len(files) < 5000 / (1000 / FANOUT) + 10


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=200))
def test_files_and_rewriting_grow_with_the_logarithm_whatever_the_sizes(folds):
    files, written = grow(folds)
    tiers = math.ceil(math.log(sum(folds), FANOUT)) + 1
    assert sum(files.values()) == sum(folds)
    assert len(files) <= (FANOUT - 1) * tiers
    assert written <= sum(folds) * (tiers + 1)
