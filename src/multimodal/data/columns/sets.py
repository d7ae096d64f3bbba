"""Cells that hold several values of a small vocabulary, such as "Comedy, Drama" or ["a", "b"]."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from multimodal.core.spelling import folded
from multimodal.data.columns.cells import Column, is_missing

SEPARATORS = ("|", ";", ",")
_QUOTED = re.compile(r"'([^']*)'")
_PRINTED = re.compile(r"\['[^']*'(?:,\s*'[^']*')*\]")
MOST_FLAGS = 32  # the most frequent members; each is a column of its own
_ROWS = 20
_SEVERAL = 0.2  # least fraction of the cells that hold more than one member
_AGAIN = 4.0  # how often a member occurs, on average
_WORDS, _LETTERS = 4, 30  # of a member: more are a sentence
_PLACES = 0.3  # least fraction of the frequent members that stand at several places


class SetFormat(NamedTuple):
    """What stands between the members, and the frequent ones."""

    separator: str
    members: tuple[str, ...]


def members(cell: Any, separator: str) -> list[str]:
    """Return the members of a cell: of a list, of one written as JSON or by Python, or of a text.

    Example:
    >>> members("Comedy , Drama", ","), members('["a", "b"]', "|"), members(["a", " "], "|")
    (['Comedy', 'Drama'], ['a', 'b'], ['a'])
    """
    if isinstance(cell, str):
        items = _listed(cell) if cell.lstrip().startswith("[") else None
        cell = cell.split(separator) if items is None else items
    elif not isinstance(cell, list | tuple | np.ndarray):
        cell = [cell]
    return [text for text in (str(item).strip() for item in cell) if text]


def _listed(text: str) -> list[Any] | None:
    """Return a list that is written as JSON or as Python prints it; None for another text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _QUOTED.findall(text) if _PRINTED.fullmatch(text.strip()) else None
    return value if isinstance(value, list) else None


def set_format(cells: Iterable[Any]) -> SetFormat | None:
    """Return how cells hold sets, or None if they do not.

    They do where members come again, in other company and at other places: "Paris, France" is a
    city in a country, and no set.

    Example:
    >>> set_format(["Comedy, Drama", "Drama", "Comedy", "Drama, Comedy"] * 9).members
    ('Comedy', 'Drama')
    """
    present = list(cells)
    for separator in SEPARATORS:
        found = [members(cell, separator) for cell in present]
        if _are_sets(found):
            counts = Counter(member for each in found for member in each)
            spelled: dict[str, str] = {}
            for member, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                spelled.setdefault(folded(member), member)
            return SetFormat(separator, tuple(list(spelled.values())[:MOST_FLAGS]))
    return None


def flags(cells: Column, separator: str, wanted: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return float64 (rows, members): 1 where a cell holds a member, NaN where it is missing.

    Example:
    >>> flags(["a|b", "B", None], "|", ["a", "b"]).tolist()
    [[1.0, 1.0], [0.0, 1.0], [nan, nan]]
    """
    places = {folded(member): i for i, member in enumerate(wanted)}
    found = np.zeros((len(cells), len(wanted)))
    for row, (cell, gone) in enumerate(zip(cells, is_missing(cells), strict=True)):
        if gone:
            found[row] = np.nan
            continue
        for member in members(cell, separator):
            place = places.get(folded(member))
            if place is not None:
                found[row, place] = 1.0
    return found


def _are_sets(found: Sequence[Sequence[str]]) -> bool:
    """Whether lists of members are sets of a small vocabulary."""
    sizes = np.array([len(each) for each in found])
    if len(found) < _ROWS or (sizes > 1).mean() < _SEVERAL:
        return False
    counts = Counter(member for each in found for member in each)
    if len(counts) < 2 or sizes.sum() < _AGAIN * len(counts):
        return False
    if any(len(m) > _LETTERS or len(m.split()) > _WORDS for m in counts):
        return False
    if len({frozenset(each) for each in found}) < len(counts):  # each keeps its own company
        return False
    places: dict[str, set[int]] = {}
    for each in found:
        for place, member in enumerate(each):
            places.setdefault(member, set()).add(place)
    frequent = [member for member, count in counts.items() if count > 1]
    moving = sum(len(places[member]) > 1 for member in frequent)
    return len(set(sizes.tolist())) > 1 and moving >= _PLACES * len(frequent)
