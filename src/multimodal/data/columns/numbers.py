"""Parsing of numbers, plain or inside a fixed phrase such as "8 customer reviews".

`pandas.to_numeric` refuses "1,234.50", and takes "1e400" and "inf" for numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.core.arrays import Bools, Floats
from multimodal.core.errors import DataError, choices
from multimodal.data.columns.cells import Column, is_missing
from multimodal.data.read.table import Table

MISSING_WORDS = frozenset({"na", "n/a", "nan", "null", "none", "-"})
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
_INSIDE = re.compile(r"(?:(?:^|(?<=\s))[+-])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?", re.ASCII)
_PLURAL = re.compile(r"(?<=[^\W\d_]{3})s\b")
_LONGEST = 60  # letters of a text in which a phrase is looked for
_MOST = 0.95  # least fraction of the texts that must share a phrase


class Numbers(NamedTuple):
    """float64 (N,) with NaN for missing and unreadable cells, and bool (N,): unreadable."""

    values: Floats
    bad: Bools


def parse_numbers(series: Column, unit: str | None = None) -> Numbers:
    """Read a column as numbers.

    Accepted: plain numbers with exponent and blanks around, and commas between groups of three
    digits ("1,234.50"). Unreadable: "12,50", inf, 1e400, other text. The words NA, N/A, nan,
    null, None and "-" are missing.

    Args:
        series: any column, or a list of cells.
        unit: a phrase with `#` for the number, as `find_unit` returns it; singular and plural
            are one, and plain numbers are accepted beside it.

    Example:
    >>> parse_numbers(["1,234.50", "12,50", "NA"]).values.tolist()
    [1234.5, nan, nan]
    """
    missing = is_missing(series)
    dtype = getattr(series, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        values = np.array(series, dtype=np.float64)
    else:
        key, memo = None if unit is None else _key(unit), dict[str, float]()
        cells = zip(series, missing.tolist(), strict=True)
        read = [np.nan if gone else _number(v, key, memo) for v, gone in cells]
        values = np.array(read, np.float64)
        bad = np.flatnonzero(np.isnan(values) & ~missing).tolist()
        kept = series.to_numpy() if isinstance(series, pd.Series) else series
        words = [place for place in bad if is_missing_word(kept[place])]
        missing = missing | np.isin(np.arange(len(missing)), words)
    values[np.isinf(values)] = np.nan
    return Numbers(values, np.isnan(values) & ~missing)


def is_missing_word(value: Any) -> bool:
    """Whether a cell of a number column says that there is no number."""
    return isinstance(value, str) and value.strip().lower() in MISSING_WORDS


def find_unit(texts: Iterable[str]) -> str | None:
    """Return the phrase around one number that at least 95 % of `texts` share, or None.

    Example:
    >>> find_unit(["8 customer reviews", "1 customer review", "3 customer reviews"])
    '# customer reviews'
    """
    counts, variants, total = Counter[str](), dict[str, Counter[str]](), 0
    for text, count in Counter(texts).items():
        total += count
        for phrase in {phrase for phrase, _ in _phrases(text)}:
            counts[_key(phrase)] += count
            variants.setdefault(_key(phrase), Counter())[phrase] += count
    if not counts:
        return None
    key, count = counts.most_common(1)[0]
    return variants[key].most_common(1)[0][0] if count >= _MOST * total else None


def _number(value: Any, key: str | None, memo: dict[str, float]) -> float:
    """Return one cell's number; NaN if it has none."""
    if not isinstance(value, str):
        plain = isinstance(value, int | float | Decimal | np.number | np.bool_)
        return _finite(value) if plain else np.nan
    if value not in memo:
        memo[value] = _read(value.strip())
        if key is not None and np.isnan(memo[value]):
            found = (number for phrase, number in _phrases(value) if _key(phrase) == key)
            memo[value] = next(found, np.nan)
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
    for match in _INSIDE.finditer(text) if len(text) <= _LONGEST else ():
        before, after = text[: match.start()], text[match.end() :]
        free = not re.search(r"(?:[\w-]|\d[.,:])$", before) and not re.match(r"[.,:-]?\d", after)
        if free and (before or after):
            yield f"{before}#{after}", _read(match.group())


def _key(phrase: str) -> str:
    """Fold case, blanks and plural endings."""
    return _PLURAL.sub("", " ".join(phrase.casefold().split()))


def get_column(table: Table, name: str, role: str = "column") -> pd.Series[Any]:
    """Return a column of the table, or raise DataError with the nearest spelling."""
    if name not in table.frame.columns:
        valid = choices(name, map(str, table.frame.columns))
        raise DataError(f"{table.name}: {role} '{name}' is not in the table. {valid}")
    return table.frame[name]


def parse_target(
    table: Table, column: str, unit: str | None = None
) -> tuple[Floats, dict[int, str]]:
    """Read a column of numbers to learn.

    Args:
        table: the rows.
        column: the target's name.
        unit: a phrase around the number, as for `parse_numbers`.

    Returns:
        float64 (N,), NaN where missing or at faults, and position in the frame -> what is wrong
        there. The faults fit `Table.drop`; a missing cell is none.

    Raises:
        DataError: no such column.
    """
    series = get_column(table, column, "target")
    values, bad = parse_numbers(series, unit)
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
