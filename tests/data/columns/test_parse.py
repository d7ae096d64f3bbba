"""Targets: a number in every row, or the reason why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.data.columns.numbers import column_of, parse_target
from multimodal.data.read.readers import read_table


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (None, "the target is missing"),
        ("", "the target is missing"),
        ("NA", "the target is missing"),
        (float("nan"), "the target is missing"),
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
    values, faults = parse_target(read_table([{"price": "$1,234.50"}]), "price", unit="$#")
    assert values.tolist() == [1234.5] and faults == {}


@pytest.mark.parametrize("role", ["target", "column"])
def test_unknown_column_names_the_nearest(role: str) -> None:
    table = read_table([{"price": 1, "size": 2}])
    with pytest.raises(DataError, match=f"table: {role} 'prise' is not.*mean 'price'.*price, size"):
        column_of(table, "prise", role)
    with pytest.raises(DataError, match="target 'prise'"):
        parse_target(table, "prise")
