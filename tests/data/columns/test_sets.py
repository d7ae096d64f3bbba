"""Cells that hold sets, and those that only look like it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.data.columns.sets import flags, members, set_format


@pytest.mark.parametrize("separator", ["|", ";", ",", ", ", " | "])
def test_sets_are_found(separator: str) -> None:
    rng = np.random.default_rng(0)
    words = np.array(["Comedy", "Drama", "War", "Crime", "Family"])
    cells = [separator.join(rng.permutation(words)[: rng.integers(1, 4)]) for _ in range(100)]
    found = set_format(cells)
    assert found is not None and found.separator == separator.strip()
    assert sorted(found.members) == sorted(words)
    read = flags([*cells, None], found.separator, ["Comedy"])[:, 0]
    assert read[:-1].tolist() == [float("Comedy" in cell) for cell in cells]
    assert np.isnan(read[-1])


@pytest.mark.parametrize(
    "cells",
    [
        ["Paris, France", "Rome, Italy", "Lyon, France", "Pisa, Italy"] * 20,
        [f"Name{i}, First{i % 7}" for i in range(90)],
        ["red", "blue"] * 40,
        ["a|b", "b"] * 3,
        [f"a long sentence, number {i}, that has commas" for i in range(60)],
        ["10, 20", "20, 10"] * 30,
    ],
)
def test_what_is_no_set(cells: list[str]) -> None:
    assert set_format(cells) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("a| b ||", ["a", "b"]), ([1, "b"], ["1", "b"]), ("['a', 'b']", ["a", "b"]), (5, ["5"])],
)
def test_members(cell: Any, expected: list[str]) -> None:
    assert members(cell, "|") == expected
