"""Parsing of columns of numbers, plain or inside a fixed phrase such as "8 customer reviews".

`pandas.to_numeric` refuses "1,234.50", and takes "1e400" and "inf" for numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.arrays import Bools, Floats
from multimodal.core.errors import DataError, choices
from multimodal.data.columns import numerals
from multimodal.data.columns.cells import Column, is_missing
from multimodal.data.columns.numerals import LONGEST, phrase_key
from multimodal.data.columns.reading import PLAIN, Reading
from multimodal.data.read.table import Table

# Of numbers alone: in other columns such a word is a value, as NA is of countries.
MISSING_WORDS = frozenset({"na", "n/a", "nan", "null", "none", "-"})
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_INSIDE = re.compile(r"(?:(?:^|(?<=\s))[+-])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?", re.ASCII)


class Numbers(NamedTuple):
    """float64 (N,) with NaN for missing and unreadable cells, and bool (N,): unreadable."""

    values: Floats
    bad: Bools


def parse_numbers(series: Column, reading: Reading = PLAIN) -> Numbers:
    """Read a column as numbers.

    Plain are numbers with exponent and blanks around, and commas between groups of three digits
    ("1,234.50"). Unreadable: "12,50", inf, 1e400, other text. The words NA, N/A, nan, null, None
    and "-" are missing. A wide reading takes the forms of all countries, by its decimal mark, and
    more such words.

    Args:
        series: any column, or a list of cells.
        reading: how the column is read; its unit is a phrase with `#` for the number, singular
            and plural are one, and plain numbers are accepted beside it.

    Example:
    >>> parse_numbers(["1,234.50", "12,50", "NA"]).values.tolist()
    [1234.5, nan, nan]
    >>> parse_numbers(["1.234,50", "−7"], Reading(wide=True, decimal=",")).values.tolist()
    [1234.5, -7.0]
    """
    missing = is_missing(series)
    dtype = getattr(series, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        values = np.array(series, dtype=np.float64)
    else:
        read, memo = _text_reader(reading), dict[str, float]()
        cells = zip(series, missing.tolist(), strict=True)
        found = [np.nan if gone else _number(cell, read, memo) for cell, gone in cells]
        values = np.array(found, np.float64)
        bad = np.flatnonzero(np.isnan(values) & ~missing).tolist()
        kept = series.to_numpy() if isinstance(series, pd.Series) else series
        words = [place for place in bad if is_missing_word(kept[place], reading)]
        missing = missing | np.isin(np.arange(len(missing)), words)
    # An infinity is unreadable rather than missing: one would make every mean infinite.
    values[np.isinf(values)] = np.nan
    if reading.missing_words:
        sentinels = parse_numbers(reading.missing_words).values
        missing |= np.isin(values, sentinels[~np.isnan(sentinels)])
        values[missing] = np.nan
    return Numbers(values, np.isnan(values) & ~missing)


def is_missing_word(value: Any, reading: Reading = PLAIN) -> bool:
    """Whether a cell of a number column says that there is no number."""
    if not isinstance(value, str):
        return False
    word = value.strip().lower()
    if word in MISSING_WORDS or not reading.wide:
        return word in MISSING_WORDS
    return numerals.is_missing_word(word) or word in map(str.lower, reading.missing_words)


def _text_reader(reading: Reading) -> Callable[[str], float]:
    """Return what reads the number of a text."""
    key = None if reading.unit is None else phrase_key(reading.unit)
    points = reading.decimal == "."

    def plain(text: str) -> float:
        value = _read(text.strip())
        if key is not None and np.isnan(value):
            found = (number for phrase, number in _phrases(text) if phrase_key(phrase) == key)
            value = next(found, np.nan)
        return value

    def wide(text: str) -> float:
        stripped = text.strip()
        if _PLAIN.fullmatch(stripped) if points else _WHOLE.fullmatch(stripped):
            return float(stripped)
        value = numerals.read_numeral(text, reading)
        # Programs write the same number with a point. Where three digits follow, the column's own
        # rule has read it already.
        if not points and np.isnan(value) and _PLAIN.fullmatch(stripped):
            return float(stripped)
        return value

    return wide if reading.wide else plain


def _number(value: Any, read: Callable[[str], float], memo: dict[str, float]) -> float:
    """Return one cell's number; NaN if it has none."""
    if not isinstance(value, str):
        plain = isinstance(value, int | float | Decimal | np.number | np.bool_)
        return _finite(value) if plain else np.nan
    if value not in memo:
        memo[value] = read(value)
    return memo[value]


def _read(text: str) -> float:
    if _PLAIN.fullmatch(text):
        return float(text)
    return float(text.replace(",", "")) if _GROUPED.fullmatch(text) else np.nan


def _finite(value: Any) -> float:
    try:
        return float(value)
    except (OverflowError, ValueError):
        return np.inf


def _phrases(text: str) -> Iterator[tuple[str, float]]:
    """Yield (phrase with `#`, number) for each number that stands free in a short text."""
    text = text.strip()
    for match in _INSIDE.finditer(text) if len(text) <= LONGEST else ():
        before, after = text[: match.start()], text[match.end() :]
        free = not re.search(r"(?:[\w-]|\d[.,:])$", before) and not re.match(r"[.,:-]?\d", after)
        if free and (before or after):
            yield f"{before}#{after}", _read(match.group())


def get_column(table: Table, name: str, role: str = "column") -> pd.Series[Any]:
    """Return a column of the table, or raise DataError with the nearest spelling."""
    if name not in table.frame.columns:
        valid = choices(name, map(str, table.frame.columns))
        raise DataError(f"{table.name}: {role} '{name}' is not in the table. {valid}")
    return table.frame[name]


def parse_target(
    table: Table, column: str, reading: Reading = PLAIN
) -> tuple[Floats, dict[int, str]]:
    """Read a column of numbers to learn.

    Args:
        table: the rows.
        column: the target's name.
        reading: how the column is read, as for `parse_numbers`.

    Returns:
        float64 (N,), NaN where missing or at faults, and position in the frame -> what is wrong
        there. The faults fit `Table.drop`; a missing cell is none.

    Raises:
        DataError: no such column.
    """
    series = get_column(table, column, "target")
    values, bad = parse_numbers(series, reading)
    faults = {}
    for position in np.flatnonzero(bad):
        cell = series.iloc[position]
        text, what = str(cell).strip(), "a number"
        if _infinite(text):
            what = "a finite number"
        elif re.fullmatch(r"[+-]?\d+,\d+", text):
            what = "a number with a decimal point"
        faults[int(position)] = f"column '{column}': expected {what}, got {repr(cell)[:60]}"
    return values, faults


def _infinite(text: str) -> bool:
    try:
        return bool(np.isinf(float(text)))
    except ValueError:
        return False
