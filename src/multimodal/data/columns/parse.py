"""Reading the values of a column: numbers, dates, photos, targets."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from multimodal.core.errors import DataError, choices
from multimodal.data.columns.cells import as_text, is_missing, photo_paths
from multimodal.data.columns.dates import DATE_PARTS, Dates, date_parts, parse_dates
from multimodal.data.columns.numbers import Numbers, find_unit, parse_numbers
from multimodal.data.read.table import Table

__all__ = [
    "DATE_PARTS",
    "Dates",
    "Numbers",
    "as_text",
    "column_of",
    "date_parts",
    "find_unit",
    "is_missing",
    "parse_dates",
    "parse_numbers",
    "parse_target",
    "photo_paths",
]


def column_of(table: Table, name: str, role: str = "column") -> pd.Series[Any]:
    """Return a column of the table, or raise DataError with the nearest spelling."""
    if name not in table.frame.columns:
        valid = choices(name, map(str, table.frame.columns))
        raise DataError(f"{table.name}: {role} '{name}' is not in the table. {valid}")
    return table.frame[name]


def parse_target(
    table: Table, column: str, unit: str | None = None
) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
    """Read a number to learn from every row.

    Args:
        table: the rows.
        column: the target's name.
        unit: a phrase around the number, as for `parse_numbers`.

    Returns:
        float64 (N,), NaN at faults, and position in the frame -> what is wrong there. The faults
        fit `Table.drop`.

    Raises:
        DataError: no such column.
    """
    series = column_of(table, column, "target")
    values, bad = parse_numbers(series, unit)
    faults = {}
    for position in np.flatnonzero(np.isnan(values)):
        cell = series.iloc[position]
        faults[int(position)] = f"column '{column}': " + _fault(cell, bool(bad[position]))
    return values, faults


def _fault(cell: Any, bad: bool) -> str:
    """Say why a cell holds no number to learn."""
    if not bad:
        return "the target is missing"
    text, shown = str(cell).strip(), repr(cell)[:60]
    if _infinite(text):
        return f"expected a finite number, got {shown}"
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return f"expected a number with a decimal point, got {shown}"
    return f"expected a number, got {shown}"


def _infinite(text: str) -> bool:
    try:
        return bool(np.isinf(float(text)))
    except ValueError:
        return False
