"""What separates the values of a file, and what marks their decimals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.read.dialect import find_decimal_comma, find_layout


@pytest.mark.parametrize(
    ("lines", "separator", "width"),
    [
        (["a;b", "1,5;2"], ";", 2),
        (["a, x;b", "1,5;2"], ";", 2),
        (["Name;Preis, EUR;n", "x;3,50;4"], ";", 3),
        (["a\ttext, long", "x\ty, z"], "\t", 2),
        (["a|b", "1|2"], "|", 2),
        (["a|b,price", "x|y,3"], ",", 2),
        (["text", "one, two"], ",", 1),
        (["text"], ",", 1),
        (["which; really?", "yes"], ",", 1),
        (["a;b", "1;2;3", "4;5;6"], ";", 2),
    ],
)
def test_the_separator_is_found(lines: list[str], separator: str, width: int) -> None:
    layout = find_layout(Path("t.csv"), ".csv", [f"{line}\n" for line in lines])
    assert (layout.separator, layout.width) == (separator, width)


def test_a_tie_is_an_error() -> None:
    with pytest.raises(DataError, match="semicolons or by bars.*--separator '|'"):
        find_layout(Path("t"), ".csv", ["a|b;c\n", "x|y;z\n"])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"a": ["12,5", "3,25"]}, True),
        ({"a": ["1.299,00 €", "7,50 €"], "b": ["1,250", "2,500"]}, True),
        ({"a": ["0,43 kg", "-1,5 kg"]}, True),
        ({"a": ["1\u202f299,50", "57’689,5"]}, True),
        ({"a": ["12,5"], "b": ["3.5"]}, False),
        ({"a": ["1,250", "2,500"]}, False),
        ({"a": ["1.250", "987"]}, False),
        ({"a": ["1,234,567", "1,5"]}, False),
        ({"a": ["a, b", "c, d"]}, False),
        ({"a": ["29.06.2020"]}, False),
        ({"a": [12.5]}, False),
        ({}, False),
    ],
)
def test_decimal_commas(columns: dict[str, list[str]], expected: bool) -> None:
    frame = pd.DataFrame({name: pd.Series(cells) for name, cells in columns.items()})
    assert find_decimal_comma(frame.astype(object) if "12.5" not in str(columns) else frame) == (
        expected
    )
