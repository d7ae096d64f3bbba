"""How a column writes its dates: which of day and month comes first, found from all its cells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from multimodal.data.columns.cells import Column
from multimodal.data.columns.date_forms import figures, of_figures
from multimodal.data.columns.dates import FIRST_SERIAL, LAST_SERIAL
from multimodal.data.columns.numbers import parse_numbers
from multimodal.data.columns.reading import Reading

_DIFFERENT = 10  # days written as 20170818, from which they are no accident
_DATE_WORDS = frozenset("date dates datum fecha dato datetime timestamp tarih".split())
_DATE_SIGNS = re.compile("\u65e5\u671f|\u65e5\u4ed8|\ub0a0\uc9dc|\u0434\u0430\u0442\u0430", re.I)
_MOST = 0.95


class DateFormat(NamedTuple):
    """How a column's dates are read, and what is in doubt."""

    reading: Reading
    doubt: str = ""


def date_format(cells: Iterable[Any], told: Reading) -> DateFormat:
    """Return how the dates in cells are read.

    A first figure above 12 says that the day comes first, a second one that the month does. Where
    neither occurs, dates with dots have the day first, as everywhere, and others are not read;
    both are in doubt.

    Args:
        cells: The cells of the column.
        told: What is told of it already; with an order of day and month, which the cells overrule.

    Example:
    >>> date_format(["18/08/2017", "01/02/2017"], Reading()).reading.day_first
    True
    """
    wide = told.model_copy(update={"wide": True})
    found = [(text, parts) for text in _texts(cells) if (parts := figures(text))]
    if not found:
        return DateFormat(wide.model_copy(update={"day_first": None}))
    days = sum(first > 12 for _, (first, _, _) in found)
    months = sum(second > 12 for _, (_, second, _) in found)
    if days or months:
        return DateFormat(wide.model_copy(update={"day_first": days >= months}))
    if told.day_first is not None:
        return DateFormat(wide)
    dots = all(mark == "." for _, (_, _, mark) in found)
    text, (first, second, _) = next((f for f in found if f[1][0] != f[1][1]), found[0])
    read = "it is read with the day first" if dots else "it is not read as a date"
    doubt = (
        f"{text!r:.40} may be day {first} of month {second} or day {second} of month {first}: no "
        f"day above 12 tells which comes first; {read}. Say it: `--day-first` or `--month-first` "
        "(`data.day_first`)"
    )
    return DateFormat(wide.model_copy(update={"day_first": True if dots else None}), doubt)


def are_figures(cells: Column) -> bool:
    """Whether whole numbers are days such as 20170818, too many to be an accident."""
    values = parse_numbers(cells).values
    there = np.unique(values[np.isfinite(values)])
    if len(there) < _DIFFERENT or not (there == np.floor(there)).all():
        return False
    if there[0] < 19_000_101 or there[-1] > 21_001_231:
        return False
    return bool(np.mean([of_figures(int(value)) is not None for value in there]) >= _MOST)


def are_serials(name: str, cells: Column) -> bool:
    """Whether numbers of a column that is named as a date count days as spreadsheets do."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    named = any(w in _DATE_WORDS or w.endswith("date") for w in map(str.lower, words))
    if not named and not _DATE_SIGNS.search(name):
        return False
    values = parse_numbers(cells).values
    there = values[np.isfinite(values)]
    within = (there >= FIRST_SERIAL) & (there <= LAST_SERIAL)
    return bool(len(there) == len(cells) and len(there) and within.mean() >= _MOST)


def _texts(cells: Iterable[Any]) -> list[str]:
    return list(pd.unique(np.array([c for c in cells if isinstance(c, str)], dtype=object)))
