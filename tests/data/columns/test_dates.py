"""Dates that can be read without guessing, and their parts."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal.core.spec import DATE_PARTS
from multimodal.data.columns.date_format import date_format
from multimodal.data.columns.dates import date_parts, parse_dates
from multimodal.data.columns.reading import Reading

EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2016-03-10", "2016-03-10"),
        (" 2016-3-9 ", "2016-03-09"),
        ("2016/03/10", "2016-03-10"),
        ("2016.03.10", "2016-03-10"),
        ("2016-03", "2016-03-01"),
        ("2016", "2016-01-01"),
        ("2016-03-10T15:30", "2016-03-10T15:30"),
        ("2016-03-10 15:30:01.5", "2016-03-10T15:30:01.5"),
        ("2016-03-10T15:30:00Z", "2016-03-10T15:30"),
        ("2016-03-10 15:30:00 +0530", "2016-03-10T10:00"),
        ("10 Mar 2016", "2016-03-10"),
        ("10-Mar-2016", "2016-03-10"),
        ("1st March 2016", "2016-03-01"),
        ("March 10, 2016", "2016-03-10"),
        ("Sept. 2016", "2016-09-01"),
        ("MAY 2016", "2016-05-01"),
        (2016, "2016-01-01"),
        (2016.0, "2016-01-01"),
        (date(2016, 3, 10), "2016-03-10"),
        (datetime(2016, 3, 10, 15, tzinfo=EAST), "2016-03-10T09:30"),
        (pd.Timestamp("2016-03-10T15:00:00.123456789"), "2016-03-10T15:00:00.123456"),
        (np.datetime64("2016-03-10"), "2016-03-10"),
    ],
)
def test_readable(cell: Any, moment: str) -> None:
    values, bad = parse_dates(pd.Series([cell], dtype=object))
    assert values.dtype == np.dtype("datetime64[us]")
    assert values[0] == np.datetime64(moment) and not bad[0]


@pytest.mark.parametrize(
    "cell",
    [
        "03/04/2016",
        "25/12/2016",
        "10.03.2016",
        "2016-13-01",
        "2016-02-30",
        "20160310",
        "16",
        "2016.5",
        "10 Mrz 2016",
        "Foo 2016",
        "2016-03-10 25:00",
        "0000-01-01",
        "tomorrow",
        16,
        "Paperback, 10 Mar 2016",
        True,
        20160310,
        "9999",
        "２０１６",
    ],
)
def test_nothing_is_guessed(cell: Any) -> None:
    values, bad = parse_dates(pd.Series([cell], dtype=object))
    assert np.isnat(values[0]) and bad[0]


@pytest.mark.parametrize("cell", [None, "", " ", pd.NaT, float("nan")])
def test_missing_is_not_bad(cell: Any) -> None:
    values, bad = parse_dates(pd.Series([cell], dtype=object))
    assert np.isnat(values[0]) and not bad[0]


def test_datetime_columns_go_to_utc() -> None:
    stamps = pd.to_datetime(pd.Series(["2016-03-10T15:00", None]))
    expected = [np.datetime64("2016-03-10T15:00"), np.datetime64("NaT")]
    np.testing.assert_array_equal(parse_dates(stamps).values, expected)
    zoned = stamps.dt.tz_localize("Asia/Kolkata")
    assert parse_dates(zoned).values[0] == np.datetime64("2016-03-10T09:30")
    assert parse_dates(pd.Series([], dtype=object)).values.shape == (0,)


@pytest.mark.parametrize(
    "moment",
    ["2016-03-10T15:30", "1969-12-31T23:00", "2000-02-29", "1600-01-01T00:00", "2024-12-31"],
)
def test_parts_agree_with_the_calendar(moment: str) -> None:
    stamp = datetime.fromisoformat(moment)
    dates = np.array([moment, "NaT"], dtype="datetime64[us]")
    expected = {
        "year": stamp.year,
        "month": stamp.month,
        "day": stamp.day,
        "weekday": stamp.weekday(),
        "hour": stamp.hour,
        "days": (stamp.date() - date(1970, 1, 1)).days,
    }
    assert set(expected) == set(DATE_PARTS)
    for part, number in expected.items():
        np.testing.assert_array_equal(date_parts(dates, part), [number, np.nan])


def test_unknown_part() -> None:
    with pytest.raises(ValueError, match="must be one of year.*Received: 'minute'"):
        date_parts(np.array([], dtype="datetime64[us]"), "minute")


WIDE = Reading(wide=True)
FORMS = """
%d/%m/%Y
%m/%d/%Y
%d.%m.%Y
%d-%m-%Y
%d/%m/%y
%d-%b-%y
%d %B %Y
%B %d, %Y
%a, %d %b %Y
%Y%m%d
%Y-%m-%d
%Y/%m/%d
%Y\u5e74%m\u6708%d\u65e5
%Y. %m. %d.
""".strip().splitlines()
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %H:%M:%S UTC", " %H:%M:%S GMT", " %H:%M+00:00")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.dates(date(1970, 1, 1), date(2060, 12, 31)), min_size=2, max_size=20),
    st.sampled_from(FORMS),
    st.sampled_from(TIMES),
    st.times(),
)
def test_what_is_read_is_what_was_meant_or_in_doubt(
    days: list[date], form: str, hour: str, time: Any
) -> None:
    form += "" if form == "%Y%m%d" else hour
    moments = [datetime.combine(day, time) for day in days]
    cells = [moment.strftime(form) for moment in moments]
    found = date_format(cells, Reading())
    if found.doubt:
        return
    read = parse_dates(cells, found.reading)
    expected = [datetime.strptime(cell, form).replace(tzinfo=None) for cell in cells]
    assert not read.bad.any() and read.values.astype(object).tolist() == expected


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("18. M\u00e4rz 2017", "2017-03-18"),
        ("18 ao\u00fbt 2017", "2017-08-18"),
        ("18 de agosto de 2017", "2017-08-18"),
        ("1er janvier 2017", "2017-01-01"),
        ("2017\u5e748\u670818\u65e5", "2017-08-18"),
        ("2017\ub144 8\uc6d4 18\uc77c", "2017-08-18"),
        ("2017-08-18 10:00 Europe/Berlin", "2017-08-18T08:00"),
        ("2017-08-18 10:00 EST", "2017-08-18T15:00"),
        ("20170818T103000Z", "2017-08-18T10:30"),
        (20170818, "2017-08-18"),
        (pd.Period("2017-08", "M"), "2017-08-01"),
    ],
)
def test_dates_of_the_world(cell: Any, moment: str) -> None:
    values, bad = parse_dates(pd.Series([cell], dtype=object), WIDE)
    assert values[0] == np.datetime64(moment) and not bad[0]


def test_spreadsheets_count_days() -> None:
    values, bad = parse_dates(["42965", 42965.5, "x", "?"], Reading(wide=True, serial=True))
    assert values[:2].tolist() == [datetime(2017, 8, 18), datetime(2017, 8, 18, 12)]
    assert bad.tolist() == [False, False, True, False]
