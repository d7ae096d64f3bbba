"""Spellings of one name: by case, blanks and Unicode form, and by the tool that wrote a number.

A spreadsheet turns 02134 into 2134 and True into TRUE, pandas 1.50 into 1.5 and "NA" into nothing.
A name that was learned is found again in such a spelling, where only one is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

# What `pandas.read_csv` reads as missing.
PANDAS_MISSING = frozenset(
    "#N/A,#N/A N/A,#NA,-1.#IND,-1.#QNAN,-NaN,-nan,1.#IND,1.#QNAN,<NA>,N/A,NA,NULL,NaN,None,n/a,nan,"
    "null".split(",")
)
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe0f]")
_NUMBER = re.compile(r"([+-]?)0*(\d+)(?:\.(\d*?)0*)?", re.ASCII)
_TRUTH = {"true": "1", "false": "0"}


def folded(name: str) -> str:
    """Return what names have in common that differ in case, blanks or Unicode form alone.

    Example:
    >>> folded(" Cafe\u0301\u200b  Roma") == folded("CAF\u00c9 roma")
    True
    """
    if not name.isascii():
        name = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name))
    return " ".join(name.casefold().split())


def plain_number(name: str) -> str | None:
    """Return a number without the noughts that tools add or lose; None for another name.

    Example:
    >>> plain_number("02134"), plain_number("1.50"), plain_number("3.00"), plain_number("a")
    ('2134', '1.5', '3', None)
    """
    match = _NUMBER.fullmatch(name)
    if match is None:
        return None
    sign, whole, rest = match.groups()
    return ("-" if sign == "-" else "") + whole + (f".{rest}" if rest else "")


class Spellings:
    """Known names, found by the spelling they have or, where one alone is meant, by another.

    Args:
        names: The names.

    Example:
    >>> found = Spellings(["02134", "Red", "blue"])
    >>> found.known("2134"), found.known("RED"), found.known("b")
    ('02134', 'Red', None)
    >>> Spellings(["True", "False"]).known("1")
    'True'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._folded = _single(names, folded)
        self._numbers = _single(self._folded, plain_number)
        if set(self._folded) == set(_TRUTH):
            self._numbers |= {_TRUTH[each]: each for each in self._folded}
        elif set(self._folded) == set(_TRUTH.values()):
            self._folded |= {word: self._folded[number] for word, number in _TRUTH.items()}

    def known(self, name: str) -> str | None:
        """Return the name that is meant, or None."""
        if name in self._names:
            return name
        key = folded(name)
        found = self._folded.get(key)
        if found is None:
            number = plain_number(key)
            found = self._folded.get(self._numbers.get(number, "")) if number else None
        return found


def _single(names: Iterable[str], key: Callable[[str], str | None]) -> dict[str, str]:
    """Return the names by their keys; a key that several have names none of them."""
    found: dict[str, str | None] = {}
    for name in names:
        each = key(name)
        if each is not None:
            found[each] = None if each in found else name
    return {each: name for each, name in found.items() if name is not None}


def one_spelling(counts: Mapping[str, int]) -> dict[str, str]:
    """Return the most frequent spelling of each name.

    Example:
    >>> one_spelling({"red": 3, "Red": 1, "blue": 2})
    {'red': 'red', 'Red': 'red', 'blue': 'blue'}
    """
    best: dict[str, str] = {}
    # By name where counts are equal: it must not depend on the order of the rows.
    for name in sorted(counts, key=lambda each: (-counts[each], each)):
        best.setdefault(folded(name), name)
    return {name: best[folded(name)] for name in counts}
