"""Names of columns: each once, and none without, but for the row numbers that a program wrote."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from multimodal.core.errors import DataError

_WHOLE = re.compile(r"[+-]?\d+(?:\.0)?", re.ASCII)


def check_names(names: list[str], place: str) -> list[str]:
    """Return `names`; raise DataError if one is empty or occurs twice."""
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                f"{place}: column {number} of {len(names)} has no name. Name it, or delete it "
                "(only row numbers or names at the start, and columns without any value, are left "
                "out by themselves)."
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        at = [number for number, name in enumerate(names, start=1) if name == twice[0]]
        raise DataError(
            f"{place}: column name '{twice[0]}' occurs {len(at)} times (columns "
            f"{', '.join(map(str, at))}). Rename all but one."
        )
    return names


class Unnamed:
    """What a column without a name holds: nothing, row numbers, row names, or values.

    The cells may come in parts; of each 8 bytes are kept, and none of row numbers.

    Example:
    >>> column = Unnamed()
    >>> column.add(["a", "b"])
    >>> column.holds(leading=True)
    'row names'
    """

    def __init__(self) -> None:
        self._cells = self._present = 0
        self._numbers = True
        self._hashes = array("q")

    def add(self, cells: Iterable[Any]) -> None:
        """Look at further cells; None or "" are missing."""
        for cell in cells:
            self._cells += 1
            if cell in (None, ""):
                continue
            self._present += 1
            if self._numbers and not is_row_numbers([cell]):
                self._numbers = False
            self._hashes.append(hash(str(cell)))

    def holds(self, *, leading: bool) -> str:
        """Say what it holds that is left out, or "": only of the first columns row names are."""
        if not self._present:
            return "nothing"
        if not leading or self._present < self._cells:
            return ""
        if self._numbers:
            return "row numbers"
        different = len(np.unique(np.frombuffer(self._hashes, np.int64)))
        return "row names" if different == self._present else ""


def named_columns(
    names: Sequence[str], unnamed: Mapping[int, Unnamed], place: str
) -> tuple[dict[str, int], list[str]]:
    """Leave out columns without a name that hold nothing, or the index that a program wrote.

    `DataFrame.to_csv()` writes the index of a frame as first columns without a name: whole numbers,
    or other values that differ in every row.

    Args:
        names: one per column, "" where there is none.
        unnamed: by position, what each column without a name holds.
        place: what messages start with.

    Returns:
        the positions of the other columns by name, and what to say of those left out.

    Raises:
        DataError: another column has no name, or two have the same.
    """
    left_out: dict[int, str] = {}
    for number, column in unnamed.items():
        what = column.holds(leading=all(each in left_out for each in range(number)))
        if what:
            left_out[number] = what
    kept = [number for number in range(len(names)) if number not in left_out]
    if not kept:  # the only column there is
        left_out, kept = {}, list(range(len(names)))
    found = check_names([names[number] for number in kept], place)
    notes = [
        f"column {number + 1}, which has no name, is left out: it holds {what}"
        for number, what in left_out.items()
    ]
    return dict(zip(found, kept, strict=True)), notes


def without_unnamed(
    names: Sequence[str], columns: Sequence[Sequence[Any]], place: str
) -> tuple[dict[str, Sequence[Any]], list[str]]:
    """Leave out of whole columns those that `named_columns` does.

    Args:
        names: one per column, "" where there is none.
        columns: the cells of each; None or "" where missing.
        place: what messages start with.

    Returns:
        the other columns by name, and what to say of those left out.

    Raises:
        DataError: another column has no name, or two have the same.

    Example:
    >>> without_unnamed(["", "size"], [["0", "1"], ["3", "3"]], "t.csv")[0]
    {'size': ['3', '3']}
    """
    unnamed = {number: Unnamed() for number, name in enumerate(names) if not name}
    for number, column in unnamed.items():
        column.add(columns[number])
    kept, notes = named_columns(names, unnamed, place)
    return {name: columns[number] for name, number in kept.items()}, notes


def is_row_numbers(cells: Iterable[Any]) -> bool:
    """Whether all cells are whole numbers, as those of an index are, in whatever order."""
    return all(
        isinstance(cell, int) or _WHOLE.fullmatch(str(cell).strip()) is not None for cell in cells
    )
