"""Numbers as people of all countries write them: one text, read by the rules of its column.

Whether a dot stands before decimals or between thousands is not asked here: the column decides
(see `number_format`), and the reading says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from multimodal.data.columns.reading import Reading

LONGEST = 60  # letters of a text in which a number is looked for
# Beside those that `numbers.MISSING_WORDS` has: of databases, spreadsheets, statistics, languages.
MISSING_WORDS = frozenset(
    """? ?? # * . .. ... – — -- --- … #n/a #n/a! #na #value! #div/0! #ref! #num! #name? #null!
    #wert! #bezug! #nv #valor! #valeur! \\n <na> <null> nat -nan +nan nan(ind) (null) [null] (none)
    (blank) blank nil n.a. n.a n.d. n.d nd n/d n.v. n.b. n/v k.a. k.a k/a s/d s/o n.c. nc tba tbd
    tbc unknown unk missing undefined unavailable unbekannt inconnu desconocido desconhecido
    sconosciuto onbekend neznámý 不明 未知 无 無 なし""".split()
).union(
    (
        "not available|not applicable|not known|no data|no value|not given|k. a.|n. a.|s. o.|"
        "keine angabe|nicht verfügbar|non disponible|no disponible"
    ).split("|")
)
_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_INVISIBLE = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_ALIKE = (
    (re.compile(f"[{_INVISIBLE}]"), ""),
    (re.compile(f"[{_SPACES}]"), " "),
    (re.compile("[\u2212\u2010-\u2013\u207b\ufe63\uff0d\u02d7]"), "-"),
    (re.compile("[\uff0b\ufe62]"), "+"),
    (re.compile("[\u2018\u2019\u201b\u02bc\u00b4\u2032\uff07]"), "'"),
    (re.compile("[\uff0c\u066c\ufe50]"), ","),
    (re.compile("[\uff0e\u066b]"), "."),
    (re.compile("\uff05|\u066a|\ufe6a"), "%"),
)
_DIGIT = re.compile(r"[^\W\x00-\x7f]")
# A price without cents, whose mark is the decimal one: "99,-", "99.--", "1.250,—".
_NO_CENTS = {
    mark: re.compile(rf"(?<=\d){re.escape(mark)}(?:-{{1,2}}|\u2014)(?!\d)") for mark in ".,"
}
_SIGNED = re.compile(r"([+-])\s?(?=[\d.,(]|(?:[^\w\s]{1,3}|[^\W\d_]{1,4}\.?)\s?\d)")
_BRACKETS = re.compile(r"\(\s*([^()]*\d[^()]*)\)|([^\s\d()]{1,3}\s?)\((\s*\d[^()]*)\)")
_BEHIND = re.compile(r"(.*\d)\s?-")
_AMID = re.compile(r"((?:[^\w\s.,'()+-]{1,3}|[^\W\d_]{1,4}\.?\s)\s?)-(?=\d)")
_CURRENCY = re.compile(
    r"(?<![^\W\d_])(?:rs|inr|usd|eur|gbp|chf|jpy|cny|rmb|aud|cad|nzd|sgd|hkd|sek|nok|dkk|pln|czk"
    r"|huf|brl|mxn|zar|try|aed|sar|krw|thb|idr|rp|myr|rm|php|vnd|rub|uah|ils|kr|fr|tl)\.?$",
    re.IGNORECASE,
)
# What makes a part of a number, or of one with the other decimal mark, of what stands before it.
_AFTER = re.compile(r"[.,:'-]?\d|[.,][-\u2014]")
_ATTACHED = re.compile(r"(?:[\w-]|\d[.,:])$")
_FACTORS = {
    word: factor
    for factor, words in (
        (1e3, "k tsd thousand tausend тыс"),
        (1e4, "万 萬"),
        (1e5, "lakh lakhs lac"),
        (1e6, "m mn mio mln million millions млн"),
        (1e7, "crore crores cr"),
        (1e8, "亿 億"),
        (1e9, "b bn mrd md billion billions"),
        (1e12, "trillion"),
    )
    for word in words.split()
}
_FACTOR = re.compile(
    rf"\s?({'|'.join(sorted(map(re.escape, _FACTORS), key=len, reverse=True))})\.?(?![^\W\d_])",
    re.IGNORECASE,
)


class Phrase(NamedTuple):
    """A number in a short text, the phrase around it with `#` for it, and the K or M behind it."""

    text: str
    value: float
    factor: str = ""


def canonical(text: str) -> str:
    """Return a text with its signs, spaces, marks and digits in their plain forms.

    Example:
    >>> canonical("\u2212\u0661\u202f\u0662\u0663\u0664\u066b\u0665 €")
    '-1 234.5 €'
    """
    if not text.isascii():
        for pattern, plain in _ALIKE:
            text = pattern.sub(plain, text)
        text = _DIGIT.sub(_plain_digit, text)
    return text.strip()


def is_missing_word(text: str) -> bool:
    """Whether a text of a number column says, in any of the usual ways, that there is none."""
    return len(text) <= 20 and text.strip().casefold() in MISSING_WORDS


def read_numeral(text: str, reading: Reading) -> float:
    """Return the number that a text is, with its sign and factor; NaN where it is none.

    Example:
    >>> read_numeral("1.299,00 €", Reading(unit="# €", wide=True, decimal=","))
    1299.0
    """
    for found in phrases(canonical(text), reading):
        if found.text == "#" or (
            reading.unit and phrase_key(found.text) == phrase_key(reading.unit)
        ):
            return found.value
    return np.nan


def phrases(text: str, reading: Reading) -> Iterator[Phrase]:
    """Yield each number that stands free in a canonical text, with the phrase around it."""
    if len(text) > LONGEST or not any(map(str.isdigit, text)):
        return
    sign, text = _unsigned(_NO_CENTS[reading.decimal].sub("", text), reading)
    whole, inside = _patterns(reading.decimal)
    if whole.fullmatch(text):
        yield Phrase("#", sign * _float(text, reading.decimal))
        return
    for match in inside.finditer(text):
        before, after = text[: match.start()], text[match.end() :]
        attached = _ATTACHED.search(before) and not _CURRENCY.search(before)
        if attached or _AFTER.match(after):
            continue
        value, factor = sign * _float(match.group(), reading.decimal), ""
        if reading.factors and (times := _FACTOR.match(after)):
            factor, after = times[1], after[times.end() :]
            value *= _FACTORS[factor.lower()]
        yield Phrase(f"{before}#{after}".strip(), value, factor)


@cache
def phrase_key(phrase: str) -> str:
    """Fold case, blanks and plural endings, so that "1 review" is like "2 Reviews"."""
    return re.sub(r"(?<=[^\W\d_]{3})s\b", "", " ".join(phrase.casefold().split()))


def _plain_digit(match: re.Match[str]) -> str:
    digit = unicodedata.decimal(match.group(), None)
    return match.group() if digit is None else str(digit)


def _unsigned(text: str, reading: Reading) -> tuple[int, str]:
    """Return the sign of a text and what is left of it."""
    if match := _SIGNED.match(text):
        return (-1 if match[1] == "-" else 1), text[match.end() :]
    if reading.brackets and (match := _BRACKETS.fullmatch(text)):
        return -1, (match[1] or f"{match[2]}{match[3]}").strip()
    if match := _BEHIND.fullmatch(text):
        return -1, match[1]
    if match := _AMID.match(text):
        return -1, match[1] + text[match.end() :]
    return 1, text


@cache
def _patterns(decimal: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a text that is a number, and of a number within one."""
    mark, other = re.escape(decimal), "," if decimal == "." else "."
    # "0,250" is no 250: no group of thousands begins with a nought.
    grouped = rf"[1-9]\d{{0,2}}(?:(?P<g>[{other}' ])\d{{3}})(?:(?P=g)\d{{3}})*(?!\d)"
    lakhs = r"[1-9]\d?(?:,\d{2})+,\d{3}(?!\d)|" if decimal == "." else ""
    body = rf"(?:{grouped}|{lakhs}\d+)"
    # An exponent is a program's: it writes no thousands, so that 2.082e+02 is no 208200.
    scientific = rf"(?:\d+(?:{mark}\d*)?|{mark}\d+)[eE][+-]?\d+"
    whole = re.compile(rf"{scientific}|{body}(?:{mark}\d*)?|{mark}\d+", re.ASCII)
    inside = re.compile(
        rf"(?:(?:^|(?<=\s))[+-])?(?:{body}(?:{mark}\d+)?|(?<!\d){mark}\d+)", re.ASCII
    )
    return whole, inside


def _float(number: str, decimal: str) -> float:
    """Return the value of a number that one of the patterns found."""
    for mark in (",", ".", "'", " "):
        number = number if mark == decimal else number.replace(mark, "")
    return float(number.replace(decimal, "."))
