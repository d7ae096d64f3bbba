"""Dates as people of all countries write them: one text to a moment, by the rules of its column."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from functools import cache
from zoneinfo import ZoneInfo

from multimodal.data.columns.numerals import canonical

LONGEST = 60  # letters of a text that may be a date
# By month: in English, German, French, Spanish, Portuguese, Italian, Dutch, Polish, Turkish,
# Swedish; without accents. Abbreviations are their first letters, where those are of one month.
_MONTH_NAMES = (
    "january januar janner janvier enero janeiro gennaio januari stycznia ocak",
    "february februar fevrier febrero fevereiro febbraio februari lutego subat",
    "march marz mrz mars marzo marco maart marca mart",
    "april avril abril aprile kwietnia nisan",
    "may mai mayo maio maggio mei maja mayis maj",
    "june juni juin junio junho giugno czerwca haziran",
    "july juli juillet julio julho luglio lipca temmuz",
    "august aout agosto augustus sierpnia agustos augusti",
    "september septembre septiembre setembro settembre wrzesnia eylul",
    "october oktober octobre octubre outubro ottobre pazdziernika ekim",
    "november novembre noviembre novembro listopada kasim",
    "december dezember decembre diciembre dezembro dicembre grudnia aralik",
)
_ZONES = {
    zone: hours
    for hours, zones in (
        (1, "CET MEZ BST WEST"),
        (2, "CEST MESZ EET"),
        (3, "EEST"),
        (9, "JST"),
        (10, "AEST"),
        (11, "AEDT"),
        (12, "NZST"),
        (13, "NZDT"),
    )
    for zone in zones.split()
}
_TIME = re.compile(
    r"(?:[T,]|\s|(?<=[\u65e5\uc77c]))\s*(?:at |um |\u00e0 )?(?P<h>\d{1,2})(?::|h|\u6642|\u65f6)"
    r"(?P<m>\d{2})(?:\u5206)?(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<half>[ap]\.?m\.?)?\s*"
    r"(?:Uhr|\(?(?P<zone>Z|[+-]\d{2}:?\d{2}|(?:UTC|GMT)[+-]\d{1,2}(?::?\d{2})?|[A-Za-z]+/[\w/]+"
    r"|[A-Z]{2,5})\)?)?$",
    re.IGNORECASE,
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})?(Z|[+-]\d{2}:?\d{2})?)?")
_YEAR_FIRST = re.compile(r"(\d{4})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{1,2})\.?")
_CJK = re.compile(
    r"(\d{4})\s?[\u5e74\ub144]\s?(\d{1,2})\s?[\u6708\uc6d4](?:\s?(\d{1,2})\s?[\u65e5\uc77c\u53f7\u865f])?"
)
_FIGURES = re.compile(r"(\d{1,2})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})\.?")
_WEEKDAY = re.compile(r"([^\W\d_]{2,13})\.?,?\s+(?=\d|[^\W\d_]{3})")
_DAY_MONTH = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|er|\.|\u00ba|\u00aa)?[-\s/]?\s?(?:de |of )?([^\W\d_]{3,12})\.?,?"
    r"(?:\s?[-\s/]\s?|\s?')(?:de |of )?(\d{4}|\d{2})\.?",
    re.IGNORECASE,
)
_MONTH_DAY = re.compile(
    r"([^\W\d_]{3,12})\.?[\s-]+(\d{1,2})(?:st|nd|rd|th)?,?[\s-]+(\d{4})", re.IGNORECASE
)
_CENTURY = 69  # two-digit years from here on are of the last century, as POSIX has it
_FIRST_YEAR, _LAST_YEAR = 1900, 2100  # of dates in eight figures


def read_date(text: str, day_first: bool | None) -> datetime | None:
    """Return the moment that a text names, in UTC where it has a zone; None if it is no date.

    Args:
        text: The text.
        day_first: Whether 03/04/2016 is in April; None does not read such dates.

    Example:
    >>> read_date("18/08/2017 10:30 PM", True)
    datetime.datetime(2017, 8, 18, 22, 30)
    >>> read_date("18. M\u00e4rz 2017", None), read_date("03/04/2017", None)
    (datetime.datetime(2017, 3, 18, 0, 0), None)
    """
    plain = canonical(text) if len(text) <= LONGEST else ""
    if len(plain) < 6 or not any(map(str.isdigit, plain)):
        return None
    try:
        if match := _COMPACT.fullmatch(plain):
            return _compact(match)
        time = _TIME.search(plain)
        day = _day(plain[: time.start()].rstrip(" ,") if time else plain, day_first)
        return day and (_at(day, time) if time else day)
    except (ValueError, KeyError, OverflowError):
        return None


def figures(text: str) -> tuple[int, int, str] | None:
    """Return the first two figures of a date such as 03/04/2016 and the mark between them.

    Example:
    >>> figures("03/04/2016 10:30"), figures("2016-03-04")
    ((3, 4, '/'), None)
    """
    if len(text) > LONGEST:
        return None
    plain = canonical(text)
    time = _TIME.search(plain)
    day = plain[: time.start()].rstrip(" ,") if time else plain
    match = _FIGURES.fullmatch(_without_weekday(day))
    if match is None or not _is_clear(match):
        return None
    return int(match[1]), int(match[3]), match[2]


def of_figures(number: int) -> datetime | None:
    """Return the day that 20170818 stands for."""
    year, day = divmod(number, 10_000)
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return datetime(year, *divmod(day, 100))
    except ValueError:
        return None


def _compact(match: re.Match[str]) -> datetime | None:
    day = of_figures(int(match[1] + match[2] + match[3]))
    if day is None or match[4] is None:
        return day
    moment = day.replace(hour=int(match[4]), minute=int(match[5]), second=int(match[6] or 0))
    return _in_zone(moment, match[7])


def _day(text: str, day_first: bool | None) -> datetime | None:
    if match := _YEAR_FIRST.fullmatch(text):
        return datetime(int(match[1]), int(match[3]), int(match[4]))
    if match := _CJK.fullmatch(text):
        return datetime(int(match[1]), int(match[2]), int(match[3] or 1))
    text = _without_weekday(text)
    if match := _FIGURES.fullmatch(text):
        if day_first is None or not _is_clear(match):
            return None
        day, month = (int(match[1]), int(match[3]))[:: 1 if day_first else -1]
        return datetime(_year(match[4]), month, day)
    if match := _DAY_MONTH.fullmatch(text):
        return datetime(_year(match[3]), _months()[_folded(match[2])], int(match[1]))
    if match := _MONTH_DAY.fullmatch(text):
        return datetime(int(match[3]), _months()[_folded(match[1])], int(match[2]))
    return None


def _is_clear(match: re.Match[str]) -> bool:
    """Whether the year of a date in figures is surely the last: 17-08-18 may begin with it."""
    return len(match[4]) == 4 or match[2] != "-"


def _without_weekday(text: str) -> str:
    match = _WEEKDAY.match(text)
    return text[match.end() :] if match and _folded(match[1]) not in _months() else text


def _year(figures: str) -> int:
    year = int(figures)
    return year if len(figures) == 4 else year + (1900 if year >= _CENTURY else 2000)


def _at(day: datetime, time: re.Match[str]) -> datetime:
    hour, half = int(time["h"]), (time["half"] or "")[:1].lower()
    if half and not 1 <= hour <= 12:
        raise ValueError("no hour of a half day")
    if half:
        hour = hour % 12 + 12 * (half == "p")
    fraction = int((time["f"] or "0").ljust(6, "0")[:6])
    moment = day.replace(hour=hour, minute=int(time["m"]), second=int(time["s"] or 0))
    return _in_zone(moment.replace(microsecond=fraction), time["zone"])


def _in_zone(moment: datetime, zone: str | None) -> datetime:
    """Return the moment in UTC, without a zone."""
    if not zone:
        return moment
    known = _zone(zone)
    return moment.replace(tzinfo=known).astimezone(UTC).replace(tzinfo=None)


@cache
def _zone(name: str) -> timezone | ZoneInfo:
    if "/" in name:
        return ZoneInfo(name)
    if name.upper() in _ZONES:
        return timezone(timedelta(hours=_ZONES[name.upper()]))
    if match := re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", name, re.IGNORECASE):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    if name.upper() in ("Z", "UTC", "GMT", "UT"):
        return UTC
    # The abbreviations of mail, such as EST; of others it knows no offset.
    found = parsedate_tz(f"Thu, 01 Jan 1970 00:00:00 {name.upper()}")
    if found is None or found[9] is None:
        raise ValueError(f"unknown zone {name}")
    return timezone(timedelta(seconds=found[9]))


def _folded(word: str) -> str:
    """Return a word in lower case without accents."""
    apart = unicodedata.normalize("NFD", word.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c)).replace("\u0131", "i")


@cache
def _months() -> dict[str, int]:
    """Return the number of each month by its names and their unambiguous beginnings."""
    found: dict[str, int] = {}
    clash: set[str] = set()
    for month, names in enumerate(_MONTH_NAMES, 1):
        for name in names.split():
            for end in range(3, len(name) + 1):
                short = name[:end]
                whole = end == len(name)
                if found.get(short, month) != month and not whole:
                    clash.add(short)
                elif whole or short not in found:
                    found[short] = month
    whole_names = {name for names in _MONTH_NAMES for name in names.split()}
    return {word: month for word, month in found.items() if word not in clash - whole_names}
