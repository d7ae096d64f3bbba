"""Rows of another usage than those learned from are read as what they were written for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.data.columns.dates import parse_dates
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.schema import Schema, infer_schema
from multimodal.data.columns.usage import in_known_usage
from multimodal.data.read.readers import read_table

VALUES = np.arange(1, 41) * 37.125


def written(values: Any, mark: str, unit: str = "") -> list[dict[str, Any]]:
    """Rows with a number, and with it written by the usage of a country."""
    swap = str.maketrans(",.", ".,") if mark == "," else {}
    return [{"size": f"{v:,.2f}".translate(swap) + unit, "name": f"n{i}"} for i, v in values]


def schema_of(rows: list[dict[str, Any]]) -> Schema:
    return infer_schema(read_table(rows))


@pytest.mark.parametrize("unit", ["", " €", " kg"])
@pytest.mark.parametrize("learned", [".", ","])
@pytest.mark.parametrize("given", [".", ","])
def test_the_same_numbers_come_out(unit: str, learned: str, given: str) -> None:
    values = list(enumerate(VALUES))
    schema = schema_of(written(values, learned, unit))
    table, told = in_known_usage(read_table(written(values, given, unit)), schema)
    found = parse_numbers(table.frame["size"], schema.column("size")).values
    np.testing.assert_allclose(found, VALUES.round(2))
    assert bool(told) == (learned != given) and table.frame["name"].tolist()[0] == "n0"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,250"], [1250.0]),  # undecided: read as the rows that were learned from
        (["1,250", "2,5"], [1.25, 2.5]),
        (["12.5", "99"], [12.5, 99.0]),
        ([12.5, None], [12.5, np.nan]),
        (["none", "n/a"], [np.nan, np.nan]),
    ],
)
def test_only_what_decides_changes_the_reading(cells: list[Any], expected: list[float]) -> None:
    schema = schema_of(written(list(enumerate(VALUES)), "."))
    rows = [{"size": cell, "name": "x"} for cell in cells]
    table, _ = in_known_usage(read_table(rows), schema)
    np.testing.assert_allclose(
        parse_numbers(table.frame["size"], schema.column("size")).values, expected
    )


def test_what_cannot_be_read_stays_as_it_was_written() -> None:
    schema = schema_of(written(list(enumerate(VALUES)), "."))
    rows = [{"size": cell, "name": "x"} for cell in ("2,5", "3,25", "7,5 xyz")]
    table, _ = in_known_usage(read_table(rows), schema)
    assert table.frame["size"].tolist() == ["2.5", "3.25", "7,5 xyz"]


@pytest.mark.parametrize("learned", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d"])
@pytest.mark.parametrize("given", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d"])
def test_the_same_days_come_out(learned: str, given: str) -> None:
    days = pd.date_range("2020-01-01", periods=60, freq="9D")
    known = [{"day": day.strftime(learned), "price": i} for i, day in enumerate(days)]
    other = [{"day": day.strftime(given), "price": i} for i, day in enumerate(days)]
    schema = schema_of(known)
    table, _ = in_known_usage(read_table(other), schema)
    found = parse_dates(table.frame["day"], schema.column("day"))
    assert (found.values == days.to_numpy().astype("datetime64[us]")).all()
    undecided = in_known_usage(read_table([{"day": "03/04/2021"}]), schema)[0]
    assert undecided.frame["day"].tolist() == ["03/04/2021"]
