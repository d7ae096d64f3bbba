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

from multimodal.core.arrays import Bools, Floats, Ints
from multimodal.core.formatting import counted, joined
from multimodal.core.spelling import folded
from multimodal.data.columns.cells import as_text
from multimodal.data.columns.dates import parse_dates
from multimodal.data.columns.numbers import MISSING_WORDS, parse_numbers
from multimodal.data.columns.numerals import canonical, phrase_key, phrases
from multimodal.data.columns.reading import Reading
from multimodal.data.columns.schema import Column

FAR = 10.0  # widths of the middle half; Tukey's 1.5 names the tail of any skewed column
_GAP = 3.0  # as many lie between outliers and the others: a heavy tail thins out, and has no gap
_RARE = 0.01  # what is more frequent is no outlier
_SHOWN = 3
# UTF-8 read as cp1252: "ü" comes out as "Ã¼", quotation marks begin with "â€".
_MOJIBAKE = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€")
_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+")
_EARLIEST = 1900
_SENTINEL_LEAST, _SENTINEL_OTHERS = 3, 10  # cells with one, and different other numbers
_NEAR, _FEW_LABELS = 0.01, 0.1  # of the median label; of the labels
_UNITS_MOST, _UNITS_LEAST = 6, 0.9  # units, and the fraction of the cells that have one
Said = dict[str, int]  # sentence -> number of cells


def outliers(series: pd.Series[Any], column: Column, lines: Ints) -> dict[str, int]:
    """Return a sentence for each kind of outlier in a column, and how many cells it is about.

    Named are: cells of a number or date column that are none; a number that comes again and again
    far from all others, such as -999; numbers further from the middle half than ten times its width
    (of logarithms, where none is below 0) with a gap before them; numbers below 0 in a column of
    which 99 % are not; labels of 0 or below where the others are well above; dates before 1900 or
    more than a year ahead; categories that differ in case, blanks and Unicode form alone; the words
    NA, none, null; text that was decoded wrongly (Ã¼); numbers with a decimal comma, or in several
    units.

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
    {"the same but for case, blanks or Unicode form: 'red' (1) / 'Red' (1)": 2}
    """
    checks = _CHECKS.get(column.kind, ())
    if column.kind == "target" and len(series):
        mostly_numbers = parse_numbers(series, column).bad.mean() < _RARE
        checks = (_label_outliers,) if mostly_numbers else checks
    found: Said = {}
    for check in checks:
        found |= check(series, column, lines)
    return found


def _described(phrase: str, series: pd.Series[Any], bad: Bools, lines: Ints) -> Said:
    """Say how many cells are bad, and show the first different ones with their lines."""
    if not bad.any():
        return {}
    first: dict[str, int] = {}
    for row in np.flatnonzero(bad)[:1000]:
        cell = series.iloc[row]
        first.setdefault((repr(cell) if isinstance(cell, str) else str(cell))[:40], int(lines[row]))
    shown = joined([f"{text} (line {line})" for text, line in first.items()], _SHOWN)
    count = int(bad.sum())
    return {f"{phrase}: {counted(count, 'cell')}, such as {shown}": count}


def _unreadable(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    dates = column.kind == "date"
    bad = parse_dates(series, column).bad if dates else parse_numbers(series, column).bad
    what = "dates" if dates else "numbers"
    return _described(f"no {what}, and so taken as missing", series, bad, lines)


def _sentinels(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    """Numbers that come again and again, far from all others."""
    values = parse_numbers(series, column).values
    known = values[np.isfinite(values)]
    found: Said = {}
    each, counts = np.unique(known, return_counts=True)
    least, most = max(_SENTINEL_LEAST, _RARE * len(known)), len(known) / 2
    for value in each[[0, -1]] if len(each) > _SENTINEL_OTHERS else ():
        count, others = int(counts[each == value][0]), known[known != value]
        low, high = np.quantile(others, [0.25, 0.75])
        first, last = np.quantile(others, [0.02, 0.98])
        gap = float(np.abs(others - value).min())
        if least <= count <= most and gap > _GAP * (high - low) > 0 and gap > last - first:
            said = f"{value:.15g} comes again and again, far from all others"
            found |= _described(said, series, values == value, lines)
    return found


def _not_positive(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    """Labels of 0, or below it, where nearly all are well above: no price, or a mistake."""
    values = parse_numbers(series, column).values
    positive, bad = values[values > 0], values <= 0
    if not len(positive) or not 0 < bad.sum() <= _FEW_LABELS * len(values):
        return {}
    least = float(positive.min())
    counts = least <= 2 and bool((positive == np.floor(positive)).all())
    if counts or least <= _NEAR * float(np.median(positive)):
        return {}
    return _described("0 or below, unlike the others", series, bad, lines)


def _label_outliers(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    # A label of 0 that comes again and again is told once.
    found = _not_positive(series, column, lines) or _sentinels(series, column, lines)
    return found | _far_off(series, column, lines)


def _far_off(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    values = parse_numbers(series, column).values
    known = values[np.isfinite(values)]
    if len(known) < 20:
        return {}
    below = np.nan_to_num(values) < 0
    if below.sum() > _RARE * len(known) or column.kind == "target":  # of which it is said already
        below[:] = False
    found = _described("below 0, unlike the others", series, below, lines)
    scaled = values.copy()
    scaled[below] = np.nan
    least = 0.0
    if (known < 0).sum() == below.sum():
        # As far as twice or half of the nearest: of ratings, all tails are near.
        least = np.log(2)
        scaled = np.log(scaled, out=np.full(len(scaled), np.nan), where=scaled > 0)
    far = _apart(scaled, least) | _apart(-scaled, least)
    if far.sum() <= _RARE * len(known):
        found |= _described("far from all others", series, far, lines)
    return found


def _apart(values: Floats, least_gap: float) -> Bools:
    """Return the values far above the middle half, from the first wide gap above it on."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return np.zeros(len(values), bool)
    low, high = np.quantile(known, [0.25, 0.75])
    wide = max(_GAP * (high - low), least_gap)
    gaps = np.flatnonzero((np.diff(known) > wide) & (known[:-1] >= high))
    if high == low or not len(gaps):
        return np.zeros(len(values), bool)
    least = max(float(known[gaps[0] + 1]), high + FAR * (high - low))
    return np.asarray(np.nan_to_num(values, nan=-np.inf) >= least, np.bool_)


def _out_of_range(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    dates = parse_dates(series, column).values
    latest = np.datetime64(datetime.now(), "D") + 366
    bad = (dates < np.datetime64(f"{_EARLIEST}-01-01")) | (dates > latest)
    return _described(f"before {_EARLIEST} or more than a year ahead", series, bad, lines)


def _spellings(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    counts = Counter(text for text in as_text(series) if text is not None)
    alike: dict[str, list[str]] = {}
    for text in counts:
        alike.setdefault(folded(text), []).append(text)
    several = [names for names in alike.values() if len(names) > 1]
    if not several:
        return {}
    shown = [
        " / ".join(f"{name[:40]!r} ({counts[name]:,})" for name in names[:_SHOWN])
        for names in several[:_SHOWN]
    ]
    more = f"; and {len(several) - _SHOWN:,} more" if len(several) > _SHOWN else ""
    said = "the same but for case, blanks or Unicode form"
    cells = sum(counts[name] for names in several for name in names)
    return {f"{said}: {'; '.join(shown)}{more}": cells}


def _words_for_missing(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    what = "kept as a category" if column.kind == "category" else "read as text"
    bad = _matching(as_text(series), lambda text: text.lower() in MISSING_WORDS)
    return _described(f"words for nothing, {what}", series, bad, lines)


def _decimal_commas(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    texts = as_text(series)
    bad = _matching(texts, _COMMA.fullmatch)
    if bad.sum() < pd.notna(texts).sum() / 2:
        return {}
    phrase = f"decimal commas, and so read as {column.kind}, not as numbers"
    return _described(phrase, series, bad, lines)


def _wrongly_decoded(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    texts = as_text(series)
    bad = _matching(texts, _MOJIBAKE.search)
    if not bad.any():
        return {}
    place = int(bad.argmax())
    start = max(0, len(_MOJIBAKE.split(texts[place], 1)[0]) - 12)
    part, count = texts[place][start : start + 30], int(bad.sum())
    said = f"decoded wrongly: {counted(count, 'cell')}, such as {part!r} (line {lines[place]})"
    return {said: count}


def _several_units(series: pd.Series[Any], column: Column, lines: Ints) -> Said:
    """Numbers in units that differ, which no one number can stand for."""
    texts = [text for text in as_text(series) if text is not None]
    best: Counter[str] = Counter()
    for decimal in (".", ","):
        reading = Reading(wide=True, decimal=decimal)
        first = (next(phrases(canonical(text), reading), None) for text in texts)
        found = Counter(phrase_key(phrase.text) for phrase in first if phrase is not None)
        best = max(best, found, key=Counter.total)
    few = 2 <= len(best) <= _UNITS_MOST and len(texts) > _UNITS_MOST * len(best)
    if not few or best.total() < _UNITS_LEAST * len(texts):
        return {}
    units = joined([repr(unit) for unit, _ in best.most_common()], _SHOWN)
    said = f"numbers in several units ({units}), and so read as {column.kind}, not as numbers"
    return {said: len(texts)}


def _matching(texts: NDArray[np.object_], matches: Callable[[str], object]) -> Bools:
    return np.array([text is not None and bool(matches(text)) for text in texts], bool)


_Check = Callable[["pd.Series[Any]", Column, Ints], Said]
_CHECKS: dict[str, tuple[_Check, ...]] = {
    "number": (_unreadable, _sentinels, _far_off),
    "weight": (_unreadable, _sentinels, _far_off),
    "date": (_unreadable, _out_of_range),
    "category": (_spellings, _words_for_missing, _wrongly_decoded, _decimal_commas, _several_units),
    "identifier": (_decimal_commas, _several_units),
    "target": (_spellings,),
    "text": (_words_for_missing, _wrongly_decoded, _decimal_commas),
}
