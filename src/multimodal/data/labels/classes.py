"""Class names, read from cells, put in order and encoded as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.arrays import Floats, Ints
from multimodal.core.spec import LabelType
from multimodal.data.columns.numbers import parse_numbers

_LABEL_TYPES: dict[str, LabelType] = {
    "boolean": "flag",
    "integer": "integer",
    "floating": "float",
    "mixed-integer-float": "float",
}
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)  # as `int` writes it, in 64 bits
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_BELOW = re.compile(r"[<≤]|under\b|below\b|up to\b|less\b", re.IGNORECASE)
_ABOVE = re.compile(r"[>≥]|over\b|above\b|more\b", re.IGNORECASE)


def order_classes(names: Iterable[str]) -> list[str]:
    """Return the different names, lowest first.

    Numbers go by size; bands go by their first number where every name has one ("<10", "10-19",
    "100+"); all else goes by name.

    Example:
    >>> order_classes(["10", "9", "9", "2.5"]), order_classes(["60+", "5-9", "<5", "10-59"])
    (['2.5', '9', '10'], ['<5', '5-9', '10-59', '60+'])
    """
    found = sorted(set(names))
    values = parse_numbers(found).values
    if len(found) and np.isfinite(values).all():
        return [found[i] for i in np.argsort(values, kind="stable")]
    if found and all(_NUMBER.search(name) for name in found):
        return sorted(found, key=_band)
    return found


def _band(name: str) -> tuple[float, int, str]:
    match = _NUMBER.search(name)
    start = float(match.group()) if match else 0.0
    # "<10" comes before "10-19", and "over 100" behind "100": their first numbers are equal.
    return start, bool(_ABOVE.search(name)) - bool(_BELOW.search(name)), name


def label_type(cells: pd.Series[Any], *, written: bool) -> LabelType:
    """Return what the classes in a column are, so that predictions are the same.

    Args:
        cells: the column.
        written: whether they come from a text file, where all cells are texts: those are taken for
            what pandas would read.

    Example:
    >>> label_type(pd.Series([0, 1]), written=False), label_type(pd.Series(["01"]), written=True)
    ('integer', 'text')
    """
    found = pd.api.types.infer_dtype(cells, skipna=True)
    if found == "string" and written:
        texts = {text.strip() for text in cells.dropna().unique()} - {""}
        if texts <= {"True", "False"}:
            return "flag"
        return "integer" if all(_INTEGER.fullmatch(text) for text in texts) else "text"
    return _LABEL_TYPES.get(found, "text")


def can_be(kind: LabelType, classes: Sequence[str]) -> bool:
    """Return whether all class names are spelled as values of that type.

    Example:
    >>> can_be("integer", ["1", "2"]), can_be("integer", ["1", "other"])
    (True, False)
    """
    if kind == "flag":
        return {name.lower() for name in classes} <= {"true", "false", "1", "0"}
    return kind == "text" or bool(np.isfinite(parse_numbers(list(classes)).values).all())


def encode_classes(names: NDArray[np.object_], classes: Sequence[str]) -> Ints:
    """Return int64 (N,): the position of each name, -1 for None and for names not in `classes`.

    Example:
    >>> encode_classes(np.array(["b", None, "a", "z"], object), ["a", "b"]).tolist()
    [1, -1, 0, -1]
    """
    codes = {name: code for code, name in enumerate(classes)}
    return np.array([codes.get(name, -1) for name in names], np.int64)


def encode_labels(sets: NDArray[np.object_], classes: Sequence[str]) -> Floats:
    """Return float64 (N, C) of 0 and 1; a row is NaN where `sets` has None, or a name not known.

    Args:
        sets: object (N,), a tuple of names or None.
        classes: the C names.

    Example:
    >>> encode_labels(np.array([("b",), None, ()], object), ["a", "b"]).tolist()
    [[0.0, 1.0], [nan, nan], [0.0, 0.0]]
    """
    codes = {name: code for code, name in enumerate(classes)}
    result = np.zeros((len(sets), len(classes)))
    for row, names in zip(result, sets, strict=True):
        if names is None or any(name not in codes for name in names):
            row[:] = np.nan
        else:
            row[[codes[name] for name in names]] = 1
    return result


def label_names(cell: Any) -> tuple[str, ...] | None:
    """Return the labels in a cell: a list, or "a|b". None where it is blank; [] has no label.

    Example:
    >>> label_names("red| big "), label_names([]), label_names(" ")
    (('red', 'big'), (), None)
    """
    if isinstance(cell, list | tuple | np.ndarray):
        parts = [str(each) for each in cell]
    elif cell is None or cell != cell or not str(cell).strip():
        return None
    else:
        parts = [] if str(cell).strip() == "[]" else str(cell).split("|")
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
