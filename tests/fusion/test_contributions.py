"""Shapley values against the textbook's sum over orders, in plain NumPy."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion.contributions import filled, shapley_values

RANDOM = np.random.default_rng(0)
NAMES = ("a", "b", "c")


def product(given: Any) -> Any:
    """A function with interactions: a + b * c, or a * b + a for two groups; two outputs."""
    a, b = given["a"]["x"], given["b"]["x"]
    total = a + b * given["c"]["x"] if "c" in given else a * b + a
    return keras.ops.concatenate([total, a * b * b], axis=-1)


def rows_of(groups: int, rows: int) -> Any:
    return {g: {"x": RANDOM.normal(size=(rows, 1)).astype("float32")} for g in NAMES[:groups]}


def row(rows: Any, i: int) -> Any:
    return {group: {"x": tensors["x"][i : i + 1]} for group, tensors in rows.items()}


def value(mine: Any, other: Any, coalition: Any) -> np.ndarray:
    mixed = {group: (mine if group in coalition else other)[group] for group in mine}
    return keras.ops.convert_to_numpy(product(mixed))[0]


def by_orders(mine: Any, other: Any) -> np.ndarray:
    """Return (G, O): the mean gain of each group over all orders in which groups can join."""
    gains: dict[str, list[np.ndarray]] = {group: [] for group in mine}
    for order in permutations(mine):
        for i, group in enumerate(order):
            before, after = order[:i], order[: i + 1]
            gains[group].append(value(mine, other, after) - value(mine, other, before))
    return np.array([np.mean(gains[group], axis=0) for group in sorted(mine)])


@pytest.mark.parametrize("groups", [2, 3])
def test_agrees_with_the_definition_for_given_background(groups: int) -> None:
    rows, background = rows_of(groups, 4), rows_of(groups, 3)
    found = keras.ops.convert_to_numpy(shapley_values(product, rows, background))
    assert found.shape == (groups, 4, 2)
    for i in range(4):
        expected = np.mean([by_orders(row(rows, i), row(background, j)) for j in range(3)], axis=0)
        np.testing.assert_allclose(found[:, i], expected, atol=1e-5)


def test_rows_of_the_batch_are_compared_with_all_others_of_a_small_one() -> None:
    rows = rows_of(3, 4)
    found = keras.ops.convert_to_numpy(shapley_values(product, rows))
    for i in range(4):
        others = [by_orders(row(rows, i), row(rows, j)) for j in range(4) if j != i]
        np.testing.assert_allclose(found[:, i], np.mean(others, axis=0), atol=1e-5)


def test_values_add_up() -> None:
    rows, background = rows_of(3, 20), rows_of(3, 7)
    total = keras.ops.convert_to_numpy(shapley_values(product, rows, background)).sum(axis=0)
    outputs = keras.ops.convert_to_numpy(product(rows))
    mean = keras.ops.convert_to_numpy(product(background)).mean(axis=0)
    np.testing.assert_allclose(total, outputs - mean, atol=1e-5)


def test_a_large_batch_uses_eight_backgrounds_for_each_row() -> None:
    seen = []

    def function(given: Any) -> Any:
        seen.append(given["a"]["x"].shape[0])
        return given["a"]["x"]

    found = shapley_values(function, rows_of(2, 20))
    assert seen == [160] * 4 and found.shape == (2, 20, 1)


def test_any_nest_of_outputs() -> None:
    rows = rows_of(2, 5)
    plain = keras.ops.convert_to_numpy(shapley_values(product, rows))
    nested = shapley_values(lambda given: {"price": [product(given)]}, rows)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(nested["price"][0]), plain)


def test_sides_of_different_lengths_are_filled() -> None:
    short = {"t": {"inputs": np.ones((2, 3, 1), "float32")}, "v": {"inputs": np.ones((2, 1))}}
    there, mask = np.array([True] * 4), np.ones((4, 5), bool)
    long = {
        "t": {"inputs": np.ones((4, 5, 1), "float32"), "mask": mask},
        "v": {"inputs": np.ones((4, 1)), "presence": there},
    }
    found = filled(short, long)
    assert tuple(found["t"]["inputs"].shape) == (2, 5, 1)
    expected = [[True, True, True, False, False]] * 2
    assert keras.ops.convert_to_numpy(found["t"]["mask"]).tolist() == expected
    assert keras.ops.convert_to_numpy(found["v"]["presence"]).tolist() == [True, True]
    same = filled(long, short)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(same["t"]["mask"]), mask)
    assert tuple(same["t"]["inputs"].shape) == (4, 5, 1) and "mask" not in same["v"]


def test_refuses_too_many_groups_and_a_lonely_row() -> None:
    many = {str(i): {"x": np.ones((2, 1), "float32")} for i in range(11)}
    with pytest.raises(ValueError, match=re.escape("at most 10 groups can be compared. Received:")):
        shapley_values(product, many)
    with pytest.raises(ValueError, match="`background` must be given for a batch of one row"):
        shapley_values(product, rows_of(2, 1))
