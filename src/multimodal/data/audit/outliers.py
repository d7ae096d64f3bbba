"""Outliers of a column: values far off, misspelt, out of range, or words that mean missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Ints
from multimodal.core.formatting import counted, joined
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.dates import parse_dates
from multimodal.data.columns.numbers import MISSING_WORDS, parse_numbers
from multimodal.data.columns.schema import Column

FAR = 10.0  # widths of the middle half; Tukey's 1.5 names the tail of any skewed column
_RARE = 0.01  # what is more frequent is no outlier
_SHOWN = 3
# UTF-8 read as cp1252: "ü" comes out as "Ã¼", quotation marks begin with "â€".
_MOJIBAKE = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€")
_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
_EARLIEST = 1900


def outliers(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    """Return a sentence for each kind of outlier in a column, with an example and its line.

    Named are: cells of a number or date column that are none; numbers further from the middle half
    than ten times its width (of logarithms, where all are above 0); numbers below 0 in a column of
    which 99 % are not; dates before 1900 or more than a year ahead; categories that differ in case
    and blanks alone; the words NA, none, null; text that was decoded wrongly (Ã¼); numbers with a
    decimal comma.

    Args:
        series: the cells.
        column: what the column is for.
        lines: int64 (N,), the line of each cell, for the sentences.

    Example:
    >>> from multimodal.data.read.readers import read_table
    >>> from multimodal.data.columns.schema import infer_schema
    >>> table = read_table([{"colour": c} for c in ["red", "Red", "blue", "blue"]])
    >>> column = infer_schema(table).columns[0]
    >>> outliers(table.frame["colour"], column, table.lines)
    ["the same but for case or blanks: 'red' (1) / 'Red' (1)"]
    """
    checks = _CHECKS.get(column.kind, ())
    if column.kind == "target" and len(series):
        mostly_numbers = parse_numbers(series, column.unit).bad.mean() < _RARE
        checks = (_far_off,) if mostly_numbers else checks
    return [said for check in checks for said in check(series, column, lines)]


def _described(phrase: str, series: pd.Series[Any], bad: Bools, lines: Ints) -> list[str]:
    """Say how many cells are bad, and show the first different ones with their lines."""
    if not bad.any():
        return []
    first: dict[str, int] = {}
    for row in np.flatnonzero(bad)[:1000]:
        cell = series.iloc[row]
        first.setdefault((repr(cell) if isinstance(cell, str) else str(cell))[:40], int(lines[row]))
    shown = joined([f"{text} (line {line})" for text, line in first.items()], _SHOWN)
    return [f"{phrase}: {counted(int(bad.sum()), 'cell')}, such as {shown}"]


def _unreadable(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    dates = column.kind == "date"
    bad = parse_dates(series).bad if dates else parse_numbers(series, column.unit).bad
    what = "dates" if dates else "numbers"
    return _described(f"no {what}, and so taken as missing", series, bad, lines)


def _far_off(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    values = parse_numbers(series, column.unit).values
    known = values[np.isfinite(values)]
    if len(known) < 20:
        return []
    below = np.nan_to_num(values) < 0
    if below.sum() > _RARE * len(known):
        below[:] = False
    found = _described("below 0, unlike the others", series, below, lines)
    with np.errstate(all="ignore"):
        scaled = np.log(values) if (known > 0).all() else values
    low, high = np.nanquantile(scaled, [0.25, 0.75])
    far = np.nan_to_num(np.maximum(low - scaled, scaled - high)) > FAR * (high - low)
    far &= ~below
    if high > low and far.sum() <= _RARE * len(known):
        found += _described("far from all others", series, far, lines)
    return found


def _out_of_range(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    dates = parse_dates(series).values
    latest = np.datetime64(datetime.now(), "D") + 366
    bad = (dates < np.datetime64(f"{_EARLIEST}-01-01")) | (dates > latest)
    return _described(f"before {_EARLIEST} or more than a year ahead", series, bad, lines)


def _spellings(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    counts = Counter(text for text in as_text(series) if text is not None)
    alike: dict[str, list[str]] = {}
    for text in counts:
        alike.setdefault(" ".join(text.casefold().split()), []).append(text)
    several = [names for names in alike.values() if len(names) > 1]
    if not several:
        return []
    shown = [
        " / ".join(f"{name[:40]!r} ({counts[name]:,})" for name in names[:_SHOWN])
        for names in several[:_SHOWN]
    ]
    more = f"; and {len(several) - _SHOWN:,} more" if len(several) > _SHOWN else ""
    return [f"the same but for case or blanks: {'; '.join(shown)}{more}"]


def _words_for_missing(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    what = "kept as a category" if column.kind == "category" else "read as text"
    bad = _matching(as_text(series), lambda text: text.lower() in MISSING_WORDS)
    return _described(f"words for nothing, {what}", series, bad, lines)


def _decimal_commas(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    texts = as_text(series)
    bad = _matching(texts, _COMMA.fullmatch)
    if bad.sum() < pd.notna(texts).sum() / 2:
        return []
    phrase = f"decimal commas, and so read as {column.kind}, not as numbers"
    return _described(phrase, series, bad, lines)


def _wrongly_decoded(series: pd.Series[Any], column: Column, lines: Ints) -> list[str]:
    texts = as_text(series)
    bad = _matching(texts, _MOJIBAKE.search)
    if not bad.any():
        return []
    place = int(bad.argmax())
    start = max(0, len(_MOJIBAKE.split(texts[place], 1)[0]) - 12)
    part, cells = texts[place][start : start + 30], counted(int(bad.sum()), "cell")
    return [f"decoded wrongly: {cells}, such as {part!r} (line {lines[place]})"]


def _matching(texts: NDArray[np.object_], matches: Callable[[str], object]) -> Bools:
    return np.array([text is not None and bool(matches(text)) for text in texts], bool)


_Check = Callable[["pd.Series[Any]", Column, Ints], list[str]]
_CHECKS: dict[str, tuple[_Check, ...]] = {
    "number": (_unreadable, _far_off),
    "weight": (_unreadable, _far_off),
    "date": (_unreadable, _out_of_range),
    "category": (_spellings, _words_for_missing, _wrongly_decoded, _decimal_commas),
    "identifier": (_decimal_commas,),
    "target": (_spellings,),
    "text": (_words_for_missing, _wrongly_decoded, _decimal_commas),
}
