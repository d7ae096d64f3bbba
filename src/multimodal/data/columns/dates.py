"""Parsing of dates, and the numbers that a model reads in them.

The formats are those of the column. `pandas.to_datetime` guesses: "03/04/2016" is March in one
column and April in the next, and any number becomes nanoseconds since 1970.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from multimodal.core.arrays import Bools, Floats
from multimodal.core.spec import DATE_PARTS
from multimodal.data.columns.cells import Column, is_missing
from multimodal.data.columns.date_forms import of_figures, read_date
from multimodal.data.columns.numbers import is_missing_word
from multimodal.data.columns.reading import PLAIN, Reading

DateArray = npt.NDArray[np.datetime64]
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_EPOCH = datetime(1899, 12, 30)  # of spreadsheets, for which 1900 was a leap year
FIRST_SERIAL, LAST_SERIAL = 20_000, 60_000  # 1954 to 2064
_MONTHS = "january february march april may june july august september october november december"
_MONTH = {name[:n]: i for i, name in enumerate(_MONTHS.split(), 1) for n in (3, 4, len(name))}
_ISO = re.compile(r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2})(?:[T ]+(\d[\d:.,]*)\s*(\S*))?)?")
_NAMED = (
    re.compile(
        r"(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[\s-]+)?(?P<m>[a-z]{3,9})\.?,?[\s-]+(?P<y>\d{4})"
    ),
    re.compile(r"(?P<m>[a-z]{3,9})\.?\s+(?P<d>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<y>\d{4})"),
)


class Dates(NamedTuple):
    """datetime64[us] (N,) with NaT for missing and unreadable cells, and bool: unreadable."""

    values: DateArray
    bad: Bools


def parse_dates(series: Column, reading: Reading = PLAIN) -> Dates:
    """Read a column as dates, times with a zone brought to UTC.

    Accepted: ISO dates and times, 2016-03, 2016/03/10, "10 Mar 2016", "March 10, 2016",
    "Mar 2016", a year. A wide reading takes the forms of all countries and words for missing, and
    where it says which comes first, day and month in figures ("03/04/2016"), which are unreadable
    otherwise.

    Args:
        series: any column, or a list of cells.
        reading: how the column is read.

    Example:
    >>> parse_dates(pd.Series(["10 Mar 2016", "03/04/2016"], dtype=object)).bad.tolist()
    [False, True]
    """
    missing = is_missing(series)
    if isinstance(series, pd.Series) and pd.api.types.is_datetime64_any_dtype(series.dtype):
        stamps = series.dt.tz_convert("UTC").dt.tz_localize(None) if series.dt.tz else series
        # Microseconds, as Python's datetimes have: the nanoseconds of pandas end in 2262.
        values = stamps.to_numpy().astype("datetime64[us]")
    else:
        found = _moments(series, missing, reading)
        values = np.array(found, dtype="datetime64[us]")
        if reading.wide:
            words = [is_missing_word(cell, reading) for cell in series]
            missing = missing | np.array(words, np.bool_)
            values[missing] = np.datetime64("NaT")
    return Dates(values, np.isnat(values) & ~missing)


def date_parts(dates: DateArray, part: str) -> Floats:
    """Return float64 (N,), NaN for NaT.

    Args:
        dates: datetime64 (N,).
        part: one of `DATE_PARTS`; weekday counts from Monday = 0, days from 1970-01-01.

    Example:
    >>> date_parts(np.array(["2016-03-10T15:00"], dtype="datetime64[us]"), "hour").tolist()
    [15.0]
    """
    if part not in DATE_PARTS:
        raise ValueError(f"`part` must be one of {', '.join(DATE_PARTS)}. Received: {part!r}")
    if part == "days":
        days = dates.astype("datetime64[D]").astype(np.float64)
        return np.where(np.isnat(dates), np.nan, days)
    # pandas 3 warns of the shorter name.
    name = "day_of_week" if part == "weekday" else part
    return np.asarray(getattr(pd.DatetimeIndex(dates), name), np.float64)


def _moments(series: Column, missing: Bools, reading: Reading) -> list[datetime | None]:
    """Return each cell's moment without a zone, or None; texts repeat, and are read once."""
    read = cache(partial(_written_widely, reading=reading) if reading.wide else _written)
    found: list[datetime | None] = []
    for value, gone in zip(series, missing, strict=True):
        if gone:
            found.append(None)
        elif isinstance(value, str):
            found.append(read(value))
        elif reading.wide and _is_number(value):
            found.append(_counted(value, reading))
        else:
            found.append(_moment(value))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _counted(value: float, reading: Reading) -> datetime | None:
    """Return the moment of a number: a spreadsheet's count of days, 20170818, or a year."""
    if reading.serial:
        known = FIRST_SERIAL <= value <= LAST_SERIAL
        return _EPOCH + timedelta(days=float(value)) if known else None
    return _moment(value) or (of_figures(int(value)) if float(value).is_integer() else None)


def _written_widely(text: str, reading: Reading) -> datetime | None:
    if reading.serial:
        return _counted(float(text), reading) if _NUMBER.fullmatch(text.strip()) else None
    return _written(text) or read_date(text, reading.day_first)


def _moment(value: Any) -> datetime | None:
    """Return one cell's moment without a zone, or None."""
    if isinstance(value, pd.Period):
        value = value.start_time
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime):
        # to_pydatetime warns of the nanoseconds it cuts off, which floor takes away before.
        moment = value.floor("us").to_pydatetime() if isinstance(value, pd.Timestamp) else value
        return _in_utc(moment)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if _is_number(value):
        return datetime(int(value), 1, 1) if value in range(1000, 3000) else None
    return None


def _in_utc(moment: datetime) -> datetime:
    """Return a moment without a zone: its time in UTC where it has one."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _written(text: str) -> datetime | None:
    text = text.strip()
    try:
        if text.isascii() and text.isdigit() and len(text) == 4:
            return datetime(int(text), 1, 1) if 1000 <= int(text) < 3000 else None
        if match := _ISO.fullmatch(text):
            return _iso(*match.groups())
        for pattern in _NAMED:
            if match := pattern.fullmatch(text.lower()):
                return datetime(int(match["y"]), _MONTH[match["m"]], int(match["d"] or 1))
    except (ValueError, KeyError, OverflowError):
        pass
    return None


def _iso(
    year: str, mark: str, month: str, day: str | None, time: str | None, zone: str | None
) -> datetime | None:
    if day is None and mark == ".":  # "2016.03" is a number
        return None
    date = f"{year}-{month:0>2}-{day or '1':0>2}"
    return _in_utc(datetime.fromisoformat(date + (f"T{time}{zone}" if time else "")))
