"""What counts as a number, what as missing, what as neither."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.errors import DataError
from multimodal.data.columns.numbers import get_column, parse_numbers, parse_target
from multimodal.data.columns.reading import Reading
from multimodal.data.read.readers import read_table

NAN = float("nan")


def parse(cell: Any, unit: str | None = None) -> tuple[float, bool]:
    values, bad = parse_numbers(pd.Series([cell], dtype=object), Reading(unit=unit))
    return float(values[0]), bool(bad[0])


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("5", 5),
        (" -2.5 ", -2.5),
        ("+3", 3),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("2E-2", 0.02),
        ("1,234.50", 1234.5),
        ("1,234", 1234),
        ("-1,234,567", -1234567),
        ("00501", 501),
        (7, 7),
        (2.5, 2.5),
        (True, 1),
        (Decimal("1.25"), 1.25),
        (np.int32(4), 4),
        (np.float32(0.5), 0.5),
        (2**70, 2.0**70),
    ],
)
def test_numbers(cell: Any, number: float) -> None:
    assert parse(cell) == (number, False)


@pytest.mark.parametrize(
    "cell",
    [
        "12,50",
        "1,23,456",
        "1234,567",
        "inf",
        "-Infinity",
        "1e400",
        "abc",
        "1_000",
        "٣",
        "0x10",
        "$5",
        "5 cm",
        "1 2",
        "--5",
        "1.2.3",
        float("inf"),
        10**400,
        "?",
        b"5",
    ],
)
def test_unreadable(cell: Any) -> None:
    value, bad = parse(cell)
    assert np.isnan(value) and bad


@pytest.mark.parametrize(
    "cell", ["NA", "n/a", "NaN", "null", "None", "-", " - ", "", None, pd.NA, NAN]
)
def test_missing(cell: Any) -> None:
    value, bad = parse(cell)
    assert np.isnan(value) and not bad


@pytest.mark.parametrize(
    ("series", "values", "bad"),
    [
        (pd.Series([1, 2]), [1, 2], [False, False]),
        (pd.Series([1.5, np.nan, np.inf]), [1.5, NAN, NAN], [False, False, True]),
        (pd.Series([True, False]), [1, 0], [False, False]),
        (pd.Series([1, None], dtype="Int64"), [1, NAN], [False, False]),
        (pd.Series([], dtype=object), [], []),
        (pd.to_datetime(pd.Series(["2016-01-01"])), [NAN], [True]),
    ],
)
def test_dtypes(series: pd.Series, values: list[float], bad: list[bool]) -> None:
    found = parse_numbers(series)
    assert found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, values)
    assert found.bad.tolist() == bad


def test_the_column_itself_is_left_alone() -> None:
    series = pd.Series([1.0, np.inf])
    parse_numbers(series)
    assert series[1] == np.inf


@pytest.mark.parametrize(
    ("cell", "unit", "expected"),
    [
        ("1 Customer  Review", "# customer reviews", 1),
        ("1,040 customer reviews", "# customer reviews", 1040),
        ("4.5 out of 5 stars", "# out of 5 stars", 4.5),
        ("$1,234.50", "$#", 1234.5),
        ("-5 °C", "# °C", -5),
        ("213", "# cm", 213),
        (213, "# cm", 213),
        ("2 m", "# cm", NAN),
        ("4.5 out of 10 stars", "# out of 5 stars", NAN),
        ("NA", "# cm", NAN),
    ],
)
def test_numbers_in_a_phrase(cell: Any, unit: str, expected: float) -> None:
    value, bad = parse(cell, unit)
    np.testing.assert_equal(value, expected)
    assert bad == (np.isnan(expected) and cell != "NA")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("inf", "expected a finite number, got 'inf'"),
        ("1e400", "expected a finite number, got '1e400'"),
        (float("-inf"), "expected a finite number, got -inf"),
        ("12,50", "expected a number with a decimal point, got '12,50'"),
        ("free", "expected a number, got 'free'"),
        ("$5", "expected a number, got '$5'"),
    ],
)
def test_faults_say_what_is_wrong(cell: Any, reason: str) -> None:
    table = read_table([{"price": "1,234.50"}, {"price": cell}])
    values, faults = parse_target(table, "price")
    np.testing.assert_array_equal(values, [1234.5, np.nan])
    assert faults == {1: f"column 'price': {reason}"}


@pytest.mark.parametrize("cell", [None, "", "NA", float("nan")])
def test_a_missing_target_is_no_fault(cell: Any) -> None:
    values, faults = parse_target(read_table([{"price": 1}, {"price": cell}]), "price")
    assert np.isnan(values[1]) and faults == {}


def test_faults_fit_drop() -> None:
    table = read_table([{"price": p} for p in (5, "free", 7)])
    values, faults = parse_target(table, "price")
    left = table.drop(faults)
    assert left.frame["price"].tolist() == [5, 7]
    assert left.rejected[0].row == 1 and "'free'" in left.rejected[0].reason
    assert values.dtype == np.float64


def test_long_cells_are_shortened() -> None:
    _, faults = parse_target(read_table([{"price": "word " * 1000}]), "price")
    assert len(faults[0]) < 120


def test_a_unit_may_surround_the_target() -> None:
    values, faults = parse_target(read_table([{"price": "$1,234.50"}]), "price", Reading(unit="$#"))
    assert values.tolist() == [1234.5] and faults == {}


@pytest.mark.parametrize("role", ["target", "column"])
def test_unknown_column_names_the_nearest(role: str) -> None:
    table = read_table([{"price": 1, "size": 2}])
    with pytest.raises(DataError, match=f"table: {role} 'prise' is not.*mean 'price'.*price, size"):
        get_column(table, "prise", role)
    with pytest.raises(DataError, match="target 'prise'"):
        parse_target(table, "prise")
