"""What the other rows of a value, or sums of numbers, tell of a target."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.data.split.leakage import by_value, joined, right_by_value, together

RNG = np.random.default_rng(0)


def test_the_own_row_does_not_count() -> None:
    keys = np.array([0, 0, 0, 1, 2, 2, -1])
    values = np.array([1.0, 2.0, 6.0, 5.0, 7.0, 9.0, 3.0])
    known = np.array([True, True, True, True, True, False, True])
    found = by_value(keys, values, known)
    np.testing.assert_array_equal(found, [4.0, 3.5, 1.5, np.nan, np.nan, 7.0, np.nan])


def test_right_by_value_is_leave_one_out() -> None:
    keys, codes = np.array([0, 0, 0, 0, 1, 1, 1, 2]), np.array([1, 1, 1, 0, 0, 0, 0, 1])
    assert right_by_value(keys, codes) == pytest.approx(6 / 7)  # the 0 among 1s; key 2 is alone


def test_unique_keys_tell_nothing() -> None:
    assert right_by_value(np.arange(9), np.zeros(9, int)) == 0.0
    assert right_by_value(np.full(9, -1), np.zeros(9, int)) == 0.0


def test_chance_is_not_taken_for_knowledge() -> None:
    keys, codes = RNG.integers(0, 100, 400), RNG.integers(0, 2, 400)
    assert right_by_value(keys, codes) < 0.6


def test_joined_keys() -> None:
    found = joined(np.array([0, 0, 1, 1, -1]), np.array([0, 1, 0, 0, 1]))
    assert found[4] == -1 and found[2] == found[3]
    assert len(set(found[:3].tolist())) == 3 and found[:4].min() == 0
    assert joined(np.array([0, 1]), np.array([0, 0])).tolist() == [0, 1]


@pytest.mark.parametrize("how", ["sum", "product"])
def test_numbers_that_make_up_the_target(how: str) -> None:
    a, b, c = (RNG.lognormal(size=300) for _ in range(3))
    y_true = a + 2 * b if how == "sum" else a * b
    found = together({"a": a, "noise": c, "b": b}, y_true)
    assert found is not None and found[:2] == (["a", "b"], how) and found[2] > 0.999


def test_good_features_are_no_copy() -> None:
    a, b = RNG.normal(size=(2, 300))
    y_true = a + b + 0.3 * RNG.normal(size=300)
    assert together({"a": a, "b": b}, y_true) is None
    assert together({"a": a}, a) is None
    assert together({"a": a[:30], "b": b[:30]}, (a + b)[:30]) is None
