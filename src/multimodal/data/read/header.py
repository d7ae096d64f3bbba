"""Names of columns: each once, and none without, but for the row numbers that a program wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

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


def without_unnamed(
    names: Sequence[str], columns: Sequence[Sequence[Any]], place: str
) -> tuple[dict[str, Sequence[Any]], list[str]]:
    """Leave out columns without a name that hold nothing, or the index that a program wrote.

    `DataFrame.to_csv()` writes the index of a frame as first columns without a name: whole numbers,
    or other values that differ in every row.

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
    left_out: dict[int, str] = {}
    for number, (name, cells) in enumerate(zip(names, columns, strict=True)):
        if not name:
            leading = all(each in left_out for each in range(number))
            what = _left_out(cells, leading)
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
    return dict(zip(found, (columns[number] for number in kept), strict=True)), notes


def _left_out(cells: Sequence[Any], leading: bool) -> str:
    """Say what an unnamed column holds that is left out, or ""."""
    present = [cell for cell in cells if cell not in (None, "")]
    if not present:
        return "nothing"
    if not leading or len(present) < len(cells):
        return ""
    if is_row_numbers(present):
        return "row numbers"
    return "row names" if len(set(map(str, present))) == len(present) else ""


def is_row_numbers(cells: Iterable[Any]) -> bool:
    """Whether all cells are whole numbers, as those of an index are, in whatever order."""
    return all(
        isinstance(cell, int) or _WHOLE.fullmatch(str(cell).strip()) is not None for cell in cells
    )
