"""Columns without a name: an index that a program wrote is left out, others are an error."""

from __future__ import annotations

from typing import Any

import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.header import without_unnamed


@pytest.mark.parametrize(
    ("names", "columns", "kept"),
    [
        (["a", "b"], [["1"], ["2"]], ["a", "b"]),
        (["", "a"], [["3", "0"], ["x", "y"]], ["a"]),
        (["", "a"], [[3, 0], ["x", "y"]], ["a"]),
        (["", "", "a"], [["0", "1"], ["p", "q"], ["x", "y"]], ["a"]),
        (["a", ""], [["x"], [None]], ["a"]),
        (["", "a"], [[], []], ["a"]),
    ],
)
def test_what_is_left_out(names: list[str], columns: list[list[Any]], kept: list[str]) -> None:
    found, notes = without_unnamed(names, columns, "t")
    assert list(found) == kept and len(notes) == len(names) - len(kept)


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (["a", ""], [["x"], ["1"]], "t: column 2 of 2 has no name"),
        (["", "a"], [["p", "p"], ["x", "y"]], "column 1 of 2 has no name"),
        (["", "a"], [["1", ""], ["x", "y"]], "column 1 of 2 has no name"),
        ([""], [["1"]], "column 1 of 1 has no name"),
        (["", "a", "a"], [["1"], ["x"], ["y"]], "'a' occurs 2 times"),
    ],
)
def test_what_is_an_error(names: list[str], columns: list[list[Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        without_unnamed(names, columns, "t")
