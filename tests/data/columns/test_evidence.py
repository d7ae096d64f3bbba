"""The facts about a column that the rules of inference rest on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from multimodal.data.columns.inference import Cells, share_read
from multimodal.data.columns.numbers import parse_numbers


def cells(values: list[Any], name: str = "c") -> Cells:
    return Cells(name, pd.Series(values, dtype=object), Path())


def test_missing_cells_do_not_count() -> None:
    column = cells(["a b", None, "", "a b", "c"])
    assert column.missing.tolist() == [False, True, True, False, False]
    assert column.texts.tolist() == ["a b", "a b", "c"]
    assert column.distinct == 2
    assert column.words == pytest.approx(5 / 3)
    assert column.length == pytest.approx(7 / 3)


def test_scripts_without_blanks_have_words() -> None:
    assert cells(["赤いオーク材のテーブルです"]).words > 4
    assert cells(["red"]).words == 1


def test_the_sample_is_bounded_and_spread() -> None:
    column = cells([str(i) for i in range(10_000)])
    assert len(column.sample) == 2000
    assert column.sample.iloc[-1] == "9995"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("id", True),
        ("product_id", True),
        ("productId", True),
        ("ZIP", True),
        ("zipcode", True),
        ("post code", True),
        ("Barcode", True),
        ("sku", True),
        ("width", False),
        ("area", False),
        ("idea", False),
        ("video", False),
        ("spin", False),
        ("bedrooms", False),
        ("", False),
    ],
)
def test_names_of_codes(name: str, expected: bool) -> None:
    assert cells(["1"], name).named_like_code == expected


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["5 cm", "6 cm", "NA", None], "# cm"),
        (["5", "6"], None),
        ([5, 6], None),
        (["a long text with the number 5 in it, the same in each of them"] * 3, None),
    ],
)
def test_unit(values: list[Any], unit: str | None) -> None:
    assert cells(values).unit == unit


@pytest.mark.parametrize(
    ("values", "share"), [(["1", "x", None, "NA"], 0.5), (["1"], 1.0), ([None], 0.0)]
)
def test_share_read_leaves_missing_out(values: list[Any], share: float) -> None:
    assert share_read(parse_numbers(pd.Series(values, dtype=object))) == share
