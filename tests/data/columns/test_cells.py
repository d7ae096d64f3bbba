"""Missing cells, spellings and photo lists."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.data.columns.cells import as_text, is_missing


@pytest.mark.parametrize(
    ("cell", "missing"),
    [
        (None, True),
        (float("nan"), True),
        (pd.NA, True),
        (pd.NaT, True),
        ("", True),
        (" \t\n", True),
        ([], True),
        ("NA", False),
        ("0", False),
        (0, False),
        (False, False),
        (["a"], False),
        ("-", False),
        (float("inf"), False),
    ],
)
def test_is_missing(cell: Any, missing: bool) -> None:
    series = pd.Series([cell, "x"], dtype=object)
    assert is_missing(series).tolist() == [missing, False]


@pytest.mark.parametrize(
    ("series", "missing"),
    [
        (pd.Series([1.0, np.nan]), [False, True]),
        (pd.Series([1, 2]), [False, False]),
        (pd.to_datetime(pd.Series(["2016-01-01", None])), [False, True]),
        (pd.Series([1, None], dtype="Int64"), [False, True]),
        (pd.Series(["a", None], dtype="string"), [False, True]),
        (pd.Series([], dtype=object), []),
    ],
)
def test_is_missing_by_dtype(series: pd.Series, missing: list[bool]) -> None:
    found = is_missing(series)
    assert found.dtype == bool and found.tolist() == missing


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (" red ", "red"),
        ("00501", "00501"),
        (85255, "85255"),
        (85255.0, "85255"),
        (2.5, "2.5"),
        ("85255.0", "85255"),
        ("2.0.0", "2.0.0"),
        ("v1.0", "v1.0"),
        ("1.50", "1.50"),
        (True, "True"),
        (np.True_, "True"),
        (date(2016, 3, 10), "2016-03-10"),
        (None, None),
        (" ", None),
        (["a", "b"], "a|b"),
        ("NA", "NA"),
        (2**70, str(2**70)),
    ],
)
def test_as_text(cell: Any, text: str | None) -> None:
    assert as_text(pd.Series([cell], dtype=object)).tolist() == [text]


def test_a_code_is_spelled_alike_from_every_source() -> None:
    csv, json = pd.Series(["7", None], dtype=object), pd.Series([7, None], dtype=object)
    assert as_text(csv).tolist() == as_text(json).tolist() == as_text(json.astype(float)).tolist()
