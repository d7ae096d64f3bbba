"""Formatting of numbers, names and lists for messages and tables, and the templates of pages."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

DASH = "–"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def short_number(value: float, digits: int = 4) -> str:
    """Write a number with `digits` digits, more only before the decimal point.

    Example:
    >>> short_number(1234567.0), short_number(0.123456), short_number(0.123456, 2)
    ('1,234,567', '0.1235', '0.12')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else str(value)
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e15 else f"{value:.{digits}g}"


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction in per cent, a dash for one that is not there.

    Example:
    >>> percent(0.8912), percent(None)
    ('89.1%', '–')
    """
    return DASH if value is None or math.isnan(value) else f"{value:.{digits}%}"


def rough_percent(value: float) -> str:
    """Write a fraction in whole per cent; one that is small but not zero is not shown as zero.

    Example:
    >>> rough_percent(0.25), rough_percent(0.001)
    ('25 %', '< 1 %')
    """
    return "< 1 %" if 0 < value < 0.01 else f"{100 * value:.0f} %"


def bare_percent(value: float) -> str:
    """Write a signed fraction as a number of per cent: whole, or one decimal where it is small.

    Example:
    >>> bare_percent(0.123), bare_percent(-0.004), bare_percent(-0.0001)
    ('12', '−0.4', '0')
    """
    text = f"{100 * value:.{1 if abs(value) < 0.0095 else 0}f}"
    return "0" if not float(text) else text.replace("-", "−")


def duration(seconds: float) -> str:
    """Write a time span in the two largest of hours, minutes and seconds.

    Example:
    >>> duration(3.21), duration(200), duration(7300)
    ('3.2 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def counted(count: int, noun: str) -> str:
    """Write a number of things.

    Example:
    >>> counted(1, "cell"), counted(1234, "cell")
    ('1 cell', '1,234 cells')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def joined(items: Sequence[object], most: int) -> str:
    """Write the first `most` items with commas, and dots for the others.

    Example:
    >>> joined([3, 7, 9], most=2)
    '3, 7, …'
    """
    return ", ".join(map(str, items[:most])) + (", …" if len(items) > most else "")


def listed(words: Iterable[str]) -> str:
    """Write words as a sentence lists them.

    Example:
    >>> listed(["table", "text", "photos"])
    'table, text and photos'
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` letters, the last of them dots where it is cut.

    Example:
    >>> shortened("description", 5)
    'desc…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def visible(text: str) -> str:
    r"""Return a text with its control characters written out, which would rule a terminal.

    Line ends and tabs stay. So are marks that turn the direction of writing, which would show a
    text in another order than it has.

    Example:
    >>> print(visible("\x1b[2Jred"))
    \x1b[2Jred
    """
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def template(name: str, *, autoescape: bool = True, **filters: Callable[..., str]) -> Any:
    """Return a Jinja template of `core/templates`, in which a name without a value is an error.

    Args:
        name: The file, such as `report.html.j2`.
        autoescape: Whether values are escaped as HTML: yes, but for pages in another language.
        filters: Filters of this template beside `percent`, `short` and `duration`.
    """
    # Most commands render nothing: Jinja is imported by those that do.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("multimodal.core"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": rough_percent,
        "short": lambda value: DASH if value is None else short_number(value, 3),
        "duration": duration,
        **filters,
    }
    return environment.get_template(name)
