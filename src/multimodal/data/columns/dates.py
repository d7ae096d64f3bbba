"""Parsing of dates, and the numbers that a model reads in them.

The formats are fixed. `pandas.to_datetime` guesses: "03/04/2016" is March in one column and April
in the next, and any number becomes nanoseconds since 1970.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from multimodal.core.arrays import Bools, Floats
from multimodal.data.columns.cells import Column, is_missing

DateArray = npt.NDArray[np.datetime64]
DATE_PARTS = ("year", "month", "day", "weekday", "hour", "days")
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


def parse_dates(series: Column) -> Dates:
    """Read a column as dates, times with a zone brought to UTC.

    Accepted: ISO dates and times, 2016-03, 2016/03/10, "10 Mar 2016", "March 10, 2016",
    "Mar 2016", a year. Day and month in figures ("03/04/2016") are not guessed: unreadable.

    Example:
    >>> parse_dates(pd.Series(["10 Mar 2016", "03/04/2016"], dtype=object)).bad.tolist()
    [False, True]
    """
    missing = is_missing(series)
    if isinstance(series, pd.Series) and pd.api.types.is_datetime64_any_dtype(series.dtype):
        stamps = series.dt.tz_convert("UTC").dt.tz_localize(None) if series.dt.tz else series
        values = stamps.to_numpy().astype("datetime64[us]")
    else:
        cells = zip(series, missing, strict=True)
        found = [None if gone else _moment(value) for value, gone in cells]
        values = np.array(found, dtype="datetime64[us]")
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


def _moment(value: Any) -> datetime | None:
    """Return one cell's moment without a zone, or None."""
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, datetime):
        # to_pydatetime warns of the nanoseconds it cuts off, which floor takes away before.
        moment = value.floor("us").to_pydatetime() if isinstance(value, pd.Timestamp) else value
        return _in_utc(moment)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return datetime(int(value), 1, 1) if value in range(1000, 3000) else None
    return _written(value.strip()) if isinstance(value, str) else None


def _in_utc(moment: datetime) -> datetime:
    """Return a moment without a zone: its time in UTC where it has one."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _written(text: str) -> datetime | None:
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
